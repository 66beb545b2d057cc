//! The commands: arguments into jobs, jobs into reports.

use std::io::{self, BufWriter, Write};
use std::time::Instant;

use super::args::{InspectArgs, PackArgs, UnpackArgs, VerifyArgs};
use super::job_report;
use crate::console::{Outcome, Stop, print, print_as, watched};
use crate::error::{Error, Result};
use crate::job::{
    self, Conversion, Monitor, PackOptions, Replacements, UnpackOptions, VerifyOptions,
};
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
            (args.dry_run, args.json),
            "packing",
            |monitor| job::archives_to_make(&args.src, monitor),
            |files, monitor| job::replace_by_archives(files, &options, monitor),
        );
    }
    let done = watched("packing", &Stop::on_signals()?, |monitor| {
        job::pack(&args.src, args.dst.as_deref(), &options, monitor)
    })?;
    report(&done, start, args.json)
}

pub(super) fn unpack(args: &UnpackArgs) -> Result<Outcome> {
    let options = UnpackOptions {
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
    };
    let start = Instant::now();
    if args.replace {
        return replace(
            (args.dry_run, args.json),
            "unpacking",
            |monitor| job::originals_to_make(&args.src, monitor),
            |archives, monitor| job::replace_by_originals(archives, &options, monitor),
        );
    }
    let done = watched("unpacking", &Stop::on_signals()?, |monitor| {
        job::unpack(&args.src, args.dst.as_deref(), &options, monitor)
    })?;
    report(&done, start, args.json)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<Outcome> {
    let start = Instant::now();
    let found = job::archives_in(&args.paths)?;
    let options = VerifyOptions {
        threads: args.threads.unwrap_or_else(cores),
        deep: args.deep,
    };
    let verified = watched("verifying", &Stop::on_signals()?, |monitor| {
        job::verify(&found.archives, &options, monitor)
    })?;
    let time = start.elapsed();
    print_as(
        args.json,
        || job_report::verified_json(&verified, &found.failures, time),
        || job_report::verified_text(&verified, time),
    )?;
    tell_failures(&found.failures);
    let problems = || verified.iter().flat_map(|archive| &archive.problems);
    if let Some(other) = problems().find(|problem| !problem.is_damage()) {
        // Not damage, but not verified either; it was listed with the rest.
        return Err(Error::InvalidInput(format!(
            "not everything could be verified: {other}"
        )));
    }
    Ok(
        if found.failures.is_empty() && problems().next().is_some() {
            Outcome::DamageFound
        } else {
            Outcome::after(&found.failures)
        },
    )
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

/// Tells what was done and what was not.
fn report(done: &Conversion, start: Instant, as_json: bool) -> Result<Outcome> {
    let time = start.elapsed();
    print_as(
        as_json,
        || job_report::conversion_json(done, time),
        || job_report::conversion_text(done, time),
    )?;
    tell_failures(&done.failures);
    Ok(Outcome::after(&done.failures))
}

fn tell_failures(failures: &[Error]) {
    let mut stderr = io::stderr().lock();
    for failure in failures {
        // Whoever closed stderr does not want to know.
        let _ = writeln!(stderr, "weightfs: {failure}");
    }
    if failures.len() > 1 {
        let _ = writeln!(
            stderr,
            "weightfs: {} failed; the rest is done",
            failures.len()
        );
    }
}

/// `--replace`: plans, and carries the plan out unless that is all that was wanted.
fn replace(
    (dry_run, as_json): (bool, bool),
    what: &'static str,
    plan: impl FnOnce(&Monitor<'_>) -> Result<Replacements>,
    run: impl FnOnce(Replacements, &Monitor<'_>) -> Result<Conversion>,
) -> Result<Outcome> {
    let start = Instant::now();
    let stop = Stop::on_signals()?;
    let planned = watched("looking", &stop, plan)?;
    if !dry_run {
        let done = watched(what, &stop, |monitor| run(planned, monitor))?;
        return report(&done, start, as_json);
    }
    print_as(
        as_json,
        || job_report::plan_json(&planned),
        || job_report::plan_text(&planned),
    )?;
    tell_failures(&planned.failures);
    Ok(Outcome::after(&planned.failures))
}
