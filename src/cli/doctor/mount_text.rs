//! A mount in lines.

use super::words::{line, told};
use crate::console::size::show;
use crate::doctor::{Found, MountFacts, MountState};
use crate::file::READ_SIZES;
use crate::fs::MountStats;
use crate::printable::printable_name;

pub(super) fn mounted(mount: &MountFacts) -> Vec<String> {
    let state = match &mount.state {
        MountState::Answers => "answers".into(),
        MountState::Silent => "does not answer".into(),
        MountState::Refuses(why) => format!("refuses: {why}"),
    };
    let mut lines = vec![
        format!("mount {}", printable_name(&mount.mountpoint)),
        line("state", state),
        line("options", mount.options.join(",")),
        line(
            "readahead",
            told(&mount.readahead_bytes, |bytes| show(*bytes)),
        ),
    ];
    match &mount.stats {
        Found::Known(stats) => lines.extend(activity(stats)),
        Found::Unknown { unknown } => {
            lines.push(line("what it has done", format!("unknown: {unknown}")))
        }
    }
    match &mount.users {
        Found::Known(users) => {
            let unseen = match users.unseen_processes {
                0 => String::new(),
                unseen => format!("; {unseen} could not be looked at"),
            };
            let count = users.processes.len();
            lines.push(line(
                "readers now",
                format!("{count} processes have files of it open or mapped{unseen}"),
            ));
            lines.extend(users.processes.iter().map(|user| {
                format!(
                    "    {} ({}): {} files open ({} with O_DIRECT), mapped {} shared and {} private",
                    user.name,
                    user.process,
                    user.open_files,
                    user.direct_files,
                    show(user.shared_map_bytes),
                    show(user.private_map_bytes)
                )
            }));
        }
        Found::Unknown { unknown } => {
            lines.push(line("readers now", format!("unknown: {unknown}")))
        }
    }
    lines
}

fn activity(stats: &MountStats) -> Vec<String> {
    let sizes = READ_SIZES
        .iter()
        .zip(stats.reads.by_size)
        .filter(|(_, count)| *count > 0);
    let sizes: Vec<_> = sizes
        .map(|(&most, count)| match most {
            u64::MAX => format!("{count} longer"),
            most => format!("{count} to {}K", most >> 10),
        })
        .collect();
    let (cache, ahead) = (&stats.cache, &stats.prefetch);
    vec![
        line("mounted for", format!("{:.0} s", stats.seconds)),
        line(
            "reads",
            format!("{}; {}", show(stats.reads.bytes), sizes.join(", ")),
        ),
        line(
            "blocks",
            format!(
                "{} decoded, {} found in the cache, {} awaited; the cache holds {} of {}",
                cache.decodes,
                cache.hits,
                cache.waits,
                show(cache.cached_bytes as u64),
                show(cache.budget_bytes as u64)
            ),
        ),
        line(
            "fetched ahead",
            format!(
                "{}: {} pushed, {} used, {} in vain, {} left",
                show(ahead.issued_bytes),
                show(ahead.pushed_bytes),
                show(ahead.used_bytes),
                show(ahead.wasted_bytes),
                show(ahead.skipped_bytes)
            ),
        ),
        line(
            "read() or mmap",
            "unknown of the past: the kernel asks the same for both",
        ),
    ]
}
