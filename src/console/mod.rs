//! What commands share that talk to a person: progress, sizes, printing, tables, charts,
//! files of rows. Knows no
//! command.

pub(crate) mod chart;
pub(crate) mod csv_file;
mod outcome;
mod print;
pub(crate) mod progress;
pub(crate) mod serving;
pub(crate) mod size;
mod stop;
pub(crate) mod text_table;

pub(crate) use outcome::Outcome;
pub(crate) use print::{is_broken_pipe, print, print_as, print_json, print_lines, say};
pub(crate) use progress::{watched, watched_parts};
pub(crate) use stop::Stop;
