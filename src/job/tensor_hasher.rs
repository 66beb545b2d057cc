//! Hashes of a file's tensors, made while its bytes go by in order.

use std::ops::Range;

use twox_hash::xxhash3_128::Hasher;

use crate::error::Result;
use crate::format::{LEAST_HASHED_BYTES, MAX_TENSOR_HASHES, TensorHash};
use crate::model::{ReadAt, extents};

/// Makes them.
pub(super) struct TensorHasher {
    ranges: Vec<Range<u64>>,
    /// How many are done.
    done: usize,
    hasher: Hasher,
    at: u64,
    table: Vec<u8>,
}

impl TensorHasher {
    /// For the tensors of a file that are long enough; of those that overlap the first.
    ///
    /// # Errors
    /// As `ReadAt::read_at`.
    pub fn new(file: &(impl ReadAt + ?Sized)) -> Result<Self> {
        let mut ranges: Vec<_> = extents::tensors(file)?
            .into_iter()
            .map(|tensor| tensor.range)
            .filter(|range| range.end - range.start >= LEAST_HASHED_BYTES)
            .collect();
        ranges.truncate(usize::try_from(MAX_TENSOR_HASHES).unwrap_or(usize::MAX));
        Ok(Self {
            ranges,
            done: 0,
            hasher: Hasher::new(),
            at: 0,
            table: Vec::new(),
        })
    }

    /// How many there will be.
    pub fn count(&self) -> usize {
        self.ranges.len()
    }

    /// Takes the next bytes of the file.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while let Some(range) = self.ranges.get(self.done) {
            let skip = range.start.saturating_sub(self.at).min(bytes.len() as u64);
            let (_, rest) = bytes.split_at(short(skip));
            self.at += skip;
            let len = (range.end - self.at.max(range.start)).min(rest.len() as u64);
            let (own, rest) = rest.split_at(short(len));
            if self.at >= range.start {
                self.hasher.write(own);
            }
            self.at += len;
            bytes = rest;
            if self.at < range.end {
                return;
            }
            let hash = std::mem::replace(&mut self.hasher, Hasher::new()).finish_128();
            let record = TensorHash {
                start: range.start,
                len: range.end - range.start,
                hash,
            };
            record.encode_to(&mut self.table);
            self.done += 1;
        }
    }

    /// The table of those that are done.
    pub fn table(self) -> Vec<u8> {
        self.table
    }
}

fn short(len: u64) -> usize {
    usize::try_from(len).expect("invariant: a part of a slice")
}

#[cfg(test)]
mod tests {
    use super::*;
    use twox_hash::XxHash3_128;

    #[test]
    fn hashes_are_of_the_tensors_however_the_bytes_come() {
        let lens = [270_000usize, 100, 262_144, 400_000];
        let mut entries = Vec::new();
        let mut data = Vec::new();
        for (number, len) in lens.iter().enumerate() {
            let start = data.len();
            let mut bytes = vec![0; *len];
            fastrand::Rng::with_seed(number as u64).fill(&mut bytes);
            data.extend(bytes);
            entries.push(format!(
                r#""t{number}":{{"dtype":"U8","shape":[{len}],"data_offsets":[{start},{}]}}"#,
                data.len()
            ));
        }
        let json = format!("{{{}}}", entries.join(","));
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend(json.as_bytes());
        let first = file.len();
        file.extend(data);
        for step in [1 << 20, 65_536, 4096, 7] {
            let mut hasher = TensorHasher::new(&file[..]).unwrap();
            assert_eq!(hasher.count(), 3);
            file.chunks(step).for_each(|bytes| hasher.take(bytes));
            let hashes = TensorHash::parse(&hasher.table()).unwrap();
            let starts = [0, 270_100, 532_244].map(|start| first + start);
            for ((found, start), len) in hashes.iter().zip(starts).zip([270_000, 262_144, 400_000])
            {
                assert_eq!(found.range(), start as u64..(start + len) as u64);
                let bytes = &file[start..start + len];
                assert_eq!(found.hash, XxHash3_128::oneshot(bytes), "{step}");
            }
        }
    }
}
