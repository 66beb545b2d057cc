//! A decoder for each instruction set of this machine.

use weightfs::block::BlockDecoder;
use weightfs::codec::Decoder;
use weightfs::simd::Simd;

/// Decoders of planes, one for each instruction set.
pub fn decoders() -> Vec<(Simd, Decoder)> {
    Simd::available()
        .map(|simd| (simd, Decoder::new().expect("memory")))
        .collect()
}

/// Decoders of blocks, with the names of what they use.
pub fn block_decoders() -> Vec<(&'static str, BlockDecoder)> {
    Simd::available()
        .map(|simd| (simd.name(), BlockDecoder::with_simd(simd).expect("memory")))
        .collect()
}
