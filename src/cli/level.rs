//! Levels, as they are given.

use clap::ValueEnum;

use crate::codec;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Level {
    /// Decoding speed first, most of all on processors without AVX-512
    Fast,
    /// Nearly as small as can be, and fast
    #[default]
    #[value(alias = "balanced")]
    Default,
    /// Size first; decodes at about half the speed
    Max,
}

impl Level {
    /// As it is given.
    pub(super) fn name(self) -> &'static str {
        codec::Level::from(self).name()
    }
}

impl From<Level> for codec::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Fast => Self::Fast,
            Level::Default => Self::Default,
            Level::Max => Self::Max,
        }
    }
}
