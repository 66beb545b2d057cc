//! A source of archives in lines, and what a load from there comes down to.

use super::words::{line, told};
use crate::console::size::{show, show_rate};
use crate::doctor::{Coding, DecodeSpeed, Found, LevelCoding, Load, Packed, Place};
use crate::printable::printable_name;

pub(super) fn source(place: &Place) -> Vec<String> {
    let mut lines = vec![
        format!("source {}", printable_name(&place.path)),
        line("archives", place.archives),
        line(
            "disk",
            told(&place.disk, |disk| {
                let way = if disk.is_direct {
                    "read past the page cache"
                } else {
                    "read through the page cache, after it was dropped there"
                };
                format!(
                    "{} ({} of {}, {way})",
                    show_rate(disk.bytes_per_second),
                    show(disk.bytes),
                    printable_name(&disk.file)
                )
            }),
        ),
    ];
    match &place.packed {
        Found::Known(archive) => lines.extend(packed(archive)),
        Found::Unknown { unknown } => lines.push(line("decoding", format!("unknown: {unknown}"))),
    }
    lines
}

fn packed(archive: &Packed) -> Vec<String> {
    let speeds = |speed: &DecodeSpeed| {
        format!(
            "{} on one thread, {} on all",
            show_rate(speed.one_thread),
            show_rate(speed.all_threads)
        )
    };
    let mut lines = vec![
        line(
            "the largest archive",
            format!(
                "{}: {} of {}, ratio {}, blocks of {}{}",
                printable_name(&archive.archive),
                show(archive.stored_bytes),
                show(archive.original_bytes),
                told(&archive.ratio, |ratio| format!("{ratio:.3}")),
                show(archive.block_bytes.into()),
                if archive.is_lossy { ", lossy" } else { "" }
            ),
        ),
        line("decoding it", told(&archive.decode, speeds)),
    ];
    let coding = |coding: &Coding| {
        format!(
            "ratio {:.3}, blocks of {}, {}",
            coding.ratio,
            show(coding.block_bytes.into()),
            speeds(&coding.decode)
        )
    };
    lines.push(line(
        "a sample of it",
        format!("{} numbers", archive.element),
    ));
    lines.push(line("  as stored", told(&archive.as_stored, coding)));
    let level =
        |level: &LevelCoding| line(&format!("  --level {}", level.level), coding(&level.coding));
    match &archive.levels {
        Found::Known(levels) => lines.extend(levels.iter().map(level)),
        Found::Unknown { unknown } => {
            lines.push(line("other levels", format!("unknown: {unknown}")))
        }
    }
    lines
}

pub(super) fn load(load: &Load) -> Vec<String> {
    let mut lines = vec!["a cold load of that archive, in bytes of the file, at most".to_owned()];
    lines.extend(load.ceilings.iter().map(|one| {
        let name = format!("{:?}", one.stage).to_lowercase();
        line(&name, told(&one.bytes_per_second, |rate| show_rate(*rate)))
    }));
    lines.push(line(
        "limited by",
        told(&load.limited_by, |stage| {
            format!("{stage:?}").to_lowercase()
        }),
    ));
    lines
}
