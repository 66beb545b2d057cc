//! `demo`: the whole job on one model.

mod demo_report;
mod files;
mod mounted;
mod reading;
mod run;
mod sample_model;

pub(super) use run::demo;
