//! `analyze`: what the bytes of a model are like.

mod html;
mod text;

pub(super) use text::analyze;
