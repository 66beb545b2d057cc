//! What a container, a service or a batch job may lack: memory, threads, address space, system calls that
//! its filter does not know, the right to mount. The program works with less, or says what is missing.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "test code"
)]

#[path = "../support/mod.rs"]
mod support;

mod group;
mod limited;
mod memory;
mod system_calls;
mod threads;
