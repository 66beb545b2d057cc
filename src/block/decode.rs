//! Decoding: code of each plane, interleave, checksum.

use super::beside::Beside;
use super::groups::groups;
use super::kin::{base_as_own, form_of};
use crate::codec::{Base, Coded, Context, Decoder, PlaneShape};
use crate::error::{Error, Result};
use crate::format::{
    BlockEntry, BlockHeader, CodecId, ElementType, GridHeader, Kinship, MAX_PLANES, PlaneHeader,
    Profiles, Reference, checksum,
};
use crate::grid::{LevelPlanes, Restorer};
use crate::plane::{Field, interleave, plane_bytes};
use crate::simd::Simd;

/// Decodes blocks, with buffers that are used again.
pub struct BlockDecoder {
    codec: Decoder,
    simd: Simd,
    scratch: Vec<u8>,
    /// Of groups of levels.
    keys: Vec<u8>,
    restorer: Restorer,
}

impl BlockDecoder {
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn new() -> Result<Self> {
        Self::with_simd(Simd::detect())
    }

    /// A decoder that uses these vector instructions only.
    ///
    /// # Errors
    /// `Io` if there is no memory for the codecs.
    pub fn with_simd(simd: Simd) -> Result<Self> {
        Ok(Self {
            codec: Decoder::new()?,
            simd,
            scratch: Vec::new(),
            keys: Vec::new(),
            restorer: Restorer::default(),
        })
    }

    /// Gives back buffers that are as long as the longest block so far, or longer.
    pub fn give_back(&mut self) {
        (self.scratch, self.keys) = (Vec::new(), Vec::new());
        self.codec.give_back();
        self.restorer.give_back();
    }

    /// What decoding a block takes, itself included: its planes beside it; of records planes of twice its length,
    /// if levels are a byte each, and the steps of groups.
    pub fn bytes_for(element: ElementType, block_bytes: usize) -> usize {
        let times = if element.is_record() { 4 } else { 2 };
        times * block_bytes
    }

