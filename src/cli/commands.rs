//! The commands: arguments into jobs, jobs into reports.

use std::path::Path;
use std::time::Instant;

use super::args::{InspectArgs, PackArgs, UnpackArgs, VerifyArgs};
use super::{in_mount, job_report, lossy_report, preview_report, report};
use crate::console::{
    Outcome, Stop, is_broken_pipe, print, print_as, print_json, print_lines, say, watched,
};
use crate::error::{Error, Result};
use crate::job::{
    self, BaseAsked, Conversion, FileFilter, Monitor, OpenedBases, PackOptions, Replacements,
    UnpackOptions, VerifyOptions,
};
use crate::printable::printable_name;
use crate::sync::cores;

/// What the arguments of `pack` ask for.
///
/// # Errors
/// `InvalidInput` if that makes no sense.
pub(super) fn pack_options(args: &PackArgs) -> Result<PackOptions> {
    Ok(PackOptions {
        method: args.codec,
        level: args.level.into(),
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
        block_bytes: args.block_size,
        files: FileFilter::new(&args.only, &args.skip)?,
        lossy: args.lossy.options()?,
        base: args.base.as_deref().map(base_asked).transpose()?,
        bases: args.bases.search(),
        copy_base: args.copy_base,
        opened: OpenedBases::default(),
    })
}

pub(super) fn pack(args: &PackArgs) -> Result<Outcome> {
    let options = pack_options(args)?;
    let start = Instant::now();
    if !options.files.is_all() && !args.src.is_dir() {
        return Err(Error::InvalidInput(format!(
            "--only and --skip are of directories, and {} is none",
            printable_name(&args.src)
        )));
    }
    if args.dry_run && (!args.replace || options.lossy.is_some()) {
        return preview(args, &options);
    }
    if args.replace {
        if options.lossy.is_some() && !args.discard_original {
            return Err(Error::InvalidInput(
                "what lossy packing replaces cannot be had back; say --discard-original if that is wanted"
                    .into(),
            ));
        }
        in_mount::refuse_source(&args.src)?;
        return replace(
            (args.dry_run, args.json),
            "packing",
            |monitor| job::archives_to_make(&args.src, &options, monitor),
            |files, monitor| job::replace_by_archives(files, &options, monitor),
        );
    }
    in_mount::refuse_destination(args.dst.as_deref().unwrap_or(&args.src))?;
    args.report.as_deref().map_or(Ok(()), report::prepare)?;
    let stop = Stop::on_signals()?;
    let done = watched("packing", &stop, |monitor| {
        job::pack(&args.src, args.dst.as_deref(), &options, monitor)
    })?;
    if let Some(dir) = &args.report {
        let run = report::Run {
            source: &args.src,
            level: args.level.name(),
            codec: args.codec.name(),
            block_bytes: args.block_size,
            threads: options.threads,
            done: &done,
            seconds: start.elapsed().as_secs_f64(),
        };
        let found = watched("comparing", &stop, |monitor| {
            job::outlay(&args.src, &done.path, options.threads, monitor)
        })?;
        report::write_report(dir, &run, &found)?;
    }
    report(&done, start, args.json)
}

/// What `--base` names; a file in a mount is the archive that it is of.
fn base_asked(base: &Path) -> Result<BaseAsked> {
    if base == Path::new("auto") {
        return Ok(BaseAsked::Auto);
    }
    Ok(BaseAsked::Named(in_mount::archives_behind(base)?))
}

/// `--dry-run`: what would be packed, and what that would take. In place, those are other files.
fn preview(args: &PackArgs, options: &PackOptions) -> Result<Outcome> {
    let previews = watched("looking", &Stop::on_signals()?, |monitor| {
        job::preview(
            &args.src,
            args.dst.as_deref(),
            args.replace,
            options,
            monitor,
        )
    })?;
    tell_failures(&previews.failures);
    unless_nobody_reads(print_as(
        args.json,
        || preview_report::previews_json(&previews),
        || preview_report::previews_lines(&previews),
    ))?;
    Ok(Outcome::after(&previews.failures))
}

