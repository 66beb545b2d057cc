//! What is read: files in mounts, which are made anew whenever nothing of them may be remembered, and
//! ordinary files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

use super::server::{Server, Serves};
use super::watch::Watch;
use crate::error::{Error, Result};
use crate::fuse::MountOptions;

/// Something to read.
pub(super) struct Target<'a> {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// The most memory that any of its servers has held.
    pub(super) peak_bytes: Option<u64>,
    place: Place<'a>,
}

enum Place<'a> {
    Mount {
        serves: Serves,
        /// A directory of its own.
        directory: PathBuf,
        server: Option<Server<'a>>,
    },
    File(PathBuf),
}

impl<'a> Target<'a> {
    /// A file of `bytes` that a mount shows; nothing is mounted yet.
    pub(super) fn mount(name: &str, bytes: u64, serves: Serves, directory: PathBuf) -> Self {
        let place = Place::Mount {
            serves,
            directory,
            server: None,
        };
        Self::new(name, bytes, place)
    }

    /// An ordinary file.
    ///
    /// # Errors
    /// `Io` if there is none.
    pub(super) fn file(name: &str, path: &Path) -> Result<Self> {
        let bytes = file_bytes(path)?;
        Ok(Self::new(name, bytes, Place::File(path.to_path_buf())))
    }

    fn new(name: &str, bytes: u64, place: Place<'a>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            peak_bytes: None,
            place,
        }
    }

    /// What to open.
    pub(super) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Mount { server, .. } => server.as_ref().map(|server| server.file.as_path()),
        }
    }

    /// The same, of a target that is there.
    ///
    /// # Errors
    /// `InvalidInput` if it is not mounted any more.
    pub(super) fn present_path(&self) -> Result<&Path> {
        self.path()
            .ok_or_else(|| Error::InvalidInput("a mount is gone".into()))
    }

    pub(super) fn is_mount(&self) -> bool {
        matches!(self.place, Place::Mount { .. })
    }

    /// The process that serves it.
    pub(super) fn server(&self) -> Option<&Server<'a>> {
        match &self.place {
            Place::Mount { server, .. } => server.as_ref(),
            Place::File(_) => None,
        }
    }

    /// Ends its mount and mounts again: neither the kernel nor the server then knows anything of what
    /// was read.
    ///
    /// # Errors
    /// As `Server::start`.
    pub(super) fn begin_anew(
        &mut self,
        options: &MountOptions,
        watch: &'a Watch<'a>,
    ) -> Result<()> {
        self.end();
        if let Place::Mount {
            serves,
            directory,
            server,
        } = &mut self.place
        {
            *server = Some(Server::start(serves, options, directory, watch)?);
        }
        Ok(())
    }

    /// Ends its mount, if it has one.
    pub(super) fn end(&mut self) {
        if let Place::Mount { server, .. } = &mut self.place
            && let Some(server) = server.take()
        {
            self.peak_bytes = self.peak_bytes.max(server.peak_bytes());
        }
    }

    /// How far the kernel reads ahead in it, where it tells.
    pub(super) fn readahead_bytes(&self) -> Option<u64> {
        let device = fs::metadata(self.path()?).ok()?.dev();
        let control = format!(
            "/sys/class/bdi/{}:{}/read_ahead_kb",
            major(device),
            minor(device)
        );
        let kib: u64 = fs::read_to_string(control).ok()?.trim().parse().ok()?;
        kib.checked_mul(1024)
    }
}

fn file_bytes(path: &Path) -> Result<u64> {
    let cannot = |e| Error::io(format!("cannot read {}", path.display()), e);
    let meta = fs::metadata(path).map_err(cannot)?;
    if meta.is_file() {
        return Ok(meta.len());
    }
    Err(Error::InvalidInput(format!(
        "{} is not a file",
        path.display()
    )))
}
