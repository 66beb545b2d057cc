//! Rules about mounting at all, memory and processor, and about what SRC is.

use super::rule::{Advice, Rule, Weight, advice};
use crate::console::size::{show, show_rate};
use crate::doctor::facts::Facts;
use crate::doctor::found::Found;
use crate::doctor::mounted::MountState;
use crate::doctor::place::PlaceKind;
use crate::file::{ENOUGH_AVAILABLE_BYTES, ENOUGH_TO_PREFETCH_BYTES, ROOM_PART};
use crate::fuse::{ENOUGH_CACHE_BYTES, ENOUGH_READAHEAD_BYTES, MEMORY_PART};
use crate::printable::printable_name;

pub(super) const RULES: &[Rule] = &[
    no_mount,
    mount_is_silent,
    mount_refuses,
    no_source,
    no_archive,
    unreadable_archive,
    damaged,
    unseen_parts,
    others,
    no_push,
    little_cache,
    little_available,
    long_blocks,
    other_kernels,
    not_optimized,
    busy,
];

fn no_mount(facts: &Facts) -> Option<Advice> {
    let Found::Unknown { unknown } = &facts.machine.test_mount else {
        return None;
    };
    let access = &facts.machine.fuse;
    let todo = match (&access.device_refused, &access.helper) {
        (Some(refused), _) if !access.is_root => format!(
            "let this user open {} ({refused}): chmod 666 {0}, as udev has it; a container needs --device {0}",
            access.device
        ),
        (None, Some(helper)) if !access.is_root && !helper.is_setuid_root => {
            let path = printable_name(&helper.path);
            format!(
                "make {path} run as root, as the package fuse3 has it: chown root {path}; chmod u+s {path}"
            )
        }
        _ => "do what it says; docs/MOUNTING.md tells more".to_owned(),
    };
    advice(
        Weight::Blocks,
        format!("a test mount failed: {unknown}"),
        todo,
    )
}

fn mount_is_silent(facts: &Facts) -> Option<Advice> {
    let mount = facts.mount.as_ref()?;
    let path = printable_name(&mount.mountpoint);
    (mount.state == MountState::Silent).then(|| Advice {
        weight: Weight::Blocks,
        because: format!("{path} is mounted and does not answer"),
        advice: format!(
            "see whether the disk below its source answers; if the process is stuck, break the connection: \
             weightfs umount --abort {path} (its readers get an error), and mount again"
        ),
    })
}

fn mount_refuses(facts: &Facts) -> Option<Advice> {
    let mount = facts.mount.as_ref()?;
    let MountState::Refuses(why) = &mount.state else {
        return None;
    };
    let path = printable_name(&mount.mountpoint);
    advice(
        Weight::Blocks,
        format!("{path} is mounted and refuses: {why}"),
        format!(
            "if the process that served it is gone, mount again, which recovers the mount point (or weightfs \
             umount {path}); if this user may not enter, ask as the one who mounted, or mount with --allow-other"
        ),
    )
}

fn no_source(facts: &Facts) -> Option<Advice> {
    let place = facts.place()?;
    let path = printable_name(&place.path);
    match (place.kind, &place.packed) {
        (PlaceKind::File, Found::Known(_)) => advice(
            Weight::Blocks,
            format!("{path} is an archive and not named as one, which a mount takes by its name"),
            "give it a name that ends in .wfz",
        ),
        (PlaceKind::File, _) => advice(
            Weight::Blocks,
            format!("{path} is neither a directory nor an archive (NAME.wfz)"),
            format!("pack it first: weightfs pack {path}"),
        ),
        (PlaceKind::Archive, Found::Unknown { unknown }) if place.damage.is_none() => advice(
            Weight::Blocks,
            format!("the archive cannot be read: {unknown}"),
            "",
        ),
        _ => None,
    }
}

fn damaged(facts: &Facts) -> Option<Advice> {
    let place = facts.place()?;
    let damage = place.damage.as_ref()?;
    advice(
        Weight::Blocks,
        format!("an archive is damaged: {damage}"),
        format!(
            "see what is damaged, and make it anew: weightfs verify {}",
            printable_name(&place.path)
        ),
    )
}

fn no_archive(facts: &Facts) -> Option<Advice> {
    let place = facts.place()?;
    let path = printable_name(&place.path);
    let is_empty = place.kind == PlaceKind::Directory && place.archives == 0;
    is_empty.then(|| Advice {
        weight: Weight::Note,
        because: format!("{path} has no archive: a mount would show its files as they are"),
        advice: format!("pack what is in it: weightfs pack {path} -o DST"),
    })
}

fn unreadable_archive(facts: &Facts) -> Option<Advice> {
    let place = facts.place()?;
    let Found::Unknown { unknown } = &place.packed else {
        return None;
    };
    let is_there = place.kind == PlaceKind::Directory && place.archives > 0;
    (is_there && place.damage.is_none()).then(|| Advice {
        weight: Weight::Better,
        because: format!("the largest archive cannot be read: {unknown}"),
        advice: String::new(),
    })
}

