//! weightfs: a file system that shows compressed model archives as ordinary files.
//!
//! The modules form ranks; each imports only those before it (`tests/layering.rs` checks that). In
//! this order they follow the bytes from the disk to the reader: [`error`], [`sync`], [`io`],
//! [`mod@format`], [`plane`], [`codec`], [`block`], [`safetensors`], [`layout`], [`pipeline`],
//! [`archive`]; then two ways to use archives that do not know of each other: [`job`] for files and
//! directories, and [`cache`], [`mod@file`], [`fs`], [`fuse`] for mounts; and [`cli`] over all.
//!
//! A block of weights, encoded and decoded:
//!
//! ```
//! use weightfs::block::{BlockDecoder, BlockEncoder};
//! use weightfs::codec::Level;
//! use weightfs::format::{ElementType, Profiles, checksum};
//!
//! let weights: Vec<u8> = (0..1000u16)
//!     .flat_map(|i| (0x3c00 + i % 7).to_le_bytes())
//!     .collect();
//! let mut stored = Vec::new();
//! BlockEncoder::new(Level::Default)?.encode(&weights, ElementType::Bf16, &[], &mut stored)?;
//! assert!(stored.len() < weights.len());
//!
//! let mut decoded = vec![0; weights.len()];
//! let mut decoder = BlockDecoder::new()?;
//! decoder.decode_into(&stored, checksum(&weights), Profiles::NONE, &mut decoded)?;
//! assert_eq!(decoded, weights);
//! # Ok::<(), weightfs::Error>(())
//! ```

pub mod archive;
#[cfg(all(feature = "cli", feature = "comparison"))]
pub mod bench;
pub mod block;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codec;
#[cfg(feature = "cli")]
pub mod console;
#[cfg(feature = "cli")]
pub mod daemon;
pub mod error;
pub mod file;
pub mod format;
pub mod fs;
pub mod fuse;
pub mod job;
pub mod model;
pub mod os;
pub mod plane;
pub mod simd;
pub mod storage;
pub mod sync;

pub use error::{Error, Result};
