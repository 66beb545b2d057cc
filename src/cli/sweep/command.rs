//! Goes through the settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::evaluation::Evaluation;
use super::page::sweep_page;
use super::settings::{name, settings};
use super::sheet::{About, Row, SettingSums, Sheet};
use crate::cli::args::SweepArgs;
use crate::cli::report::{prepare, tensor_rows};
use crate::console::csv_file::write_whole;
use crate::console::size::{self, ratio};
use crate::console::text_table::{TextTable, left, right};
use crate::console::{Outcome, Stop, print_as, say, watched, watched_parts};
use crate::error::{Error, Result};
use crate::format::archive_name;
use crate::job::{self, Asked, LossyOptions, ModelFiles, Monitor, PackOptions, Setting};
use crate::sync::cores;

pub(in crate::cli) fn sweep(args: &SweepArgs) -> Result<Outcome> {
    let settings = settings(args)?;
    let evaluation = args
        .evaluation
        .as_deref()
        .map(Evaluation::read)
        .transpose()?;
    let stop = Stop::on_signals()?;
    let model = watched("looking", &stop, |monitor| {
        job::model_files(&args.model, monitor)
    })?;
    prepare(&args.dir)?;
    let mut sweep = Sweep {
        args,
        evaluation,
        sheet: Sheet::open(args.dir.join("sweep.csv"), &model)?,
        model,
        packed: 0,
        failures: Vec::new(),
    };
    let is_left = |setting: &&Setting| !sweep.is_done(setting);
    let left: Vec<_> = settings.iter().filter(is_left).collect();
    let start = Instant::now();
    watched_parts("sweeping", &stop, |monitor, tell| {
        let packed = sweep.model.bytes.saturating_mul(left.len() as u64);
        (monitor.begin)(packed);
        for (number, setting) in left.iter().enumerate() {
            tell(format!(
                "{} ({} of {})",
                name(setting),
                number + 1,
                left.len()
            ));
            sweep.pack(setting, monitor)?;
            sweep.write_page()?;
        }
        // There may be an evaluation now.
        sweep.write_page()
    })?;
    for failure in &sweep.failures {
        say(&format!("weightfs: {failure}"));
    }
    let done: Vec<_> = sweep.sheet.settings().iter().map(SettingSums::of).collect();
    print_as(
        args.json,
        || sweep.json(&done, start),
        || lines(&done, &sweep.sheet),
    )?;
    Ok(Outcome::after(&sweep.failures))
}

struct Sweep<'a> {
    args: &'a SweepArgs,
    evaluation: Option<Evaluation>,
    sheet: Sheet,
    model: ModelFiles,
    /// Settings that this run has packed.
    packed: usize,
    /// Of single files of a directory; their setting is not done then.
    failures: Vec<Error>,
}

