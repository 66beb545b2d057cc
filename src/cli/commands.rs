//! The commands: arguments into jobs, jobs into reports.

use std::path::Path;
use std::time::Instant;

use super::args::{InspectArgs, PackArgs, UnpackArgs, VerifyArgs};
use super::{in_mount, job_report};
use crate::console::{Outcome, Stop, print, print_as, print_json, print_lines, watched};
use crate::error::{Error, Result};
use crate::job::{self, Monitor, PackOptions, Replacement, Totals, UnpackOptions, VerifyOptions};
use crate::printable::printable_name;
use crate::sync::cores;

pub(super) fn pack(args: &PackArgs) -> Result<Outcome> {
    let options = PackOptions {
        method: args.codec,
        level: args.level.into(),
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
        block_bytes: args.block_size,
    };
    let start = Instant::now();
    if args.replace {
        in_mount::refuse_source(&args.src)?;
        return replace(
            (&args.src, args.dry_run, args.json),
            "packing",
            |monitor| job::archives_to_make(&args.src, monitor),
            |files, monitor| job::replace_by_archives(files, &options, monitor),
        );
    }
    in_mount::refuse_destination(args.dst.as_deref().unwrap_or(&args.src))?;
    let (to, totals) = watched("packing", &Stop::on_signals()?, |monitor| {
        job::pack(&args.src, args.dst.as_deref(), &options, monitor)
    })?;
    print_totals(&to, &totals, start, args.json)
}

pub(super) fn unpack(args: &UnpackArgs) -> Result<Outcome> {
    let options = UnpackOptions {
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
    };
    let start = Instant::now();
    if args.replace {
        in_mount::refuse_source(&args.src)?;
        return replace(
            (&args.src, args.dry_run, args.json),
            "unpacking",
            |monitor| job::originals_to_make(&args.src, monitor),
            |archives, monitor| job::replace_by_originals(archives, &options, monitor),
        );
    }
    in_mount::refuse_destination(args.dst.as_deref().unwrap_or(&args.src))?;
    let src = in_mount::to_unpack(&args.src)?;
    let (to, totals) = watched("unpacking", &Stop::on_signals()?, |monitor| {
        job::unpack(&src, args.dst.as_deref(), &options, monitor)
    })?;
    print_totals(&to, &totals, start, args.json)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<Outcome> {
    let start = Instant::now();
    let given = args
        .paths
        .iter()
        .map(|path| in_mount::archives_behind(path));
    let paths = job::archives_in(&given.collect::<Result<Vec<_>>>()?)?;
    let options = VerifyOptions {
        threads: args.threads.unwrap_or_else(cores),
        deep: args.deep,
    };
    let found = watched("verifying", &Stop::on_signals()?, |monitor| {
        job::verify(&paths, &options, monitor)
    })?;
    let time = start.elapsed();
    print_as(
        args.json,
        || job_report::verified_json(&found, time),
        || job_report::verified_lines(&found, time),
    )?;
    let problems = || found.iter().flat_map(|archive| &archive.problems);
    let is_damage = |e: &Error| matches!(e, Error::Corrupt(_) | Error::NotThisFormat(_));
    if let Some(other) = problems().find(|problem| !is_damage(problem)) {
        // Not damage, but not verified either; it was listed with the rest.
        return Err(Error::InvalidInput(format!(
            "not everything could be verified: {other}"
        )));
    }
    Ok(if problems().next().is_none() {
        Outcome::Done
    } else {
        Outcome::DamageFound
    })
}

pub(super) fn inspect(args: &InspectArgs) -> Result<Outcome> {
    let start = Instant::now();
    if args.path.is_dir() {
        return Err(Error::InvalidInput(format!(
            "{} is a directory; name an archive in it",
            printable_name(&args.path)
        )));
    }
    let path = in_mount::archives_behind(&args.path)?;
    let found = job::inspect(&path)?;
    if args.json {
        let object = job_report::inspection_json(&path, &found, start.elapsed());
        print_json(&object)?;
    } else {
        print_lines(job_report::inspection_lines(&path, &found))?;
    }
    Ok(Outcome::Done)
}

fn print_totals(to: &Path, totals: &Totals, start: Instant, as_json: bool) -> Result<Outcome> {
    let time = start.elapsed();
    print_as(
        as_json,
        || job_report::totals_json(to, totals, time),
        || job_report::totals_lines(to, totals, time),
    )?;
    Ok(Outcome::Done)
}

/// `--replace`: plans, and carries the plan out unless that is all that was wanted.
fn replace(
    (src, dry_run, as_json): (&Path, bool, bool),
    what: &'static str,
    plan: impl FnOnce(&Monitor<'_>) -> Result<Vec<Replacement>>,
    run: impl FnOnce(&[Replacement], &Monitor<'_>) -> Result<Totals>,
) -> Result<Outcome> {
    let start = Instant::now();
    let stop = Stop::on_signals()?;
    let planned = watched("looking", &stop, plan)?;
    if planned.is_empty() && !as_json {
        let path = printable_name(src);
        print(&format!("{path}: there is nothing to replace"))?;
        return Ok(Outcome::Done);
    }
    if !dry_run {
        let totals = watched(what, &stop, |monitor| run(&planned, monitor))?;
        return print_totals(src, &totals, start, as_json);
    }
    print_as(
        as_json,
        || job_report::plan_json(&planned),
        || job_report::plan_lines(&planned),
    )?;
    Ok(Outcome::Done)
}
