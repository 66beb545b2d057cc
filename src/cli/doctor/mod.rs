//! `doctor`: what there is to mount with, what a load will be limited by, and what to change.

mod command;
mod machine_text;
mod mount_text;
mod source_text;
mod text;
mod words;

pub(super) use command::doctor;
