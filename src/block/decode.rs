//! Decoding: code of each plane, interleave, checksum.

use crate::codec::{Decoder, PlaneShape};
use crate::error::{Error, Result};
use crate::format::{BlockEntry, BlockHeader, CodecId, MAX_PLANES, Profiles, checksum};
use crate::plane::{Field, interleave, plane_bytes};

/// Decodes blocks, with buffers that are used again.
pub struct BlockDecoder {
    codec: Decoder,
    scratch: Vec<u8>,
}

impl BlockDecoder {
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new() -> Result<Self> {
        Ok(Self {
            codec: Decoder::new()?,
            scratch: Vec::new(),
        })
    }

    /// Decodes a stored block into `decoded`, whose length is that of the block, and compares its
    /// checksum. `profiles` are those of the archive. `stored` may change while it is read: nothing but the result depends on it.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not those that were encoded, `Unsupported` for unknown codecs;
    /// what `decoded` holds then must not be used.
    pub fn decode_into(
        &mut self,
        stored: &[u8],
        expected_checksum: u64,
        profiles: Profiles<'_>,
        decoded: &mut [u8],
    ) -> Result<()> {
        let header = BlockHeader::parse(stored, decoded.len())?;
        let elements_len = decoded.len() - header.tail_bytes(decoded.len());
        let (elements, tail) = decoded.split_at_mut(elements_len);
        self.decode_elements(&header, stored, profiles, elements)?;
        tail.copy_from_slice(&stored[stored.len() - tail.len()..]);
        if checksum(decoded) != expected_checksum {
            return Err(Error::corrupt("the decoded bytes fail their checksum"));
        }
        Ok(())
    }

    /// As `decode_into`, and compares the checksum of the stored bytes as well, which finds what
    /// decoding forgives, such as padding bits.
    ///
    /// # Errors
    /// As `decode_into`.
    pub fn verify_into(
        &mut self,
        stored: &[u8],
        entry: &BlockEntry,
        profiles: Profiles<'_>,
        decoded: &mut [u8],
    ) -> Result<()> {
        // First of all, as it brings the bytes near the processor in the fastest way. What it
        // finds is told last: decoding says more precisely what is wrong.
        let is_whole = checksum(stored) == entry.stored_checksum;
        self.decode_into(stored, entry.decoded_checksum, profiles, decoded)?;
        if is_whole {
            Ok(())
        } else {
            Err(Error::corrupt("the stored bytes fail their checksum"))
        }
    }

    fn decode_elements(
        &mut self,
        header: &BlockHeader,
        stored: &[u8],
        profiles: Profiles<'_>,
        elements: &mut [u8],
    ) -> Result<()> {
        let count = header.element_count(elements.len());
        if let ([plane], 0) = (header.planes(), header.rotate) {
            // The plane is the elements as they are.
            let shape = PlaneShape {
                width: plane.width,
                count,
            };
            let at = header.header_bytes();
            let coded = &stored[at..at + plane.stored_len as usize];
            return self
                .codec
                .decode_into(plane.codec, coded, shape, profiles, elements);
        }

        let decoded_planes = || {
            header
                .planes()
                .iter()
                .filter(|plane| plane.codec != CodecId::Raw)
        };
        let scratch_len = decoded_planes().map(|p| plane_bytes(count, p.width)).sum();
        if self.scratch.len() < scratch_len {
            self.scratch.resize(scratch_len, 0);
        }
        let mut free = self.scratch.as_mut_slice();
        let mut planes: [&[u8]; MAX_PLANES] = [&[]; MAX_PLANES];
        let mut fields = [Field { shift: 0, width: 1 }; MAX_PLANES];
        for (i, (plane, range)) in header.stored_planes().enumerate() {
            let coded = &stored[range];
            let len = plane_bytes(count, plane.width);
            fields[i] = Field {
                shift: plane.shift,
                width: plane.width,
            };
            planes[i] = if plane.codec == CodecId::Raw {
                if coded.len() != len {
                    return Err(Error::corrupt("a raw plane has the wrong length"));
                }
                coded
            } else {
                let (place, rest) = free.split_at_mut(len);
                free = rest;
                let shape = PlaneShape {
                    width: plane.width,
                    count,
                };
                self.codec
                    .decode_into(plane.codec, coded, shape, profiles, place)?;
                place
            };
        }
        let used = header.planes().len();
        interleave(
            &planes[..used],
            &fields[..used],
            header.element_bytes,
            header.rotate,
            elements,
        );
        Ok(())
    }
}
