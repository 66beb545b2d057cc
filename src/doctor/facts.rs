//! All facts of one run.

use serde::Serialize;

use super::found::Found;
use super::load::Load;
use super::machine::Machine;
use super::mounted::MountFacts;
use super::place::Place;

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub(crate) struct Facts {
    pub(crate) machine: Machine,
    /// The mount that was named, if one was.
    pub(crate) mount: Option<MountFacts>,
    /// The place that was named, or what the mount shows.
    pub(crate) source: Option<Found<Place>>,
    /// What loading from there comes down to.
    pub(crate) load: Option<Load>,
}

impl Facts {
    /// All there is to know of a machine, and of what was named.
    pub(crate) fn new(
        machine: Machine,
        mount: Option<MountFacts>,
        source: Option<Found<Place>>,
    ) -> Self {
        let place = source.as_ref().and_then(Found::known);
        let load = place.and_then(|place| Load::of(&machine, place));
        Self {
            machine,
            mount,
            source,
            load,
        }
    }

    /// The place, if it is known.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.source.as_ref().and_then(Found::known)
    }
}
