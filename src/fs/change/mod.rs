//! Stub.
mod packing;
pub use packing::{Packed, Packing};
