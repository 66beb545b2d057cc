//! Reading ahead: which streams readers follow, in which order they take tensors, and the threads that
//! fetch what comes next.

mod job;
mod manner;
mod order;
pub(super) mod page_cache;
pub(super) mod prefetch;
mod readers;
mod streams;
pub(super) mod wiring;
pub(super) mod worker;

pub(super) use manner::Manner;
pub(super) use readers::Readers;
pub(super) use streams::{Ask, Fetch, FileShape, Findings};
