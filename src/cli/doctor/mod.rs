//! `doctor`: what there is to mount with, what a load will be limited by, and what to change.

mod command;
mod text;

pub(super) use command::doctor;
