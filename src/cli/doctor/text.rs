//! The facts and the advice in lines.

use super::machine_text::machine;
use super::mount_text::mounted;
use super::source_text::{load, source};
use crate::doctor::{Advice, Facts, Found, Weight};

/// All that is printed.
pub(super) fn lines(facts: &Facts, advice: &[Advice]) -> Vec<String> {
    let mut lines = machine(&facts.machine);
    lines.extend(facts.mount.iter().flat_map(mounted));
    match &facts.source {
        Some(Found::Known(place)) => lines.extend(source(place)),
        Some(Found::Unknown { unknown }) => lines.push(format!("source: unknown: {unknown}")),
        None => {}
    }
    lines.extend(facts.load.iter().flat_map(load));
    lines.push("what to do".into());
    if advice.is_empty() {
        lines.push("  nothing".into());
    }
    for one in advice {
        let mark = match one.weight {
            Weight::Blocks => "in the way: ",
            Weight::Better => "better: ",
            Weight::Note => "note: ",
        };
        lines.push(format!("  {mark}{}", one.because));
        if !one.advice.is_empty() {
            lines.push(format!("    -> {}", one.advice));
        }
    }
    lines
}
