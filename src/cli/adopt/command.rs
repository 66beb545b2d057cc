//! `adopt`: the way there or back.

use super::place::resolve;
use super::told::Told;
use super::turn::Turn;
use super::{adopting, undo};
use crate::cli::adopt_args::AdoptArgs;
use crate::console::{Outcome, Stop, say};
use crate::error::Result;
use crate::printable::printable_name;

pub(crate) fn adopt(args: &AdoptArgs) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let directory = resolve(&args.dir)?;
    let given = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    if given != directory {
        say(&format!(
            "weightfs: {} is {}",
            printable_name(&args.dir),
            printable_name(&directory)
        ));
    }
    let _turn = Turn::take(&directory)?;
    let mut told = Told::of(&directory, args.json);
    let outcome = if args.undo {
        undo::undo(&directory, args, &stop, &mut told)
    } else {
        adopting::adopt(&directory, args, &stop, &mut told)
    }?;
    told.finish()?;
    Ok(outcome)
}
