//! `bench`: all codecs on one file, so that people can choose.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::args::BenchArgs;
use super::codec_report::CodecReport;
use super::comparison::Comparison;
use super::contender::Contender;
use super::figures::{mark_front, sort_by_ratio};
use super::original::Original;
use super::plot;
use crate::console::{Outcome, Stop, print_as, print_lines, say, watched};
use crate::error::{Error, Result};
use crate::sync::cores;

pub(crate) fn bench(args: &BenchArgs) -> Result<Outcome> {
    let has_base = args.base.is_some();
    let chosen = args.codecs.as_deref();
    let chosen = chosen.map(|list| Contender::parse_list(list, has_base));
    let chosen = chosen.transpose()?;
    let stop = Stop::on_signals()?;
    let original = watched("reading", &stop, |monitor| {
        Original::open(&args.file, monitor)
    })?;
    if let Some(plot) = &args.plot {
        check_plot_path(plot, &args.file)?;
    }
    let contenders = match chosen {
        Some(chosen) => chosen,
        None => usual(&original, has_base)?,
    };
    let threads = args.threads.unwrap_or_else(cores);
    let mut results = Comparison::new(args, &original, &contenders, threads, &stop)?.run()?;
    original.check_unchanged()?;
    mark_front(&mut results);
    sort_by_ratio(&mut results);
    let report = CodecReport {
        path: &args.file,
        original_bytes: original.bytes(),
        threads,
        rounds: args.rounds,
        results: &results,
    };
    if args.csv {
        print_lines(report.csv())?;
    } else {
        print_as(args.json, || report.json(), || report.table())?;
    }
    // Last: figures that took an hour must not be lost for a drawing.
    if let Some(plot) = &args.plot {
        fs::write(plot, plot::svg(&report))
            .map_err(|e| Error::io(format!("cannot write {}", plot.display()), e))?;
    }
    Ok(Outcome::Done)
}

fn usual(original: &Original, has_base: bool) -> Result<Vec<Contender>> {
    let has_records = original.has_records()?;
    let usual = Contender::usual(original.bytes(), has_records, has_base);
    if usual.len() < Contender::usual(0, has_records, has_base).len() {
        say(
            "weightfs: a large file: only what encodes at about 20 MB/s a core or faster is \
             compared; --codecs all compares everything",
        );
    }
    Ok(usual)
}

/// # Errors
/// `InvalidInput` if nothing can be drawn there, found out before the work rather than after it.
fn check_plot_path(plot: &Path, file: &Path) -> Result<()> {
    let cannot = |path: &Path, e| Error::io(format!("cannot read {}", path.display()), e);
    let refused = |why: &str| {
        let message = format!("cannot draw into {}: {why}", plot.display());
        Err(Error::InvalidInput(message))
    };
    let meta = match fs::metadata(plot) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return match plot.parent() {
                Some(parent) if parent == Path::new("") || parent.is_dir() => Ok(()),
                _ => refused("its directory does not exist"),
            };
        }
        Err(e) => return Err(cannot(plot, e)),
    };
    let original = fs::metadata(file).map_err(|e| cannot(file, e))?;
    if meta.is_dir() {
        return refused("it is a directory");
    }
    if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
        return refused("it is the file that is compressed");
    }
    // Without truncating: only the question whether it may be written.
    match File::options().append(true).open(plot) {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::io(format!("cannot write {}", plot.display()), e)),
    }
}