pub(super) fn unpack(args: &UnpackArgs) -> Result<Outcome> {
    let options = UnpackOptions {
        threads: args.threads.unwrap_or_else(cores),
        force: args.force,
        bases: args.bases.search(),
    };
    let start = Instant::now();
    if args.replace {
        in_mount::refuse_source(&args.src)?;
        return replace(
            (args.dry_run, args.json),
            "unpacking",
            |monitor| job::originals_to_make(&args.src, monitor),
            |archives, monitor| job::replace_by_originals(archives, &options, monitor),
        );
    }
    in_mount::refuse_destination(args.dst.as_deref().unwrap_or(&args.src))?;
    let src = in_mount::to_unpack(&args.src)?;
    let done = watched("unpacking", &Stop::on_signals()?, |monitor| {
        job::unpack(&src, args.dst.as_deref(), &options, monitor)
    })?;
    report(&done, start, args.json)
}

pub(super) fn verify(args: &VerifyArgs) -> Result<Outcome> {
    let start = Instant::now();
    let given = args
        .paths
        .iter()
        .map(|path| in_mount::archives_behind(path));
    let found = job::archives_in(&given.collect::<Result<Vec<_>>>()?)?;
    let options = VerifyOptions {
        threads: args.threads.unwrap_or_else(cores),
        deep: args.deep,
        bases: args.bases.search(),
    };
    let verified = watched("verifying", &Stop::on_signals()?, |monitor| {
        job::verify(&found.archives, &options, monitor)
    })?;
    let time = start.elapsed();
    tell_failures(&found.failures);
    unless_nobody_reads(print_as(
        args.json,
        || job_report::verified_json(&verified, &found.failures, time),
        || job_report::verified_lines(&verified, time),
    ))?;
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
    if args.path.is_dir() {
        return Err(Error::InvalidInput(format!(
            "{} is a directory; name an archive in it",
            printable_name(&args.path)
        )));
    }
    let path = in_mount::archives_behind(&args.path)?;
    let found = job::inspect(&path, &args.bases.search())?;
    if args.json {
        let object = job_report::inspection_json(&path, &found, start.elapsed());
        print_json(&object)?;
    } else {
        print_lines(job_report::inspection_lines(&path, &found))?;
    }
    Ok(Outcome::Done)
}

/// Tells what was done and what was not.
pub(super) fn report(done: &Conversion, start: Instant, as_json: bool) -> Result<Outcome> {
    let time = start.elapsed();
    let lossy = lossy_report::fidelity_of(done);
    tell_failures(&done.failures);
    unless_nobody_reads(print_as(
        as_json,
        || job_report::conversion_json(done, lossy.as_ref(), time),
        || job_report::conversion_lines(done, lossy.as_ref(), time),
    ))?;
    Ok(Outcome::after(&done.failures))
}

/// Whether somebody reads what was found is no matter for how the command ends.
pub(super) fn unless_nobody_reads(printed: Result<()>) -> Result<()> {
    match printed {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

pub(super) fn tell_failures(failures: &[Error]) {
    for failure in failures {
        say(&format!("weightfs: {failure}"));
    }
    if failures.len() > 1 {
        say(&format!(
            "weightfs: {} failed; the rest is done",
            failures.len()
        ));
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
    if planned.files.is_empty() && planned.failures.is_empty() && !as_json {
        let path = printable_name(&planned.path);
        print(&format!("{path}: there is nothing to replace"))?;
        return Ok(Outcome::Done);
    }
    if !dry_run {
        let done = watched(what, &stop, |monitor| run(planned, monitor))?;
        return report(&done, start, as_json);
    }
    tell_failures(&planned.failures);
    unless_nobody_reads(print_as(
        as_json,
        || job_report::plan_json(&planned),
        || job_report::plan_lines(&planned),
    ))?;
    Ok(Outcome::after(&planned.failures))
}
