//! Decoding: the values, then the place of each field among them.

use super::layout::{HEADER_BYTES, MAX_VALUES, place_bits};
use crate::codec::parts::PartReader;
use crate::codec::plane::{Coded, PlaneShape};
use crate::codec::rice::take_rice;
use crate::error::{Error, Result};
use crate::format::CodecId;
use crate::plane::BitReader;

/// The list of values of a coded plane.
#[derive(Debug, Default)]
pub(in crate::codec) struct Values {
    values: Vec<u16>,
}

/// How the places are coded.
pub(in crate::codec) struct Places<'a> {
    pub codec: CodecId,
    pub coded: Coded<'a>,
}

fn malformed() -> Error {
    Error::corrupt("a plane coded by its values is malformed")
}

impl Values {
    /// Takes the list, and says what follows it.
    ///
    /// # Errors
    /// `Corrupt` if it is no such list, or the places are not coded in a way they may be.
    pub fn take<'a>(&mut self, coded: &Coded<'a>) -> Result<Places<'a>> {
        let mut parts = PartReader::new(coded.bytes);
        let [low, high, codec, parameter] = *parts.take_array::<HEADER_BYTES>()?;
        let count = usize::from(u16::from_le_bytes([low, high])) + 1;
        let codec = CodecId::from_code(codec)?;
        if count > MAX_VALUES
            || parameter > 15
            || !matches!(codec, CodecId::Raw | CodecId::Ans | CodecId::Huffman)
        {
            return Err(malformed());
        }
        let mut reader = BitReader::new(parts.rest());
        let [low, high, ..] = reader.take(16).to_le_bytes();
        let mut value = u16::from_le_bytes([low, high]);
        self.values.clear();
        self.values.push(value);
        for _ in 1..count {
            let above = take_rice(&mut reader, parameter).ok_or_else(malformed)?;
            let next = u32::from(value) + 1 + above;
            value = u16::try_from(next).map_err(|_| malformed())?;
            self.values.push(value);
        }
        parts.take(reader.taken_bytes())?;
        Ok(Places {
            codec,
            coded: Coded {
                bytes: parts.rest(),
                shape: PlaneShape {
                    width: place_bits(count),
                    count: coded.shape.count,
                },
                ..*coded
            },
        })
    }

    /// Fills a plane from the places of its fields.
    ///
    /// # Errors
    /// `Corrupt` if there is no value at one of them.
    pub fn fill(&self, places: &[u8], plane: &mut [u8]) -> Result<()> {
        let value = |place: u16| self.values.get(usize::from(place)).copied();
        let fields = plane.as_chunks_mut::<2>().0.iter_mut();
        let mut missing = false;
        let mut put = |field: &mut [u8; 2], place| match value(place) {
            Some(value) => *field = value.to_le_bytes(),
            None => missing = true,
        };
        if place_bits(self.values.len()) == 8 {
            fields
                .zip(places)
                .for_each(|(field, &place)| put(field, place.into()));
        } else {
            let places = places.as_chunks::<2>().0.iter();
            fields
                .zip(places)
                .for_each(|(field, &place)| put(field, u16::from_le_bytes(place)));
        }
        if missing { Err(malformed()) } else { Ok(()) }
    }
}
