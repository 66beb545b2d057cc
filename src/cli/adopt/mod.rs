//! `adopt`: a directory of models is packed where it is and kept mounted over itself, and the way back.
//!
//! Invariant: what may keep it from being mounted is told before anything is packed; what is packed is mounted again however
//! packing or unpacking ends, where a unit was to do that. What packs and unpacks is `job`.
//!
//! Files, each importing only those before it: `store`, `place`, `mounted`, `turn`: what DIR is, and what may be done with it;
//! `shell_word`, `systemctl`, `unit`, `keeper`: what keeps it mounted; `told`: what is said; `undo`, `adopting`, `command`.

mod adopting;
mod command;
mod keeper;
mod mounted;
mod place;
mod shell_word;
mod store;
mod systemctl;
mod told;
mod turn;
mod undo;
mod unit;

pub(super) use command::adopt;
