//! The machine in lines.

use super::words::{line, told, yes};
use crate::console::size::{show, show_rate};
use crate::doctor::{Found, Machine, MemoryFacts, ProcessorFacts, TestMount};
use crate::printable::printable_name;

pub(super) fn machine(machine: &Machine) -> Vec<String> {
    let access = &machine.fuse;
    let device = access.device_refused.as_ref().map_or_else(
        || "can be opened".to_owned(),
        |why| format!("cannot be opened: {why}"),
    );
    let helper = match &access.helper {
        Some(helper) => {
            let runs_as_root = if helper.is_setuid_root {
                "setuid root"
            } else {
                "not setuid root"
            };
            format!("{}, {runs_as_root}", printable_name(&helper.path))
        }
        None => "not in PATH".into(),
    };
    let needed = if access.is_root && access.may_mount {
        " (root needs it not)"
    } else {
        ""
    };
    let mut lines = vec![
        "mounting".to_owned(),
        line(access.device, device),
        line("fusermount3", format!("{helper}{needed}")),
        line(
            "user_allow_other",
            match access.user_allow_other {
                Some(true) => "set in /etc/fuse.conf",
                Some(false) => "not set in /etc/fuse.conf",
                None => "unknown: /etc/fuse.conf cannot be read",
            },
        ),
        line(
            "runs as",
            format!(
                "{}, {} SYS_ADMIN{}",
                if access.is_root { "root" } else { "a user" },
                if access.may_mount { "with" } else { "without" },
                if access.no_new_privs {
                    ", no_new_privs"
                } else {
                    ""
                }
            ),
        ),
        line("test mount", told(&machine.test_mount, |_| "works".into())),
        format!("kernel {}", machine.kernel),
    ];
    match &machine.test_mount {
        Found::Known(mount) => lines.extend(kernel(mount)),
        Found::Unknown { .. } => lines.push(line(
            "what it offers",
            "unknown: without a mount, it does not tell",
        )),
    }
    lines.extend(processor(&machine.processor));
    lines.extend(memory(&machine.memory));
    lines
}

fn kernel(mount: &TestMount) -> Vec<String> {
    let offered = |words: &dyn Fn(&crate::fuse::KernelOffer) -> String| told(&mount.offer, words);
    vec![
        line(
            "FUSE protocol",
            offered(&|offer| format!("{}.{}", offer.protocol.0, offer.protocol.1)),
        ),
        line(
            "readahead",
            format!(
                "{} in a mount; offered {}",
                told(&mount.readahead_bytes, |bytes| show(*bytes)),
                offered(&|offer| show(offer.readahead_bytes.into()))
            ),
        ),
        line(
            "push (notify store)",
            format!(
                "{}; the mount {} push",
                offered(&|offer| if offer.store {
                    "offered".into()
                } else {
                    "not offered".into()
                }),
                if mount.can_push { "can" } else { "cannot" }
            ),
        ),
        line("passthrough", offered(&|offer| not_used(offer.passthrough))),
        line("io_uring", offered(&|offer| not_used(offer.io_uring))),
        line(
            "large folios",
            told(&mount.large_folios, |&large| {
                let pieces = if large {
                    "larger than a page"
                } else {
                    "of a page each"
                };
                format!(
                    "{}: after a read, the page cache holds pieces {pieces}",
                    yes(large)
                )
            }),
        ),
        line(
            "FUSE alone",
            told(&mount.read, |rate| {
                format!("{} (read() of a file that costs nothing)", show_rate(*rate))
            }),
        ),
    ]
}

fn not_used(is_offered: bool) -> String {
    let offered = if is_offered { "offered" } else { "not offered" };
    format!("{offered}; weightfs has no use for it")
}

fn processor(facts: &ProcessorFacts) -> Vec<String> {
    let load = told(&facts.load_average, |load| format!("{load:.2}"));
    let mut lines = vec![
        format!("processor {}, {} cores", facts.name, facts.cores),
        line("load average", load),
    ];
    match &facts.decode {
        Found::Known(sets) => lines.extend(sets.iter().map(|set| {
            let used = if set.is_used { ", used" } else { "" };
            line(
                set.instructions,
                format!(
                    "decodes {} on one thread (made-up BF16 weights){used}",
                    show_rate(set.one_thread)
                ),
            )
        })),
        Found::Unknown { unknown } => lines.push(line("decoding", format!("unknown: {unknown}"))),
    }
    lines
}

fn memory(facts: &MemoryFacts) -> Vec<String> {
    let by = facts.limit_by.as_deref().unwrap_or("unknown");
    vec![
        "memory".to_owned(),
        line(
            "limit",
            told(&facts.limit_bytes, |bytes| {
                format!("{} ({by})", show(*bytes))
            }),
        ),
        line(
            "to be had now",
            told(&facts.available_bytes, |bytes| show(*bytes)),
        ),
        line(
            "a mount would have",
            format!(
                "a cache of {}, {} threads, {} at most",
                show(facts.cache_bytes),
                facts.threads,
                show(facts.most_bytes)
            ),
        ),
        line(
            "open files",
            facts
                .open_files
                .map_or_else(|| "no limit".into(), |files| format!("at most {files}")),
        ),
    ]
}
