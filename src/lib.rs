//! weightfs: a file system that shows compressed model archives as ordinary files.
//!
//! Most use the program: `weightfs pack`, `weightfs mount`. This crate is for programs that do the same
//! themselves:
//!
//! - [`Archive`]: open an archive and read from it at any offset, or a tensor by name, without a mount;
//! - [`pack`], [`unpack`], [`verify`]: the jobs, with a [`Monitor`] to watch and stop them;
//! - [`LossyOptions`], as [`PackOptions::lossy`]: how to make models lossy; [`Archive::fidelity`] tells it again;
//! - [`mount()`]: show a directory of archives as ordinary files.
//!
//! `examples/` has a program for each. What is exported here is kept stable within a minor version; the
//! modules are not, and are public for the program, tests, benchmarks and fuzzers of this repository
//! alone. ARCHITECTURE.md is their map.
//!
//! A model, packed and read again:
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use weightfs::{Archive, Monitor, PackOptions, pack};
//!
//! let directory = tempfile::tempdir()?;
//! let (file, archive) = (directory.path().join("model"), directory.path().join("model.wfz"));
//! let weights: Vec<u8> = (0..100_000u32).flat_map(|i| (0x3c00 + i % 7).to_le_bytes()).collect();
//! std::fs::write(&file, &weights)?;
//!
//! let never = AtomicBool::new(false);
//! let packed = pack(&file, Some(&archive), &PackOptions::default(), &Monitor::silent(&never))?;
//! assert!(packed.failures.is_empty());
//!
//! let archive = Archive::open(&archive)?;
//! assert!(archive.stored_bytes() < archive.file_bytes());
//! let mut part = vec![0; 1000];
//! archive.read_at(&mut part, 4321)?;
//! assert_eq!(part, weights[4321..5321]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Features: `cli` is the program, `comparison` what weights are compared with (general coders behind
//! `pack --codec`, and `bench`); both are on by default, and a program that links the library needs
//! neither.

mod api;

#[doc(hidden)]
pub mod archive;
#[cfg(all(feature = "cli", feature = "comparison"))]
#[doc(hidden)]
pub mod bench;
#[doc(hidden)]
pub mod block;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod codec;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod console;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod daemon;
#[cfg(feature = "cli")]
pub(crate) mod doctor;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod file;
#[doc(hidden)]
pub mod format;
#[doc(hidden)]
pub mod fs;
#[doc(hidden)]
pub mod fuse;
#[doc(hidden)]
pub mod grid;
#[doc(hidden)]
pub mod job;
#[cfg(feature = "cli")]
pub(crate) mod made_up;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod os;
#[doc(hidden)]
pub mod plane;
#[doc(hidden)]
pub mod printable;
#[doc(hidden)]
pub mod simd;
#[doc(hidden)]
pub mod storage;
#[doc(hidden)]
pub mod sync;

pub use api::{Archive, Mount, mount};
pub use codec::{Level, Method};
pub use error::{Damage, Error, Remark, Result};
pub use format::{ElementType, FidelitySummary, LossyMethod, TensorFidelity};
pub use fuse::{MountOptions, Unmount};
pub use grid::ScaleFit;
pub use job::{
    Asked, Conversion, FileFilter, Grid, LossyOptions, Monitor, PackOptions, Rule, Setting, Totals,
    UnpackOptions, Verification, VerifyOptions, pack, unpack, verify,
};
pub use model::Tensor;
