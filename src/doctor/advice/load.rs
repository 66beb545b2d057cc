//! Rules about what limits a cold load.

use super::machine::{busy, not_optimized};
use super::rule::{Advice, Rule, Weight, advice};
use crate::codec::Level;
use crate::console::size::{show, show_rate};
use crate::doctor::facts::Facts;
use crate::doctor::load::{Load, Stage};
use crate::doctor::place::Packed;
use crate::doctor::sample::{Coding, LevelCoding};

pub(super) const RULES: &[Rule] = &[from_disk, from_decoder, few_threads, from_fuse, other_level];

/// A smaller archive that saves less is not worth packing again. Ratios are exact.
const ENOUGH_SMALLER: f64 = 0.02;
/// The same of a faster load: measurements of a moment vary.
const ENOUGH_FASTER: f64 = 0.25;
/// Ratios that differ by less are those of one level: some tables of an archive are of more than the sample.
const SAME_RATIO: f64 = 0.001;

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
            packed.ratio.known()?,
            show_rate(load.ceiling(Stage::Decoder)?),
            show_rate(load.ceiling(Stage::Fuse)?)
        ),
        format!(
            "nothing in the mount's options makes that faster; the file itself would be read at {} from there",
            show_rate(disk(facts)?)
        ),
    )
}

/// A level that the archive does not have, if one is worth packing again: for speed, else for size.
fn other_level(facts: &Facts) -> Option<Advice> {
    // Speeds of such runs compare nothing.
    if busy(facts).or_else(|| not_optimized(facts)).is_some() {
        return None;
    }
    let packed = facts.place()?.packed.known()?;
    let now = packed.as_stored.known()?;
    let is_other = |level: &&LevelCoding| {
        let coding = &level.coding;
        coding.block_bytes != now.block_bytes || (coding.ratio / now.ratio - 1.0).abs() > SAME_RATIO
    };
    let levels = packed.levels.known()?.iter();
    let others: Vec<_> = levels.filter(is_other).collect();
    faster_level(facts, now, &others).or_else(|| smaller_level(now, &others))
}

fn faster_level(facts: &Facts, now: &Coding, others: &[&LevelCoding]) -> Option<Advice> {
    let load = facts.load.as_ref()?;
    let [disk, fuse] = [Stage::Disk, Stage::Fuse].map(|stage| load.ceiling(stage));
    let (disk, fuse) = (disk? as f64, fuse? as f64);
    // What a load would be limited to.
    let at_most = |coding: &Coding| {
        let from_disk = disk * coding.ratio / now.ratio;
        from_disk.min(coding.decode.all_threads as f64).min(fuse)
    };
    let gain = |level: &LevelCoding| at_most(&level.coding) / at_most(now) - 1.0;
    // That level is for size: where it seems faster, that is noise, or a smaller archive from a slow disk.
    let fast = others
        .iter()
        .filter(|level| level.level != Level::Max.name());
    let best = fast.max_by(|a, b| gain(a).total_cmp(&gain(b)))?;
    (gain(best) >= ENOUGH_FASTER).then(|| Advice {
        weight: Weight::Better,
        because: instead(best, now),
        advice: format!(
            "pack again with --level {}: a cold load gets up to {:.0} % faster",
            best.level,
            gain(best) * 100.0
        ),
    })
}

fn smaller_level(now: &Coding, others: &[&LevelCoding]) -> Option<Advice> {
    let smallest = others.iter();
    let best = smallest.max_by(|a, b| a.coding.ratio.total_cmp(&b.coding.ratio))?;
    let saved = 1.0 - now.ratio / best.coding.ratio;
    (saved >= ENOUGH_SMALLER).then(|| Advice {
        weight: Weight::Note,
        because: instead(best, now),
        advice: format!(
            "if size matters more than those speeds and the time to pack, pack again with --level {}: the archive \
             gets about {:.0} % smaller",
            best.level,
            saved * 100.0
        ),
    })
}

/// What a level gives, and what the archive does.
fn instead(level: &LevelCoding, now: &Coding) -> String {
    format!(
        "--level {} gives a ratio of {:.3} instead of {:.3} on a sample of it, decoded at {} instead of {}",
        level.level,
        level.coding.ratio,
        now.ratio,
        show_rate(level.coding.decode.all_threads),
        show_rate(now.decode.all_threads)
    )
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
