//! The bound with which lossy packing takes what is wanted.

use super::expected::{SAMPLE_BYTES, expect};
use super::kin::KinPlan;
use super::layout::layout;
use super::lossy::{self, Asked, Grid, LossyOptions, LossyPlan};
use super::monitor::Monitor;
use super::pack_options::PackOptions;
use super::source_file::SourceFile;
use crate::error::{Error, Result};

/// Bounds that are tried: of most models the third is near enough.
const MOST_TRIES: usize = 9;
/// A bound is good enough with which a weight takes so few bits more or less than wanted.
const NEAR_BITS: f64 = 0.004;
/// Octaves that a bound is changed by at once.
const FARTHEST_STEP: f64 = 4.0;
/// The share of a size that is left for what a sample does not tell.
const SPARE_OF_ALL: f64 = 0.001;
const SPARE_OF_SAMPLE: f64 = 0.006;
/// Bits that a number of a normal distribution takes when its bound is its deviation.
const GAUSSIAN_BITS: f64 = 1.047;

/// The plan with which a file takes what is asked for; `share` of the size that is, if one is.
///
/// # Errors
/// `InvalidInput` if that cannot be reached; else as `expect`.
pub(super) fn plan(
    source: &SourceFile,
    lossy: &LossyOptions,
    share: f64,
    options: &PackOptions,
    monitor: &Monitor<'_>,
) -> Result<LossyPlan> {
    let grid = match lossy.asked {
        Asked::Setting(setting) => return lossy::plan(source, setting, lossy, monitor),
        Asked::Bits(_, grid) | Asked::Size(_, grid) => grid,
    };
    // With any bound: what is learnt of the tensors does not depend on it.
    let any = lossy::plan(source, grid.setting(1.0), lossy, monitor)?;
    let asked: Vec<_> = (0..any.tensors.len())
        .filter(|&number| !any.tensors[number].is_by_rule)
        .collect();
    let elements: f64 = asked
        .iter()
        .map(|&number| any.tensors[number].elements() as f64)
        .sum();
    if asked.is_empty() {
        return Ok(any);
    }
    let squares = asked.iter().map(|&number| {
        let tensor = &any.tensors[number];
        tensor.typical().powi(2) * tensor.elements() as f64
    });
    let typical = match grid {
        Grid::Absolute => (squares.sum::<f64>() / elements).sqrt(),
        Grid::Row => 1.0,
    };
    let nothing = KinPlan::default();
    let survey = options.survey(source, (&any, &nothing), monitor)?;
    let extents = layout(source, &any.cuts(), monitor)?;
    // How many bits a weight takes too many with a bound.
    let excess = |bound: f64| -> Result<f64> {
        let plan = any.with_bound(grid.setting(bound));
        let expected = expect(
            source,
            &extents,
            (&plan, &nothing),
            &survey,
            SAMPLE_BYTES,
            options,
            monitor,
        )?;
        Ok(match lossy.asked {
            Asked::Size(bytes, _) => {
                let spare = if expected.is_whole {
                    SPARE_OF_ALL
                } else {
                    SPARE_OF_SAMPLE
                };
                let goal = bytes as f64 * share * (1.0 - spare);
                if expected.rest >= goal {
                    return Err(Error::InvalidInput(format!(
                        "{}: what stays as it is takes {:.0} bytes, so an archive of {bytes} cannot be \
                         reached; --include more tensors",
                        source.path.display(),
                        expected.rest
                    )));
                }
                (expected.total() - goal) * 8.0 / elements
            }
            Asked::Bits(bits, _) => {
                let stored: f64 = asked.iter().map(|&number| expected.tensors[number]).sum();
                stored * 8.0 / elements - bits
            }
            Asked::Setting(_) => 0.0,
        })
    };
    let wanted = match lossy.asked {
        Asked::Bits(bits, _) => bits,
        Asked::Size(bytes, _) => (bytes as f64 * 8.0 / elements).min(16.0),
        Asked::Setting(_) => 8.0,
    };
    let typical = typical.clamp(f64::MIN_POSITIVE, f64::MAX);
    let mut place = typical.log2() + GAUSSIAN_BITS - wanted;
    // The best bound so far, with how far it is from what is wanted; and the nearest at either side.
    let mut best: Option<(f64, f64)> = None;
    let (mut too_fine, mut too_coarse): (Option<f64>, Option<f64>) = (None, None);
    for _ in 0..MOST_TRIES {
        let bound = round(place.exp2());
        let now = excess(bound)?;
        // At most a size: what is above counts only if there is nothing else.
        let distance = match lossy.asked {
            Asked::Size(..) if now > 0.0 => f64::from(u16::MAX) + now,
            _ => now.abs(),
        };
        if best.is_none_or(|(_, least)| distance < least) {
            best = Some((bound, distance));
        }
        if distance <= NEAR_BITS {
            break;
        }
        let side = if now > 0.0 {
            &mut too_fine
        } else {
            &mut too_coarse
        };
        *side = Some(place);
        // A bit less for a bound twice as wide, where that is not farther than what was tried already: sizes of
        // types of few bits jump.
        let next = place + now + if now > 0.0 { NEAR_BITS / 2.0 } else { 0.0 };
        place = match (too_fine, too_coarse) {
            (Some(fine), Some(coarse)) if next <= fine || next >= coarse => {
                f64::midpoint(fine, coarse)
            }
            (Some(fine), None) => next.clamp(fine + NEAR_BITS, fine + FARTHEST_STEP),
            (None, Some(coarse)) => next.clamp(coarse - FARTHEST_STEP, coarse - NEAR_BITS),
            _ => next,
        };
    }
    let (bound, distance) = best.unwrap_or((typical, 0.0));
    if matches!(lossy.asked, Asked::Bits(..)) && distance > 10.0 * NEAR_BITS {
        (monitor.warn)(&format!(
            "{}: no bound was found with which a weight takes {wanted} bits; the nearest is taken",
            source.path.display()
        ));
    }
    let setting = grid.setting(bound);
    setting.check()?;
    Ok(any.with_bound(setting))
}

/// A number that is short to read, no greater, and possible as a bound.
fn round(bound: f64) -> f64 {
    let bound = bound.clamp(f64::MIN_POSITIVE, f64::MAX);
    let unit = 10f64.powf(bound.log10().floor() - 4.0);
    let short = (bound / unit).floor() * unit;
    // As it is printed: without what the product adds.
    let printed: f64 = format!("{short:.4e}").parse().unwrap_or(bound);
    if printed > 0.0 && printed.is_finite() {
        printed
    } else {
        bound
    }
}
