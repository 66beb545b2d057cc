//! What a program uses that links this crate: open an archive and read from it, and mount. Packing,
//! unpacking and verifying are the jobs themselves.
//!
//! Invariant: everything here is promised; nothing here names a type of another room that is not.

mod archive;
mod mount;

pub use archive::Archive;
pub use mount::{Mount, mount};
