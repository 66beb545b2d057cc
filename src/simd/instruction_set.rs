//! Sets of vector instructions, and which of them this machine has.

/// Instruction sets, each with all that the ones before have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Simd(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Set {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Simd {
    /// No instructions but those every machine of this architecture has.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The best this machine has, or less if the environment variable `WEIGHTFS_SIMD` (`portable`,
    /// `avx2`, `avx512`) asks for less, which is there to compare them.
    pub fn detect() -> Self {
        let wanted = std::env::var("WEIGHTFS_SIMD");
        Self::available()
            .find(|simd| wanted.as_ref().map_or(true, |name| name == simd.name()))
            .unwrap_or(Self::PORTABLE)
    }

    /// All that this machine has, the best first.
    pub fn available() -> impl Iterator<Item = Self> {
        let sets = [
            #[cfg(target_arch = "x86_64")]
            (Set::Avx512, has_avx512()),
            #[cfg(target_arch = "x86_64")]
            (Set::Avx2, has_avx2()),
            (Set::Portable, true),
        ];
        sets.into_iter()
            .filter_map(|(set, there)| there.then_some(Self(set)))
    }

    /// The name that `WEIGHTFS_SIMD` knows it by.
    pub const fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }

    /// AVX2 may be used.
    #[cfg(target_arch = "x86_64")]
    pub fn avx2(self) -> bool {
        self.0 >= Set::Avx2
    }

    /// AVX-512 with F, BW, VL, VBMI and VBMI2 may be used: what server processors have had since Ice
    /// Lake and Zen 4.
    #[cfg(target_arch = "x86_64")]
    pub fn avx512(self) -> bool {
        self.0 >= Set::Avx512
    }
}

/// What has the first of these has the second as well.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
}