fn unseen_parts(facts: &Facts) -> Option<Advice> {
    let failures = &facts.place()?.failures;
    let first = failures.first()?;
    advice(
        Weight::Note,
        format!(
            "{} in the source could not be looked at, the first: {first}",
            failures.len()
        ),
        "",
    )
}

fn others(facts: &Facts) -> Option<Advice> {
    let access = &facts.machine.fuse;
    (!access.is_root && access.user_allow_other == Some(false)).then(|| Advice {
        weight: Weight::Note,
        because: "user_allow_other is not set in /etc/fuse.conf, so this user cannot mount for others".into(),
        advice: "if others shall read the mount, have root add the line user_allow_other there, and mount with \
                 --allow-other"
            .into(),
    })
}

fn no_push(facts: &Facts) -> Option<Advice> {
    let mount = facts.machine.test_mount.known()?;
    let ahead = *mount.readahead_bytes.known()?;
    (ahead < ENOUGH_READAHEAD_BYTES && !mount.can_push).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "the kernel reads only {} ahead in a mount of this user, and nothing can be pushed into the page cache",
            show(ahead)
        ),
        advice: "mount as root, which reads ahead further; or have fusectl mounted on /sys/fs/fuse/connections, and \
                 the mount pushes by itself"
            .into(),
    })
}

fn little_cache(facts: &Facts) -> Option<Advice> {
    let memory = &facts.machine.memory;
    let limit = *memory.limit_bytes.known()?;
    if memory.cache_bytes >= ENOUGH_CACHE_BYTES as u64 {
        return None;
    }
    let nothing_ahead = if memory.cache_bytes < ENOUGH_TO_PREFETCH_BYTES as u64 {
        "; with so little, nothing is decoded ahead of readers"
    } else {
        ""
    };
    advice(
        Weight::Better,
        format!(
            "{} is {}, so that a mount gets a cache of {} and {} threads{nothing_ahead}",
            memory.limit_by.as_deref().unwrap_or("the limit of memory"),
            show(limit),
            show(memory.cache_bytes),
            memory.threads,
        ),
        format!(
            "allow {} for the full cache of {}; a smaller one serves readers that go through a file once as well, and \
             those that jump in it less",
            show((ENOUGH_CACHE_BYTES * MEMORY_PART) as u64),
            show(ENOUGH_CACHE_BYTES as u64),
        ),
    )
}

fn little_available(facts: &Facts) -> Option<Advice> {
    let available = *facts.machine.memory.available_bytes.known()?;
    (available < ENOUGH_AVAILABLE_BYTES).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "{} of memory can be had now; while that is less than {}, a mount fetches nothing ahead",
            show(available),
            show(ENOUGH_AVAILABLE_BYTES)
        ),
        advice: "free memory, or raise the limit of the control group".into(),
    })
}

fn long_blocks(facts: &Facts) -> Option<Advice> {
    let memory = &facts.machine.memory;
    let packed = facts.place()?.packed.known()?;
    let room = memory.limit_bytes.known()? / ROOM_PART;
    let at_once = (room / packed.decoding_bytes.max(1)).max(1);
    (at_once < memory.threads as u64).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "blocks of {} take {} each to decode, and {} is there for that (an eighth of {}): {at_once} at once, \
             where {} threads answer",
            show(packed.block_bytes.into()),
            show(packed.decoding_bytes),
            show(room),
            show(room * ROOM_PART),
            memory.threads
        ),
        advice: "pack with a smaller --block-size, or allow more memory".into(),
    })
}

fn other_kernels(facts: &Facts) -> Option<Advice> {
    let processor = &facts.machine.processor;
    let asked_for = processor.asked_for.as_ref()?;
    let speeds = processor.decode.known()?;
    let used = speeds.iter().find(|one| one.is_used)?;
    let best = speeds.first()?;
    (best.instructions != used.instructions).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "WEIGHTFS_SIMD={asked_for} has {} used, at {} on one thread; {} decodes {}",
            used.instructions,
            show_rate(used.one_thread),
            best.instructions,
            show_rate(best.one_thread)
        ),
        advice: "unset WEIGHTFS_SIMD".into(),
    })
}

pub(super) fn not_optimized(facts: &Facts) -> Option<Advice> {
    (!facts.machine.processor.is_optimized).then(|| Advice {
        weight: Weight::Better,
        because: "this program was compiled without optimization; its speeds say little".into(),
        advice: "cargo build --release".into(),
    })
}

pub(super) fn busy(facts: &Facts) -> Option<Advice> {
    let processor = &facts.machine.processor;
    let load = *processor.load_average.known()?;
    (load >= processor.cores as f64 / 2.0).then(|| Advice {
        weight: Weight::Note,
        because: format!(
            "the machine does other work (load average {load:.1}, {} cores): speeds were measured beside that",
            processor.cores
        ),
        advice: "run it again when the machine is idle for what it can do".into(),
    })
}
