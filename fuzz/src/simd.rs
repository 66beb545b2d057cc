//! A decoder for each instruction set of this machine.

use weightfs::block::BlockDecoder;
use weightfs::codec::Decoder;
use weightfs::simd::Simd;

/// Decoders of planes, with the names of what they use.
pub fn decoders() -> Vec<(&'static str, Decoder)> {
    Simd::available()
        .map(|simd| (simd.name(), Decoder::with_simd(simd).expect("memory")))
        .collect()
}

/// Decoders of blocks, with the names of what they use.
pub fn block_decoders() -> Vec<(&'static str, BlockDecoder)> {
    let decoders = Simd::available()
        .map(|simd| {
            // SAFETY: called while the target has one thread.
            unsafe { std::env::set_var("WEIGHTFS_SIMD", simd.name()) };
            (simd.name(), BlockDecoder::new().expect("memory"))
        })
        .collect();
    // SAFETY: as above.
    unsafe { std::env::remove_var("WEIGHTFS_SIMD") };
    decoders
}
