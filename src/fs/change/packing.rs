//! Stub.
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::fs::model_tree::ModelTree;
use crate::os::FileStamp;

/// A file that is to be packed.
#[derive(Debug)]
pub struct Packing {
    /// Where it is.
    pub from: PathBuf,
    /// Where its archive is to be made.
    pub to: PathBuf,
    stamp: FileStamp,
}

/// What became of it.
#[derive(Debug)]
pub enum Packed {
    /// Swapped.
    Swapped {
        /// Saved.
        saved_bytes: u64,
    },
    /// Changed.
    Changed,
    /// Busy.
    Busy,
}

impl ModelTree {
    /// Stub.
    pub fn tell_of_written(&self, tell: Box<dyn Fn(&Path) + Send + Sync>) {
        std::mem::forget(tell);
    }

    fn root_path(&self) -> PathBuf {
        std::fs::read_link(crate::os::handle_path(self.source.root())).unwrap_or_default()
    }

    /// Stub.
    ///
    /// # Errors
    /// Stub.
    pub fn begin_packing(&self, path: &Path) -> Result<Option<Packing>> {
        let root = self.root_path();
        let work = root.join(".weightfs/work");
        let cannot = |e| Error::io("stub", e);
        std::fs::create_dir_all(&work).map_err(cannot)?;
        let meta = root.join(path).metadata().map_err(cannot)?;
        Ok(Some(Packing {
            from: path.to_path_buf(),
            to: ".weightfs/work/1".into(),
            stamp: FileStamp::from_metadata(&meta),
        }))
    }

    /// Stub.
    ///
    /// # Errors
    /// Stub.
    pub fn finish_packing(&self, packing: Packing) -> Result<Packed> {
        let cannot = |e| Error::io("stub", e);
        let root = self.root_path();
        let from = root.join(&packing.from);
        let meta = from.metadata().map_err(cannot)?;
        let to = root.join(&packing.to);
        if FileStamp::from_metadata(&meta) != packing.stamp {
            std::fs::remove_file(to).map_err(cannot)?;
            return Ok(Packed::Changed);
        }
        let mut name = from.clone().into_os_string();
        name.push(".wfz");
        let saved_bytes = meta.len() - to.metadata().map_err(cannot)?.len();
        std::fs::rename(to, name).map_err(cannot)?;
        std::fs::remove_file(from).map_err(cannot)?;
        Ok(Packed::Swapped { saved_bytes })
    }

    /// Stub.
    pub fn abandon_packing(&self, packing: Packing) {
        let to = self.root_path().join(packing.to);
        let _ = std::fs::remove_file(&to);
        for entry in std::fs::read_dir(to.parent().unwrap_or(&to))
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
