//! The command line: arguments, what they mean, what is printed. Nothing below knows of it.
//!
//! Data goes to stdout, talk to stderr. Exit status 0: done; 1: verify found damage, or doctor what
//! keeps one from mounting, or family a base that is missing; 2: error.

mod adopt;
mod adopt_args;
mod analyze;
mod args;
mod commands;
mod completions;
mod demo;
mod doctor;
mod family;
mod family_args;
mod in_mount;
mod install_args;
mod job_report;
mod level;
mod lossy_args;
mod lossy_report;
mod man;
mod mount;
mod mount_helper;
mod pack_behind;
mod page;
mod preview_report;
mod process_args;
mod program;
mod report;
mod stats;
mod sweep;

pub use program::run;
