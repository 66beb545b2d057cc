//! `demo`: the whole job on one model, step by step.
//!
//! The mount is served by another process: a program that maps a file of a mount it serves itself
//! can wait for itself for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::demo_report::Measured;
use super::files::Files;
use super::reading::{Way, sha256, timed};
use super::{mounted, sample_model};
use crate::cli::args::DemoArgs;
use crate::console::{Outcome, Stop, print_as, say, watched};
use crate::error::{Error, Result};
use crate::job::{self, PackOptions};

pub(crate) fn demo(args: &DemoArgs) -> Result<Outcome> {
    let stop = Stop::on_signals()?;
    let work = TempDir::with_prefix("weightfs-demo-")
        .map_err(|e| Error::io("cannot make a temporary directory", e))?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => made_up(work.path())?,
    };
    let packed = work.path().join("packed");
    let mountpoint = work.path().join("mnt");
    for directory in [&packed, &mountpoint] {
        fs::create_dir(directory)
            .map_err(|e| Error::io(format!("cannot make {}", directory.display()), e))?;
    }

    let options = PackOptions {
        level: args.level.into(),
        ..PackOptions::default()
    };
    let destination = match model.file_name() {
        Some(name) if model.is_file() => packed.join(crate::format::archive_name(name)),
        _ => packed.clone(),
    };
    let start = Instant::now();
    let done = watched("packing", &stop, |monitor| {
        job::pack(&model, Some(&destination), &options, monitor)
    })?;
    let pack_time = start.elapsed();
    if let Some(failure) = done.failures.into_iter().next() {
        return Err(failure);
    }
    let totals = done.totals;
    if totals.archives == 0 {
        return Err(Error::InvalidInput(format!(
            "there is no model in {}",
            model.display()
        )));
    }

    let files = Files::of(&model, &packed, &mountpoint)?;
    say("reading through the mount, and the original beside it ...");
    let measured = measure(&files, &packed, &mountpoint, &stop)?;
    print_as(
        args.json,
        || measured.json(&totals, pack_time),
        || measured.table(&totals, pack_time, files.raw.len()),
    )?;
    Ok(Outcome::Done)
}

/// A model for the occasion, in a directory.
fn made_up(work: &Path) -> Result<PathBuf> {
    say("making a model ...");
    let model = work.join("model");
    fs::create_dir(&model)
        .and_then(|()| sample_model::write(&model))
        .map_err(|e| Error::io(format!("cannot write {}", model.display()), e))?;
    Ok(model)
}

/// Reads all files in each way, cold and warm, and compares what was read.
fn measure(files: &Files, packed: &Path, mountpoint: &Path, stop: &Stop) -> Result<Measured> {
    let mut measured = Measured {
        bytes: files.bytes,
        ..Measured::default()
    };
    for way in [Way::Read, Way::Map] {
        files.drop_cache()?;
        let mount = mounted::mount(packed, mountpoint)?;
        for warm in [false, true] {
            stop.check()?;
            let raw = timed(&files.raw, way)?;
            let mounted = timed(&files.mounted, way)?;
            measured.times.push((way, warm, raw, mounted));
        }
        for (raw, mounted) in files.raw.iter().zip(&files.mounted) {
            stop.check()?;
            compare(raw, mounted, way)?;
        }
        mounted::unmount(mount)?;
    }
    Ok(measured)
}

fn compare(raw: &Path, mounted: &Path, way: Way) -> Result<()> {
    if sha256(raw, Way::Read)? == sha256(mounted, way)? {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "{} through the mount ({}) differs from {}",
        mounted.display(),
        way.name(),
        raw.display()
    )))
}
