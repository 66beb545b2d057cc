//! The base that the file is compared beside.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::contender::{Contender, Tool};
use super::original::open_file;
use crate::error::Result;
use crate::job::{Monitor, PackOptions, UnpackOptions, pack_file, unpack_file};

/// A base, as each contender takes it.
pub(super) struct BenchBase {
    plain: PathBuf,
    archive: PathBuf,
}

impl BenchBase {
    /// A model or its archive; what some of the contenders take and it is not yet is made in `directory`.
    ///
    /// # Errors
    /// `InvalidInput` if it is neither; as `pack_file` and `unpack_file`.
    pub(super) fn new(
        path: &Path,
        contenders: &[Contender],
        directory: &Path,
        threads: NonZeroUsize,
        monitor: &Monitor<'_>,
    ) -> Result<Self> {
        let mut plain = path.to_path_buf();
        if open_file(path)?.is_archive()? {
            plain = directory.join("base");
            let options = UnpackOptions {
                threads,
                ..UnpackOptions::default()
            };
            unpack_file(path, &plain, &options, monitor)?;
        }
        let archive = directory.join("base.wfz");
        let takes_archive = |contender: &Contender| matches!(contender, Contender::Beside(_));
        if contenders.iter().any(takes_archive) {
            let options = PackOptions {
                threads,
                ..PackOptions::default()
            };
            pack_file(&plain, &archive, &options, monitor)?;
        }
        Ok(Self { plain, archive })
    }

    /// What a contender takes; nothing if it stands for itself.
    pub(super) fn of(&self, contender: Contender) -> Option<&Path> {
        match contender {
            Contender::Beside(_) => Some(&self.archive),
            Contender::Stream(Tool::XorZstd, _) => Some(&self.plain),
            Contender::Archive(..) | Contender::Stream(..) => None,
        }
    }
}
