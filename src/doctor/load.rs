//! What a cold load comes down to: the slowest of disk, decoder and FUSE.
//!
//! Each was measured alone. Where they share processors a load is slower than the slowest, so what is told are
//! ceilings.

use serde::Serialize;

use super::found::Found;
use super::machine::Machine;
use super::place::{Packed, Place};

/// What a load has to pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    Disk,
    Decoder,
    Fuse,
}

/// What a stage gives at most, in bytes of the file a second.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ceiling {
    pub(crate) stage: Stage,
    pub(crate) bytes_per_second: Found<u64>,
}

/// A cold load of the archive that was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Load {
    pub(crate) ceilings: Vec<Ceiling>,
    /// The lowest, if all are known.
    pub(crate) limited_by: Found<Stage>,
    /// What a load gives at most: the lowest of those that are known.
    pub(crate) at_most: Found<u64>,
}

impl Load {
    /// `None` without an archive.
    pub(super) fn of(machine: &Machine, place: &Place) -> Option<Self> {
        let packed = place.packed.known()?;
        let fuse = match &machine.test_mount {
            Found::Known(mount) => mount.read.clone(),
            Found::Unknown { unknown } => Found::unknown(unknown),
        };
        Some(Self::under(vec![
            Ceiling {
                stage: Stage::Disk,
                bytes_per_second: match &packed.ratio {
                    Found::Known(_) => place
                        .disk
                        .map(|disk| of_file(disk.bytes_per_second, packed)),
                    Found::Unknown { unknown } => Found::unknown(unknown),
                },
            },
            Ceiling {
                stage: Stage::Decoder,
                bytes_per_second: packed.decode.map(|speed| speed.all_threads),
            },
            Ceiling {
                stage: Stage::Fuse,
                bytes_per_second: fuse,
            },
        ]))
    }

    fn under(ceilings: Vec<Ceiling>) -> Self {
        let known = ceilings
            .iter()
            .filter_map(|one| Some((*one.bytes_per_second.known()?, one.stage)));
        let lowest = known.min_by_key(|(rate, _)| *rate);
        let missing: Vec<_> = ceilings
            .iter()
            .filter(|one| one.bytes_per_second.known().is_none())
            .map(|one| format!("{:?}", one.stage).to_lowercase())
            .collect();
        let unknown = format!("not known: the speed of {}", missing.join(", "));
        let limited_by = match lowest {
            Some((_, stage)) if missing.is_empty() => Found::Known(stage),
            _ => Found::unknown(&unknown),
        };
        let at_most = lowest.map(|(rate, _)| rate).ok_or(&unknown).into();
        Self {
            limited_by,
            at_most,
            ceilings,
        }
    }

    /// What a stage gives at most.
    pub(crate) fn ceiling(&self, stage: Stage) -> Option<u64> {
        let one = self.ceilings.iter().find(|one| one.stage == stage)?;
        one.bytes_per_second.known().copied()
    }
}

/// Bytes of the file for so many stored bytes.
fn of_file(stored: u64, packed: &Packed) -> u64 {
    let bytes = u128::from(stored) * u128::from(packed.original_bytes)
        / u128::from(packed.stored_bytes.max(1));
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_ceiling_limits_if_all_are_known() {
        let ceiling = |stage, rate: Option<u64>| Ceiling {
            stage,
            bytes_per_second: rate.ok_or("not measured").into(),
        };
        let load = |disk, decoder, fuse| {
            Load::under(vec![
                ceiling(Stage::Disk, disk),
                ceiling(Stage::Decoder, decoder),
                ceiling(Stage::Fuse, fuse),
            ])
        };
        let all = load(Some(3), Some(2), Some(4));
        assert_eq!(all.limited_by, Found::Known(Stage::Decoder));
        assert_eq!(all.at_most, Found::Known(2));
        assert_eq!(all.ceiling(Stage::Fuse), Some(4));
        let some = load(None, Some(2), Some(4));
        assert_eq!(
            some.limited_by,
            Found::unknown("not known: the speed of disk")
        );
        assert_eq!(some.at_most, Found::Known(2));
        assert_eq!(load(None, None, None).at_most.known(), None);
    }
}