    /// Decodes a stored block into `decoded`, whose length is that of the block, and compares its
    /// checksum. `beside` are the archive's profiles, or those and the base's bytes. `stored` may change while it is read: nothing but the result depends on it.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not those that were encoded, `Unsupported` for unknown codecs;
    /// what `decoded` holds then must not be used.
    pub fn decode_into<'b>(
        &mut self,
        stored: &[u8],
        expected_checksum: u64,
        beside: impl Into<Beside<'b>>,
        decoded: &mut [u8],
    ) -> Result<()> {
        let result = self.decode_checked(stored, expected_checksum, beside.into(), decoded);
        if result.is_err() {
            // The fault may lie with them, and must not outlast it in what is kept of them.
            self.codec.forget_profiles();
        }
        result
    }

    fn decode_checked(
        &mut self,
        stored: &[u8],
        expected_checksum: u64,
        beside: Beside<'_>,
        decoded: &mut [u8],
    ) -> Result<()> {
        let header = BlockHeader::parse(stored, decoded.len())?;
        let elements_len = decoded.len() - header.tail_bytes(decoded.len());
        let (elements, tail) = decoded.split_at_mut(elements_len);
        match header.reference {
            Some(rests) => self.decode_kin(&header, rests, stored, beside.base, elements)?,
            None => self.decode_elements(&header, stored, beside.profiles, elements)?,
        }
        if let Some(grid) = &header.grid {
            let exceptions = header.exceptions(stored, elements_len + tail.len());
            put_exceptions(grid, exceptions, elements)?;
        }
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
    pub fn verify_into<'b>(
        &mut self,
        stored: &[u8],
        entry: &BlockEntry,
        beside: impl Into<Beside<'b>>,
        decoded: &mut [u8],
    ) -> Result<()> {
        // First of all, as it brings the bytes near the processor in the fastest way. What it
        // finds is told last: decoding says more precisely what is wrong.
        let is_whole = checksum(stored) == entry.stored_checksum;
        self.decode_into(stored, entry.decoded_checksum, beside, decoded)?;
        if is_whole {
            Ok(())
        } else {
            Err(Error::corrupt("the stored bytes fail their checksum"))
        }
    }

    /// Decodes numbers that rest on those of a base.
    fn decode_kin(
        &mut self,
        header: &BlockHeader,
        (element, reference): (ElementType, Reference),
        stored: &[u8],
        base: &[u8],
        elements: &mut [u8],
    ) -> Result<()> {
        let rounded = &mut self.scratch;
        let numbers = base_as_own(element, &reference, base, elements.len(), rounded)
            .ok_or_else(|| Error::corrupt("the block rests on a base, and has none"))?;
        if reference.kinship == Kinship::Equal {
            elements.copy_from_slice(numbers);
            return Ok(());
        }
        let form = form_of(element);
        let (Some(form), Some((plane, range))) = (form, header.stored_planes().next()) else {
            return Err(Error::corrupt("there are no differences of such numbers"));
        };
        let coded = Coded {
            bytes: &stored[range],
            shape: PlaneShape {
                width: plane.width,
                count: elements.len() / usize::from(form.bytes),
            },
            context: Context {
                base: Some(Base { numbers, form }),
                ..Context::NONE
            },
            simd: self.simd,
        };
        self.codec.decode_into(plane.codec, &coded, elements)
    }

    fn decode_elements(
        &mut self,
        header: &BlockHeader,
        stored: &[u8],
        profiles: Profiles<'_>,
        elements: &mut [u8],
    ) -> Result<()> {
        let simd = self.simd;
        let count = |plane: &PlaneHeader| header.field_count(plane, elements.len());
        let bytes_of = |plane: &PlaneHeader| plane_bytes(count(plane), plane.width);
        let coded = |bytes, plane: &PlaneHeader| Coded {
            bytes,
            shape: PlaneShape {
                width: plane.width,
                count: count(plane),
            },
            context: Context {
                profiles,
                ..Context::NONE
            },
            simd,
        };
        if let ([plane], 0, None, None) =
            (header.planes(), header.rotate, header.record, header.grid)
        {
            // The plane is the elements as they are.
            let at = header.header_bytes();
            let coded = coded(&stored[at..at + plane.stored_len as usize], plane);
            return self.codec.decode_into(plane.codec, &coded, elements);
        }

        let decoded_planes = || {
            header
                .planes()
                .iter()
                .filter(|plane| plane.codec != CodecId::Raw)
        };
        let scratch_len = decoded_planes().map(bytes_of).sum();
        if self.scratch.len() < scratch_len {
            self.scratch.resize(scratch_len, 0);
        }
        let mut free = self.scratch.as_mut_slice();
        let mut planes: [&[u8]; MAX_PLANES] = [&[]; MAX_PLANES];
        let mut fields = [Field { shift: 0, width: 1 }; MAX_PLANES];
        for (i, (plane, range)) in header.stored_planes().enumerate() {
            let bytes = &stored[range];
            let len = bytes_of(&plane);
            fields[i] = Field {
                shift: plane.shift,
                width: plane.width,
            };
            planes[i] = if plane.codec == CodecId::Raw {
                if bytes.len() != len {
                    return Err(Error::corrupt("a raw plane has the wrong length"));
                }
                bytes
            } else {
                let (place, rest) = free.split_at_mut(len);
                free = rest;
                let mut coded = coded(bytes, &plane);
                if plane.codec == CodecId::Grouped
                    && let Some((_, form)) = header.record
                {
                    let before = &planes[..i];
                    coded.context.groups = groups(form, plane.shift, before, &mut self.keys);
                }
                self.codec.decode_into(plane.codec, &coded, place)?;
                place
            };
        }
        let used = header.planes().len();
        if let Some(grid) = &header.grid {
            let scales = usize::from(grid.kind.scale_bits(grid.element).is_some());
            // `parse` has shown that there are one or two planes of levels behind the scales.
            let levels = match planes[scales..used] {
                [low, high] => LevelPlanes::Wide(low, high.as_chunks().0),
                _ => LevelPlanes::of_one(planes[scales], fields[scales].width),
            };
            let scales = if scales > 0 { planes[0] } else { &[] };
            self.restorer.restore(simd, grid, scales, levels, elements);
            return Ok(());
        }
        if let Some((_, form)) = header.record {
            form.put(&planes[..used], elements);
            return Ok(());
        }
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

/// Puts elements that do not lie on the grid in their places.
fn put_exceptions(grid: &GridHeader, exceptions: &[u8], elements: &mut [u8]) -> Result<()> {
    let width = usize::from(grid.element.bytes());
    for exception in exceptions.chunks_exact(grid.exception_bytes()) {
        let (place, element) = exception.split_at(4);
        let place = place
            .iter()
            .rev()
            .fold(0, |place, &byte| place << 8 | usize::from(byte));
        elements
            .chunks_exact_mut(width)
            .nth(place)
            .ok_or_else(|| Error::corrupt("an exception lies outside its block"))?
            .copy_from_slice(element);
    }
    Ok(())
}
