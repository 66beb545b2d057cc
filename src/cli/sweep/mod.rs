//! `sweep`: many lossy settings of one model, and what each costs.
//!
//! Invariant: sweep.csv has the rows of one model only, and of each setting all or, if it was stopped, some that are
//! dropped when it goes on.

mod command;
mod evaluation;
mod page;
mod settings;
mod sheet;

pub(super) use command::sweep;
