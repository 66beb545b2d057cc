//! `analyze`: looks at a model, and reports to terminals, programs and browsers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::beside::BesideBase;
use super::html::html_page;
use super::text::as_lines;
use super::words::advice;
use crate::cli::args::AnalyzeArgs;
use crate::cli::in_mount;
use crate::console::{Outcome, Stop, print_json, print_lines, watched};
use crate::error::{Error, Result};
use crate::job::{self, Analysis, AnalyzeOptions, BaseAsked, PackOptions};
use crate::sync::cores;

pub(crate) fn analyze(args: &AnalyzeArgs) -> Result<Outcome> {
    let options = AnalyzeOptions {
        sample_bytes: args.sample,
        threads: args.threads.unwrap_or_else(cores),
    };
    let start = Instant::now();
    let stop = Stop::on_signals()?;
    let found = watched("analyzing", &stop, |monitor| {
        job::analyze(&args.path, &options, monitor)
    })?;
    let base = args.base.as_deref();
    let beside = base
        .map(|base| beside_base(args, base, &stop))
        .transpose()?;
    let time = start.elapsed();
    if let Some(path) = &args.html {
        fs::write(path, html_page(&found))
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
    }
    if args.json {
        print_json(&as_json(&found, beside.as_ref(), time)?)?;
    } else {
        print_lines(as_lines(&found, beside.as_ref(), time))?;
    }
    Ok(Outcome::Done)
}

/// What packing beside a base would give, by a sample.
fn beside_base(args: &AnalyzeArgs, base: &Path, stop: &Stop) -> Result<BesideBase> {
    let options = PackOptions {
        threads: args.threads.unwrap_or_else(cores),
        base: Some(BaseAsked::Named(in_mount::archives_behind(base)?)),
        bases: args.bases.search(),
        ..PackOptions::default()
    };
    let found = watched("looking", stop, |monitor| {
        job::preview(&args.path, None, false, &options, monitor)
    })?;
    if let Some(failure) = found.failures.into_iter().next() {
        return Err(failure);
    }
    Ok(BesideBase {
        base: base.to_path_buf(),
        original_bytes: found.files.iter().map(|file| file.original_bytes).sum(),
        stored_bytes: found.files.iter().map(|file| file.expected.whole()).sum(),
    })
}

fn as_json(found: &Analysis, beside: Option<&BesideBase>, time: Duration) -> Result<Value> {
    let mut value = serde_json::to_value(found)
        .map_err(|e| Error::io("cannot write the report as JSON", e.into()))?;
    if let Some(object) = value.as_object_mut() {
        let expected = found.expected.default;
        object.insert("stored_bytes".into(), json!(expected.stored_bytes));
        object.insert("ratio".into(), json!(expected.ratio));
        object.insert("seconds".into(), json!(time.as_secs_f64()));
        object.insert("advice".into(), json!(advice(found)));
        let beside = beside.map(|beside| {
            json!({
                "base": beside.base.display().to_string(),
                "stored_bytes": beside.stored_bytes,
                "ratio": beside.ratio(),
            })
        });
        object.insert("beside_base".into(), json!(beside));
    }
    Ok(value)
}
