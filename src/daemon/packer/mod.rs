//! Packing files behind those who write them.
//!
//! Invariant: nobody waits for it. One file at a time is packed by a process of its own that runs when all else is
//! idle, and only its archive, whole and durable, is handed to the tree, which lets it take the file's place or
//! refuses. Nothing is removed here but half-done archives. Knows no format, and nothing of how a place is taken.
//!
//! Files, each importing only those before it: `answer`, `child`: the process; `inbox`, `queue`, `pace`, `room`, `scan`:
//! what is packed, and when; `worker`: the thread; `handle`: starting and ending it.

mod answer;
mod child;
mod handle;
mod inbox;
mod pace;
mod queue;
mod room;
mod scan;
mod worker;

pub(crate) use answer::PackAnswer;
pub(crate) use handle::Packer;
