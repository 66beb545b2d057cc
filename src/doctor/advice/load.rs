//! Rules about what limits a cold load.

use super::rule::{Advice, Rule, Weight, advice};
use crate::console::size::{show, show_rate};
use crate::doctor::facts::Facts;
use crate::doctor::load::{Load, Stage};
use crate::doctor::place::Packed;
use crate::doctor::sample::LevelSpeed;

pub(super) const RULES: &[Rule] = &[from_disk, from_decoder, few_threads, from_fuse, other_level];

/// From a disk, a smaller archive that makes a load faster by less is not worth packing again. Ratios are exact.
const ENOUGH_SMALLER: f64 = 0.02;
/// The same of one that is decoded faster: measurements of a moment vary.
const ENOUGH_FASTER: f64 = 0.1;

/// What a load is limited by, if it is `stage`.
fn limited_by(facts: &Facts, stage: Stage) -> Option<(&Load, &Packed, u64)> {
    let load = facts.load.as_ref()?;
    let packed = facts.place()?.packed.known()?;
    (load.limited_by.known() == Some(&stage)).then_some((load, packed, *load.at_most.known()?))
}

/// Bytes a second of the disk, as they are stored there.
fn disk(facts: &Facts) -> Option<u64> {
    Some(facts.place()?.disk.known()?.bytes_per_second)
}

fn from_disk(facts: &Facts) -> Option<Advice> {
    let (load, packed, at_most) = limited_by(facts, Stage::Disk)?;
    advice(
        Weight::Note,
        format!(
            "the disk limits a cold load: it gives {}, which is {} of the file at the archive's ratio of {:.3}; the \
             decoder would give {}, FUSE {}",
            show_rate(disk(facts)?),
            show_rate(at_most),
            packed.ratio,
            show_rate(load.ceiling(Stage::Decoder)?),
            show_rate(load.ceiling(Stage::Fuse)?)
        ),
        format!(
            "nothing in the mount's options makes that faster; the file itself would be read at {} from there",
            show_rate(disk(facts)?)
        ),
    )
}

fn other_level(facts: &Facts) -> Option<Advice> {
    let load = facts.load.as_ref()?;
    let packed = facts.place()?.packed.known()?;
    let enough = match load.limited_by.known()? {
        Stage::Disk => ENOUGH_SMALLER,
        Stage::Decoder => ENOUGH_FASTER,
        Stage::Fuse => return None,
    };
    let ratio = *packed.sample_ratio.known()?;
    let [disk, decoder, fuse] =
        [Stage::Disk, Stage::Decoder, Stage::Fuse].map(|stage| load.ceiling(stage));
    let (disk, decoder, fuse) = (disk?, decoder?, fuse?);
    // What the load would be limited to, in parts of what it is limited to now.
    let gain = |level: &LevelSpeed| {
        let from_disk = disk as f64 * level.ratio / ratio;
        let all = from_disk
            .min(level.decode.all_threads as f64)
            .min(fuse as f64);
        all / disk.min(decoder).min(fuse) as f64 - 1.0
    };
    let levels = packed.levels.known()?.iter();
    let best = levels.max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
    (gain(best) >= enough).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "--level {} gives a ratio of {:.3} instead of {ratio:.3} on a sample of it, decoded at {} instead of {}",
            best.level,
            best.ratio,
            show_rate(best.decode.all_threads),
            show_rate(decoder)
        ),
        advice: format!(
            "pack again with --level {}: a cold load gets up to {:.0} % faster",
            best.level,
            gain(best) * 100.0
        ),
    })
}

fn from_decoder(facts: &Facts) -> Option<Advice> {
    let (load, packed, at_most) = limited_by(facts, Stage::Decoder)?;
    let plain = disk(facts)?;
    let cores = facts.machine.processor.cores;
    let beside = if plain > at_most {
        format!(
            "the file itself would be read at {} from there: packed, a cold load is slower than plain",
            show_rate(plain)
        )
    } else {
        format!(
            "the file itself would be read at {} from there: packed, a cold load can be faster",
            show_rate(plain)
        )
    };
    advice(
        Weight::Note,
        format!(
            "the decoder limits a cold load: {cores} threads decode {} (one {}); the disk would give {} of the file, \
             FUSE {}",
            show_rate(at_most),
            show_rate(packed.decode.known()?.one_thread),
            show_rate(load.ceiling(Stage::Disk)?),
            show_rate(load.ceiling(Stage::Fuse)?)
        ),
        beside,
    )
}

fn few_threads(facts: &Facts) -> Option<Advice> {
    limited_by(facts, Stage::Decoder)?;
    let (memory, processor) = (&facts.machine.memory, &facts.machine.processor);
    (memory.threads < processor.cores).then(|| Advice {
        weight: Weight::Better,
        because: format!(
            "memory is there for {} threads, and the machine has {} cores",
            memory.threads, processor.cores
        ),
        advice: format!(
            "allow more memory, or mount with --threads {}",
            processor.cores
        ),
    })
}

fn from_fuse(facts: &Facts) -> Option<Advice> {
    let (load, _, at_most) = limited_by(facts, Stage::Fuse)?;
    let mount = facts.machine.test_mount.known()?;
    let ahead = *mount.readahead_bytes.known()?;
    let offered = mount.offer.known()?.readahead_bytes;
    let todo = if ahead <= u64::from(offered) && !facts.machine.fuse.is_root {
        format!(
            "the kernel reads {} ahead; mount as root, which has it read 4M ahead",
            show(ahead)
        )
    } else {
        format!(
            "the kernel reads {} ahead; weightfs bench-mount tells whether another --readahead or --threads gives more",
            show(ahead)
        )
    };
    advice(
        Weight::Note,
        format!(
            "FUSE limits a cold load: a file that costs nothing is read at {}; the disk would give {} of the file, the \
             decoder {}",
            show_rate(at_most),
            show_rate(load.ceiling(Stage::Disk)?),
            show_rate(load.ceiling(Stage::Decoder)?)
        ),
        todo,
    )
}
