//! `analyze`: what the bytes of a model are like.

mod beside;
mod command;
mod html;
mod plots;
mod text;
mod words;

pub(super) use command::analyze;
