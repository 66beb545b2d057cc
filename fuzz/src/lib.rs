//! What the fuzz targets share: an input that is read as decisions, sound data made from a few of
//! them, and edits that damage it.
//!
//! Whatever the bytes of the input are, they mean something: where they end, they go on as zeros.

mod archives;
mod checked;
#[path = "../../tests/support/gguf.rs"]
pub mod gguf;
mod input;
mod levels;
mod models;
mod sample;
mod simd;

pub use archives::{ARCHIVES, BASE};
pub use checked::check_block;
pub use input::Input;
pub use levels::{LevelGroups, records};
pub use models::{gguf as gguf_file, safetensors, wide};
pub use sample::{LEVEL_MODEL, MODELS, Sample, SharedModel, base_of, float_of, moved, weights};
pub use simd::{block_decoders, decoders};

use weightfs::codec::Level;
use weightfs::format::CodecId;

/// What a target's first byte decides: whether the rest is what is decoded.
pub const AS_IT_IS: u8 = 0;

/// The profiles that a number in an input stands for: none, those of a model, or those with a shape of levels.
pub fn profiles(model: usize) -> Vec<u8> {
    match model.checked_sub(1) {
        Some(number) => MODELS.get(number).unwrap_or(&LEVEL_MODEL).profiles.clone(),
        None => Vec::new(),
    }
}

/// All levels.
pub const LEVELS: [Level; 3] = Level::ALL;

/// What comes before the coded bytes in an input of the target `plane` that is decoded as it is.
pub fn plane_input(
    codec: CodecId,
    width: u8,
    count: u16,
    model: u8,
    groups: [u8; 2],
    coded: &[u8],
) -> Vec<u8> {
    let mut input = vec![AS_IT_IS, codec.code(), width - 1];
    input.extend(count.to_le_bytes());
    input.push(model);
    input.extend(groups);
    input.extend(coded);
    input
}

/// What comes before the stored bytes in an input of the target `families` that is decoded as it is, the base's among them.
pub fn family_input(decoded_len: u16, base: &[u8], stored: &[u8]) -> Vec<u8> {
    let mut input = vec![AS_IT_IS];
    input.extend(decoded_len.to_le_bytes());
    input.extend((base.len() as u16).to_le_bytes());
    input.extend(base);
    input.extend(stored);
    input
}

/// What comes before the stored bytes in an input of the target `block` that is decoded as it is.
pub fn block_input(decoded_len: u16, model: u8, stored: &[u8]) -> Vec<u8> {
    let mut input = vec![AS_IT_IS];
    input.extend(decoded_len.to_le_bytes());
    input.push(model);
    input.extend(stored);
    input
}
