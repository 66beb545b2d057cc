//! `demo`: the whole job on one model.

mod run;
mod sample_model;

pub(super) use run::demo;
