//! What a machine, a place of archives and a mount are like, and what is to be changed.
//!
//! Invariant: every fact was measured or read, in this run or by the mount that is asked; what could not be had is
//! `Found::Unknown` with the reason. Advice is made of facts alone, by rules that do nothing else, and tells the
//! figures that it comes from. Nothing that is asked can keep this process for ever: what may not answer is asked by a
//! process of its own, for a limited time.
//!
//! Files, each importing only those before it:
//!
//! - `found`: what facts are made of;
//! - `decode_speed`, `sample`: decoding for a moment;
//! - `processor`, `memory`, `test_mount`, `place`, `mounted`: the facts, each asked of one thing;
//! - `machine`, `load`, `facts`: what they make together, and what a cold load comes down to;
//! - `advice`: the rules.

mod advice;
mod decode_speed;
mod facts;
mod found;
mod load;
mod machine;
mod memory;
mod mounted;
mod place;
mod processor;
mod sample;
mod test_mount;

pub(crate) use advice::{Advice, Weight, advise};
pub(crate) use decode_speed::DecodeSpeed;
pub(crate) use facts::Facts;
pub(crate) use found::Found;
pub(crate) use load::Load;
pub(crate) use machine::Machine;
pub(crate) use memory::MemoryFacts;
pub(crate) use mounted::{MountFacts, MountState, ask_path};
pub(crate) use place::{Packed, Place};
pub(crate) use processor::ProcessorFacts;
pub(crate) use sample::{Coding, LevelCoding};
pub(crate) use test_mount::TestMount;