impl Sweep<'_> {
    fn is_done(&self, setting: &Setting) -> bool {
        let is_kept = !self.args.keep || self.kept(setting).exists();
        is_kept && self.sheet.has(&name(setting), self.args.level.name())
    }

    /// The archives of a setting, if they are kept.
    fn kept(&self, setting: &Setting) -> PathBuf {
        let folder = format!("{}-{}", name(setting), self.args.level.name());
        self.to(&self.args.dir.join("archives").join(folder))
    }

    /// What packing makes in a folder.
    fn to(&self, folder: &Path) -> PathBuf {
        let model = &self.args.model;
        let file_name = model.file_name().unwrap_or(model.as_os_str());
        if model.is_dir() {
            // `.` has no name, and any will do.
            folder.join("model")
        } else {
            folder.join(archive_name(file_name))
        }
    }

    /// Packs by a setting, and adds its rows.
    fn pack(&mut self, setting: &Setting, monitor: &Monitor<'_>) -> Result<()> {
        let args = self.args;
        // On the disk that there is to be room on anyway.
        let temporary = tempfile::Builder::new()
            .prefix(".sweep-")
            .tempdir_in(&args.dir)
            .map_err(|e| Error::io(format!("cannot write to {}", args.dir.display()), e))?;
        let made = self.to(temporary.path());
        let options = PackOptions {
            level: args.level.into(),
            threads: args.threads.unwrap_or_else(cores),
            lossy: Some(LossyOptions::new(Asked::Setting(*setting), &[], &[])?),
            ..PackOptions::default()
        };
        let counted = Monitor {
            begin: &|_| {},
            ..*monitor
        };
        let start = Instant::now();
        let done = job::pack(&args.model, Some(&made), &options, &counted)?;
        let seconds = start.elapsed().as_secs_f64();
        if !done.failures.is_empty() {
            self.failures.extend(done.failures);
            return Ok(());
        }
        let found = job::outlay(&args.model, &made, options.threads, &counted)?;
        let rows: Vec<Row> = tensor_rows(&found, seconds)
            .into_iter()
            .map(|(file, row)| {
                let about = About {
                    setting: name(setting),
                    level: args.level.name().into(),
                    source: self.model.key.clone(),
                    shard_bytes_before: file.original_bytes,
                    shard_bytes_after: file.stored_bytes,
                };
                (about, row)
            })
            .collect();
        if rows.len() != self.model.tensors {
            return Err(Error::Environment(format!(
                "{} changed while it was swept; try again when nobody writes to it",
                args.model.display()
            )));
        }
        // They are there already if only the archives were not.
        if !self.sheet.has(&name(setting), args.level.name()) {
            self.sheet.add(rows)?;
        }
        if args.keep {
            keep(&made, &self.kept(setting))?;
        }
        self.packed += 1;
        Ok(())
    }

    fn write_page(&self) -> Result<()> {
        let page = sweep_page(&self.args.model, &self.sheet, self.evaluation.as_ref());
        write_whole(&self.args.dir.join("index.html"), page.as_bytes())
    }

    fn json(&self, done: &[SettingSums], start: Instant) -> Value {
        let failures = self.failures.iter().map(ToString::to_string);
        json!({
            "path": self.args.dir.display().to_string(),
            "model": self.args.model.display().to_string(),
            "tensors": self.model.tensors,
            "seconds": start.elapsed().as_secs_f64(),
            "packed_settings": self.packed,
            "settings": done.iter().map(setting_json).collect::<Vec<_>>(),
            "enough_bits": self.evaluation.as_ref().and_then(Evaluation::enough_bits),
            "failed": failures.collect::<Vec<_>>(),
        })
    }
}

/// Moves what was made to where it is kept.
fn keep(made: &Path, kept: &Path) -> Result<()> {
    let cannot = |e| Error::io(format!("cannot keep {}", kept.display()), e);
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    fs::rename(made, kept).map_err(cannot)
}

fn setting_json(sums: &SettingSums) -> Value {
    json!({
        "setting": sums.setting,
        "level": sums.level,
        "original_bytes": sums.bytes_before,
        "stored_bytes": sums.bytes_after,
        "ratio": ratio(sums.bytes_before, sums.bytes_after),
        "bits": sums.bits(),
        "root_mean_square_error": sums.tensors.root_mean_square_error(),
        "greatest_error": sums.tensors.greatest_error,
        "seconds": sums.tensors.seconds,
    })
}

fn lines(done: &[SettingSums], sheet: &Sheet) -> Vec<String> {
    let mut table = TextTable::new([
        left(24).after(0),
        left(8),
        right(12),
        right(8),
        right(7),
        right(10),
        right(10),
        right(8),
    ]);
    table.row([
        "setting",
        "level",
        "stored",
        "ratio",
        "bits",
        "RMS error",
        "greatest",
        "seconds",
    ]);
    for sums in done {
        table.row([
            sums.setting.clone(),
            sums.level.clone(),
            size::show(sums.bytes_after),
            format!("{:.4}", ratio(sums.bytes_before, sums.bytes_after)),
            format!("{:.3}", sums.bits()),
            format!("{:.2e}", sums.tensors.root_mean_square_error()),
            format!("{:.2e}", sums.tensors.greatest_error),
            format!("{:.1}", sums.tensors.seconds),
        ]);
    }
    let mut lines = table.into_lines();
    lines.push(format!(
        "plots: {}",
        sheet.path().with_file_name("index.html").display()
    ));
    lines
}
