//! Planes as run lengths: a byte `c` below 128 is followed by `c + 1` bytes as they are, any other by
//! one byte that is repeated `c - 125` times.

use crate::codec::plane::Coded;
use crate::error::{Error, Result};

/// Runs below this are cheaper among the bytes around them.
const MIN_RUN: usize = 3;
const MAX_RUN: usize = 255 - RUN + MIN_RUN;
const MAX_LITERALS: usize = RUN;
/// First value that stands for a run.
const RUN: usize = 128;

#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths are within the limits of a token"
)]
pub(super) fn encode(plane: &[u8], coded: &mut Vec<u8>) {
    let literals = |bytes: &[u8], coded: &mut Vec<u8>| {
        for piece in bytes.chunks(MAX_LITERALS) {
            coded.push((piece.len() - 1) as u8);
            coded.extend_from_slice(piece);
        }
    };
    let mut start = 0;
    let mut at = 0;
    while let Some(&value) = plane.get(at) {
        let rest = &plane[at..plane.len().min(at + MAX_RUN)];
        let run = rest.iter().take_while(|&&byte| byte == value).count();
        if run >= MIN_RUN {
            literals(&plane[start..at], coded);
            coded.extend([(RUN + run - MIN_RUN) as u8, value]);
            start = at + run;
        }
        at += run;
    }
    literals(&plane[start..], coded);
}

/// # Errors
/// `Corrupt` if the runs do not make up the plane.
pub(in crate::codec) fn decode_into(coded: &Coded<'_>, plane: &mut [u8]) -> Result<()> {
    decode(coded.bytes, plane).ok_or_else(|| Error::corrupt("runs do not make up their plane"))
}

fn decode(mut coded: &[u8], mut plane: &mut [u8]) -> Option<()> {
    while let Some((&token, rest)) = coded.split_first() {
        let token = usize::from(token);
        if token < RUN {
            let (bytes, rest) = rest.split_at_checked(token + 1)?;
            let (place, free) = plane.split_at_mut_checked(bytes.len())?;
            place.copy_from_slice(bytes);
            (coded, plane) = (rest, free);
        } else {
            let (&value, rest) = rest.split_first()?;
            let (place, free) = plane.split_at_mut_checked(token - RUN + MIN_RUN)?;
            place.fill(value);
            (coded, plane) = (rest, free);
        }
    }
    plane.is_empty().then_some(())
}
