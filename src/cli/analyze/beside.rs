//! What a model would take beside a base.

use std::path::PathBuf;

use crate::console::size;
use crate::printable::printable_name;

/// What is expected of the default level.
pub(super) struct BesideBase {
    pub base: PathBuf,
    pub original_bytes: u64,
    pub stored_bytes: u64,
}

impl BesideBase {
    pub fn ratio(&self) -> f64 {
        size::ratio(self.original_bytes, self.stored_bytes)
    }

    pub fn line(&self) -> String {
        format!(
            "beside {} (pack --base): about {}, ratio {:.2}",
            printable_name(&self.base),
            size::show(self.stored_bytes),
            self.ratio()
        )
    }
}
