//! Equal tensors once: archives that have tensors of others come to rest on those.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::relations::{Relation, relations};
use super::repack::repack;
use crate::archive::ArchiveReader;
use crate::error::{Error, Result};
use crate::file::Entries;
use crate::format::TensorHash;
use crate::job::base_search::CACHE_BYTES;
use crate::job::kin::{BaseFile, Family, OpenedBases};
use crate::job::monitor::Monitor;
use crate::job::pack_options::PackOptions;
use crate::job::source_file::SourceFile;
use crate::job::totals::Totals;

/// Less is not worth resting on another file.
const LEAST_SHARED_BYTES: u64 = 1 << 20;
/// Archives that one comes to rest on.
const MOST_BASES: usize = 8;

/// How to do it.
#[derive(Debug, Clone, Default)]
pub struct DedupOptions {
    /// How to pack.
    pub pack: PackOptions,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// An archive that came to rest on others, or would.
#[derive(Debug)]
pub struct Dedup {
    /// Its path.
    pub path: PathBuf,
    /// The archives it rests on.
    pub rests_on: Vec<PathBuf>,
    /// Bytes of its tensors that are in those.
    pub shared_bytes: u64,
    /// Bytes of the archive before.
    pub stored_before: u64,
    /// And after; the same if nothing was done.
    pub stored_after: u64,
}

/// What is known of an archive.
struct Candidate<'r> {
    relation: &'r Relation,
    hashes: Vec<TensorHash>,
}

/// Has archives below a directory rest on others that have the same tensors.
///
/// # Errors
/// `Io` if the directory cannot be read; `Interrupted`. What fails of single archives is in the second part.
pub fn dedup(
    directory: &Path,
    options: &DedupOptions,
    monitor: &Monitor<'_>,
) -> Result<(Vec<Dedup>, Vec<Error>)> {
    let pack = options.pack.fitting(monitor)?;
    let found = relations(directory, &pack.bases, monitor)?;
    let mut failures = found.failures;
    let rests = found.archives.iter().flat_map(|archive| &archive.rests_on);
    let bases: HashSet<[u8; 32]> = rests.map(|rest| rest.record.sha256).collect();
    let mut candidates = Vec::new();
    for relation in &found.archives {
        monitor.check()?;
        if !relation.rests_on.is_empty() || relation.superblock.lossy.is_some() {
            continue;
        }
        if !bases.contains(&relation.superblock.sha256)
            && let Some(why) = why_not_replaced(relation)
        {
            (monitor.warn)(&format!(
                "{} {why}, and stays as it is",
                relation.path.display()
            ));
            continue;
        }
        match ArchiveReader::open(&relation.path).and_then(|reader| reader.tensor_hashes()) {
            Ok(hashes) => candidates.push(Candidate { relation, hashes }),
            Err(failure) => failures.push(failure),
        }
    }
    let planned = plan(&candidates, &bases);
    let work = |one: &Planned| candidates[one.own].relation.superblock.original_bytes;
    (monitor.begin)(planned.iter().map(work).fold(0, u64::saturating_add));
    let mut done = Vec::new();
    for one in planned {
        monitor.check()?;
        let relation = candidates[one.own].relation;
        let rests_on = one
            .bases
            .iter()
            .map(|&base| candidates[base].relation.path.clone());
        let mut told = Dedup {
            path: relation.path.clone(),
            rests_on: rests_on.collect(),
            shared_bytes: one.shared,
            stored_before: relation.superblock.archive_bytes,
            stored_after: relation.superblock.archive_bytes,
        };
        if !options.dry_run {
            match rest_on(&told, directory, &pack, monitor) {
                Ok(Some(stored)) => told.stored_after = stored,
                // It would not have become smaller.
                Ok(None) => continue,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            }
        }
        done.push(told);
    }
    Ok((done, failures))
}

/// Why an archive that others do not rest on is not packed anew, if there is a reason.
fn why_not_replaced(relation: &Relation) -> Option<&'static str> {
    if !relation.is_inside {
        return Some("lies elsewhere, where a link leads");
    }
    let names = relation.path.symlink_metadata().ok()?.nlink();
    (names > 1).then_some("has other names as well, which would keep it on the disk")
}

/// An archive that is to rest on others, by their numbers.
struct Planned {
    own: usize,
    bases: Vec<usize>,
    shared: u64,
}

/// Who is to rest on whom. Those that share most stay as they are, and so do bases: nobody rests on what rests itself.
fn plan(candidates: &[Candidate<'_>], bases: &HashSet<[u8; 32]>) -> Vec<Planned> {
    type Key = (u64, u128);
    let key = |tensor: &TensorHash| -> Key { (tensor.len, tensor.hash) };
    let mut holders: HashMap<Key, Vec<usize>> = HashMap::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let own: HashSet<Key> = candidate.hashes.iter().map(key).collect();
        for tensor in own {
            holders.entry(tensor).or_default().push(number);
        }
    }
    let weight = |number: usize| -> u128 {
        let hashes = candidates[number].hashes.iter();
        // What archives claim may be any number.
        hashes
            .map(|tensor| u128::from(tensor.len) * (holders[&key(tensor)].len() as u128 - 1))
            .sum()
    };
    let is_base = |number: usize| bases.contains(&candidates[number].relation.superblock.sha256);
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&number| (!is_base(number), std::cmp::Reverse(weight(number))));
    let mut kept: HashSet<usize> = HashSet::new();
    let mut planned = Vec::new();
    for own in order {
        let mut left: HashMap<Key, u64> = HashMap::new();
        for tensor in &candidates[own].hashes {
            *left.entry(key(tensor)).or_default() += tensor.len;
        }
        let mut one = Planned {
            own,
            bases: Vec::new(),
            shared: 0,
        };
        while !is_base(own) && one.bases.len() < MOST_BASES {
            // Of those that stay, the one that has most of what is left.
            let mut sums: HashMap<usize, u64> = HashMap::new();
            for (tensor, bytes) in &left {
                for &holder in holders[tensor]
                    .iter()
                    .filter(|holder| kept.contains(holder))
                {
                    *sums.entry(holder).or_default() += bytes;
                }
            }
            let best = sums
                .into_iter()
                .max_by_key(|&(number, bytes)| (bytes, std::cmp::Reverse(number)));
            let Some((base, bytes)) = best.filter(|&(_, bytes)| bytes >= LEAST_SHARED_BYTES) else {
                break;
            };
            left.retain(|tensor, _| !holders[tensor].contains(&base));
            one.bases.push(base);
            one.shared += bytes;
        }
        if one.bases.is_empty() {
            kept.insert(own);
        } else {
            planned.push(one);
        }
    }
    planned
}

/// Packs an archive anew so that it rests on others; its bytes then, or `None` if they would not have been fewer.
fn rest_on(
    one: &Dedup,
    root: &Path,
    pack: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<Option<u64>> {
    let entries = Entries::new(CACHE_BYTES, pack.threads);
    let open = |path: &PathBuf| SourceFile::open_archived(path, &pack.bases, &entries);
    let bases = one
        .rests_on
        .iter()
        .map(|path| BaseFile::of(open(path)?, monitor).map(Arc::new));
    let bases = bases.collect::<Result<Vec<_>>>()?;
    let options = PackOptions {
        opened: OpenedBases(Some(Arc::new(Family::of(bases, &pack.bases, pack.threads)))),
        ..pack.clone()
    };
    let source = open(&one.path)?;
    let gains = |totals: &Totals| totals.stored_bytes < one.stored_before;
    let totals = repack(&source, root, &options, monitor, gains)?;
    Ok(totals.map(|totals| totals.stored_bytes))
}
