//! The commands: arguments into jobs, jobs into reports.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use super::args::{InspectArgs, PackArgs, UnpackArgs, VerifyArgs};
use super::job_report;
use crate::console::{Outcome, Stop, print, print_as, watched};
use crate::error::{Error, Result};
use crate::job::{self, Monitor, PackOptions, Replacement, Totals, UnpackOptions, VerifyOptions};
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
        return replace(
            (&args.src, args.dry_run, args.json),
            "packing",
            |monitor| job::archives_to_make(&args.src, monitor),
            |files, monitor| job::replace_by_archives(files, &options, monitor),
        );
    }
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
        return replace(
            (&args.src, args.dry_run, args.json),
            "unpacking",
            |monitor| job::originals_to_make(&args.src, monitor),
            |archives, monitor| job::replace_by_originals(archives, &options, monitor),
        );
    }
    let (to, totals) = watched("unpacking", &Stop::on_signals()?, |monitor| {
        job::unpack(&args.src, args.dst.as_deref(), &options, monitor)
    })?;
    print_totals(&to, &totals, start, args.json)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<Outcome> {
    let start = Instant::now();
    let paths = job::archives_in(&args.paths)?;
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
        || job_report::verified_text(&found, time),
    )?;
    let problems = || found.iter().flat_map(|archive| &archive.problems);
    if let Some(other) = problems().find(|problem| !job::is_damage(problem)) {
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
    let found = job::inspect(&args.path)?;
    if args.json {
        let mut out = BufWriter::new(io::stdout().lock());
        job_report::write_inspection_json(&mut out, &args.path, &found, start.elapsed())
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out).and_then(|()| out.flush()))
            .map_err(|e| Error::io("cannot write to stdout", e))?;
    } else {
        print(&job_report::inspection_text(&args.path, &found))?;
    }
    Ok(Outcome::Done)
}

fn print_totals(to: &Path, totals: &Totals, start: Instant, as_json: bool) -> Result<Outcome> {
    let time = start.elapsed();
    print_as(
        as_json,
        || job_report::totals_json(to, totals, time),
        || job_report::totals_text(to, totals, time),
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
    if !dry_run {
        let totals = watched(what, &stop, |monitor| run(&planned, monitor))?;
        return print_totals(src, &totals, start, as_json);
    }
    print_as(
        as_json,
        || job_report::plan_json(&planned),
        || job_report::plan_text(&planned),
    )?;
    Ok(Outcome::Done)
}
