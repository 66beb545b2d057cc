//! `analyze`: looks at a model, and reports to terminals, programs and browsers.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::html::html_page;
use super::text::as_lines;
use super::words::advice;
use crate::cli::args::AnalyzeArgs;
use crate::console::{Outcome, Stop, print_json, print_lines, watched};
use crate::error::{Error, Result};
use crate::job::{self, Analysis, AnalyzeOptions};
use crate::sync::cores;

pub(crate) fn analyze(args: &AnalyzeArgs) -> Result<Outcome> {
    let options = AnalyzeOptions {
        sample_bytes: args.sample,
        threads: args.threads.unwrap_or_else(cores),
    };
    let start = Instant::now();
    let found = watched("analyzing", &Stop::on_signals()?, |monitor| {
        job::analyze(&args.path, &options, monitor)
    })?;
    let time = start.elapsed();
    if let Some(path) = &args.html {
        fs::write(path, html_page(&found))
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
    }
    if args.json {
        print_json(&as_json(&found, time)?)?;
    } else {
        print_lines(as_lines(&found, time))?;
    }
    Ok(Outcome::Done)
}

fn as_json(found: &Analysis, time: Duration) -> Result<Value> {
    let mut value = serde_json::to_value(found)
        .map_err(|e| Error::io("cannot write the report as JSON", e.into()))?;
    if let Some(object) = value.as_object_mut() {
        let expected = found.expected.default;
        object.insert("stored_bytes".into(), json!(expected.stored_bytes));
        object.insert("ratio".into(), json!(expected.ratio));
        object.insert("seconds".into(), json!(time.as_secs_f64()));
        object.insert("advice".into(), json!(advice(found)));
    }
    Ok(value)
}
