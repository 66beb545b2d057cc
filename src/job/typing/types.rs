//! The types of a file's numbers.

use super::runs::runs;
use super::trial::Trial;
use crate::error::Result;
use crate::job::monitor::Monitor;
use crate::model::{ReadAt, TypedRange};

/// The runs of numbers in a file, by place.
///
/// # Errors
/// As `ReadAt::read_at`; `Interrupted`.
pub(in crate::job) fn types(
    file: &(impl ReadAt + ?Sized),
    monitor: &Monitor<'_>,
) -> Result<Vec<TypedRange>> {
    let mut trial = Trial::new()?;
    let mut found: Vec<TypedRange> = Vec::new();
    for run in runs(file, monitor)? {
        monitor.check()?;
        let Some((element, phase)) = trial.best(file, &run)? else {
            continue;
        };
        let width = u64::from(element.bytes());
        // The first whole element; what lies before it is of the run before.
        let start = run.range.start + (phase + width - run.range.start % width) % width;
        if let Some(last) = found.last_mut()
            && last.range.end == run.range.start
        {
            if last.element == element && (start - last.range.start).is_multiple_of(width) {
                last.range.end = run.range.end;
                continue;
            }
            last.range.end = start;
        }
        if start < run.range.end {
            found.push(TypedRange {
                range: start..run.range.end,
                element,
                columns: None,
            });
        }
    }
    Ok(found)
}
