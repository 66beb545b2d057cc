//! `pack-behind`: what a mount starts to pack a file that was written to it.
//!
//! The file comes open as stdin: by its name somebody could make it another one. What became of it is one line of
//! JSON.

use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use rustix::fs::Mode;
use rustix::process::umask;

use super::process_args::PackBehindArgs;
use crate::console::{Outcome, Stop, print_json};
use crate::daemon::PackAnswer;
use crate::daemon::process::die_with_parent;
use crate::error::{Error, Result};
use crate::job::{self, Behind, Monitor, PackOptions};
use crate::os::stand_back;

pub(super) fn pack_behind(args: &PackBehindArgs) -> Result<Outcome> {
    die_with_parent(args.parent)?;
    stand_back();
    umask(Mode::RWXG | Mode::RWXO);
    let stop = Stop::on_signals()?;
    let options = PackOptions {
        level: args.level.into(),
        threads: NonZeroUsize::MIN,
        ..PackOptions::default()
    };
    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let file = File::from(stdin.map_err(|e| Error::io("cannot use stdin", e))?);
    let monitor = Monitor::silent(stop.flag());
    let answer = match job::pack_behind(file, &args.from, &args.to, &options, &monitor) {
        Ok(Behind::Packed(totals)) => PackAnswer::Packed {
            original_bytes: totals.original_bytes,
            stored_bytes: totals.stored_bytes,
        },
        Ok(Behind::NotSmaller) => PackAnswer::NotSmaller,
        Ok(Behind::NoModel) => PackAnswer::NoModel,
        Ok(Behind::Fault(why)) => PackAnswer::Fault(why),
        Err(Error::Interrupted) => return Err(Error::Interrupted),
        Err(error) => PackAnswer::Failed(error.to_string()),
    };
    print_json(&answer)?;
    Ok(Outcome::Done)
}
