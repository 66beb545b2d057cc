//! From numbers to levels.

use std::ops::Range;

use super::cover::{self, Nearest, ROW_STEPS, Reach, push_levels, signed_level};
use super::group_scale::Scale;
use super::levels::LevelPlanes;
use super::number::{narrow, root_mean_square, values};
use super::octave::{SCALE_STEPS, exp2, octave_ratio, octave_steps, powers, scale_powers};
use super::restore::{NO_SCALE, Restorer, octave_of, power, row_reach, row_step};
use super::treatment::{Bound, PartsOf, ScaleFit, Treatment};
use super::uniform::{SPARE, push_uniform, step_within};
use crate::format::{ElementType, GridHeader, GridKind, MAX_OCTAVE_STEPS, RowParts};
use crate::simd::Simd;

/// Level 0 as a field of 8, 16 and 24 bits.
const MIDDLES: [i32; 3] = [1 << 7, 1 << 15, 1 << 23];
/// One element in so many may be an exception before wider levels are taken.
const FEW_FAR: usize = 1 << 12;
/// With more exceptions than one element in so many, numbers are not stored as levels.
const FEW_EXCEPTIONS: usize = 16;
/// Numbers that are looked at together: next to all of them are as they may be.
const CHECKED_AT_ONCE: usize = 1024;
/// A run of numbers as levels.
#[derive(Debug)]
pub struct Levels {
    /// The grid.
    pub grid: GridHeader,
    /// A scale for each part of a row, as the grid has them.
    pub scales: Vec<u8>,
    /// The low bytes of levels of 24 bits.
    pub low: Vec<u8>,
    /// The levels, or what is above the low bytes.
    pub fields: Vec<u8>,
    /// Bits of one of `fields`.
    pub width: u8,
    /// Place and element of each that does not lie on the grid.
    pub exceptions: Vec<u8>,
    /// What will be served.
    pub served: Vec<u8>,
    /// The numbers in steps of `fields`, from level 0 on, where steps are equal.
    pub in_steps: Vec<f32>,
}

/// Makes levels of numbers, with buffers and tables that are used again.
#[derive(Debug)]
pub struct Quantizer {
    simd: Simd,
    restorer: Restorer,
    scale_powers: Vec<f64>,
    cover: Option<(ElementType, Reach, Nearest)>,
    rows: (Option<ElementType>, Vec<Option<Nearest>>),
    values: Vec<f64>,
    served: Vec<f64>,
    /// Greatest error that each part allows, where parts differ.
    part_bounds: Vec<f64>,
    levels: Vec<i32>,
    result: Levels,
}

impl Default for Quantizer {
    fn default() -> Self {
        Self {
            simd: Simd::detect(),
            restorer: Restorer::default(),
            scale_powers: scale_powers(),
            cover: None,
            rows: (None, Vec::new()),
            values: Vec::new(),
            served: Vec::new(),
            part_bounds: Vec::new(),
            levels: Vec::new(),
            result: Levels {
                grid: GridHeader {
                    element: ElementType::F32,
                    kind: GridKind::Uniform,
                    parameter: 0.0,
                    parts: RowParts::default(),
                    steps: 0,
                    bias: 0,
                    exceptions: 0,
                },
                scales: Vec::new(),
                low: Vec::new(),
                fields: Vec::new(),
                width: 8,
                exceptions: Vec::new(),
                served: Vec::new(),
                in_steps: Vec::new(),
            },
        }
    }
}

impl Quantizer {
    /// Makes levels of a run of `count` elements. `None` if too many of them do not lie on such a grid.
    pub fn quantize(
        &mut self,
        element: ElementType,
        treatment: &Treatment,
        parts: PartsOf<'_>,
        count: usize,
    ) -> Option<&Levels> {
        let mut all = std::mem::take(&mut self.values);
        values(self.simd, element, parts.bytes, &mut all);
        let width = usize::from(element.bytes());
        let source = parts
            .bytes
            .get(parts.before * width..(parts.before + count) * width)?;
        let is_on_grid = self.make(element, treatment, parts, &all, count);
        let run = &all[parts.before..parts.before + count];
        let fits = is_on_grid && self.finish(treatment, run, source);
        self.values = all;
        fits.then_some(&self.result)
    }

    /// Finds the grid, scales and levels.
    fn make(
        &mut self,
        element: ElementType,
        treatment: &Treatment,
        parts: PartsOf<'_>,
        all: &[f64],
        count: usize,
    ) -> bool {
        let grid = &mut self.result.grid;
        grid.element = element;
        (grid.parameter, grid.steps, grid.parts) = (0.0, 0, RowParts::default());
        if let Some(part) = treatment.part(parts.row) {
            grid.parts = RowParts {
                row: parts.row,
                first_column: parts.first_column,
                part,
            };
        }
        self.result.scales.clear();
        self.result.in_steps.clear();
        self.part_bounds.clear();
        self.levels.clear();
        let run = &all[parts.before..parts.before + count];
        let is_short = element.bytes() == 2;
        match *treatment {
            Treatment::Bounded { bound, typical } => match (bound, is_short) {
                (Bound::Absolute(bound), true) => self.cover(Reach::Absolute(bound), run),
                (Bound::Pointwise(bound), true) => self.cover(Reach::Relative(bound), run),
                (Bound::Absolute(bound), false) => self.uniform(bound, typical, run),
                (Bound::Pointwise(bound), false) => return self.logarithmic(bound, run),
                (Bound::Row(ratio), _) => self.rows(ratio, all, parts.before, count),
            },
            Treatment::Groups { most, fit, .. } => {
                self.groups(most, fit, all, parts.before, count);
            }
        }
        true
    }

    fn uniform(&mut self, bound: f64, typical: f64, run: &[f64]) {
        let grid = &mut self.result.grid;
        let step = step_within(bound, typical, grid.element);
        (grid.kind, grid.parameter) = (GridKind::Uniform, step);
        push_uniform(self.simd, run, grid.element, step, bound, &mut self.levels);
        let (inverse, in_steps) = (1.0 / step, &mut self.result.in_steps);
        in_steps.resize(run.len(), 0.0);
        self.simd.vectorized(
            #[inline(always)]
            || {
                for (number, value) in in_steps.iter_mut().zip(run) {
                    *number = narrow(value * inverse);
                }
            },
        );
    }

    fn cover(&mut self, reach: Reach, run: &[f64]) {
        let element = self.result.grid.element;
        let is_same =
            |(of, with, _): &(ElementType, Reach, Nearest)| (*of, *with) == (element, reach);
        if !self.cover.as_ref().is_some_and(is_same) {
            self.cover = None;
        }
        let (_, _, nearest) = self.cover.get_or_insert_with(|| {
            let cover = cover::magnitudes(element, reach, usize::MAX);
            (element, reach, cover::nearest(element, &cover))
        });
        let grid = &mut self.result.grid;
        match reach {
            Reach::Absolute(bound) => {
                (grid.kind, grid.parameter) = (GridKind::Cover, bound);
                let levels = &mut self.levels;
                push_levels(
                    self.simd,
                    nearest,
                    element,
                    (run, 1.0),
                    signed_level,
                    levels,
                );
                let (inverse, levels) = (0.5 / bound, &self.levels);
                let in_steps = &mut self.result.in_steps;
                in_steps.resize(run.len(), 0.0);
                self.simd.vectorized(
                    #[inline(always)]
                    || {
                        for (number, (value, &level)) in
                            in_steps.iter_mut().zip(run.iter().zip(levels))
                        {
                            // Where numbers are farther apart than steps, levels are.
                            let level = f64::from(level);
                            let near = (value * inverse).max(level - 0.5).min(level + 0.5);
                            *number = narrow(near);
                        }
                    },
                );
            }
            Reach::Relative(bound) => {
                (grid.kind, grid.parameter) = (GridKind::PointwiseCover, bound);
                let level = |step, is_negative| step << 1 | i32::from(is_negative);
                let levels = &mut self.levels;
                push_levels(self.simd, nearest, element, (run, 1.0), level, levels);
            }
        }
    }

    fn logarithmic(&mut self, bound: f64, run: &[f64]) -> bool {
        let steps = octave_steps(bound * (1.0 - SPARE));
        if !(1.0..=f64::from(MAX_OCTAVE_STEPS)).contains(&steps) {
            return false;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and limited"
        )]
        let count = steps as u32;
        let ratio = octave_ratio(count);
        let powers = powers(ratio, count as usize);
        let exponent = |value: f64| {
            let exponent = (value.abs().log2() * steps).round();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "2^16 steps of 2048 octaves"
            )]
            let exponent = exponent as i32;
            exponent
        };
        let numbers = || {
            run.iter()
                .filter(|value| value.is_finite() && **value != 0.0)
        };
        let bias = numbers().map(|&value| exponent(value)).min().unwrap_or(0) - 1;
        let grid = &mut self.result.grid;
        (grid.kind, grid.parameter) = (GridKind::Logarithmic, ratio);
        (grid.steps, grid.bias) = (count, bias);
        let is_near = |field: i32, value: f64| {
            let served = power(&powers, bias, field.cast_unsigned());
            let served = match grid.element {
                ElementType::F32 => narrow(served).into(),
                _ => served,
            };
            (served - value).abs() <= bound * value.abs()
        };
        self.levels.extend(run.iter().map(|&value| {
            let sign = i32::from(value.is_sign_negative());
            if value == 0.0 || !value.is_finite() {
                return sign;
            }
            let field = (exponent(value) - bias + 1) << 1 | sign;
            let near = [field, field + 2, field - 2];
            near.into_iter()
                .find(|&field| field >= 2 && is_near(field, value))
                .unwrap_or(sign)
        }));
        true
    }

    fn rows(&mut self, ratio: f64, all: &[f64], before: usize, count: usize) {
        let grid = &mut self.result.grid;
        let element = grid.element;
        let is_short = element.bytes() == 2;
        grid.kind = if is_short {
            GridKind::CoverRows
        } else {
            GridKind::UniformRows
        };
        if is_short && self.rows.0 != Some(element) {
            self.rows = (Some(element), vec![None; SCALE_STEPS as usize]);
        }
        let parts = grid.parts;
        for (part, run) in parts_of(parts, all, before, count) {
            let bound = ratio * root_mean_square(self.simd, part);
            self.part_bounds.push(bound);
            let spare = if is_short { 0.0 } else { 1.0 / 4096.0 };
            let scale = scale_within(&self.scale_powers, bound * (1.0 - spare));
            self.result.scales.extend(scale.to_le_bytes());
            if scale == NO_SCALE {
                self.levels.extend(run.iter().map(|_| 0));
            } else if is_short {
                let (octave, fraction) = octave_of(scale);
                let nearest = self.rows.1[fraction].get_or_insert_with(|| {
                    let reach = row_reach(&self.scale_powers, fraction);
                    let cover = cover::magnitudes(element, reach, ROW_STEPS);
                    cover::nearest(element, &cover)
                });
                let run = (run, exp2(-octave));
                let levels = &mut self.levels;
                push_levels(self.simd, nearest, element, run, signed_level, levels);
            } else {
                let step = row_step(&self.scale_powers, scale);
                push_uniform(self.simd, run, element, step, bound, &mut self.levels);
            }
        }
    }

    fn groups(&mut self, most: u32, fit: ScaleFit, all: &[f64], before: usize, count: usize) {
        let grid = &mut self.result.grid;
        (grid.kind, grid.steps) = (GridKind::Groups, most);
        let element = grid.element;
        let farthest = f64::from(most);
        for (part, run) in parts_of(grid.parts, all, before, count) {
            let best = Scale::of(part, element, farthest, fit);
            let width = usize::from(element.bytes());
            self.result.scales.extend(&best.bytes[..width]);
            self.levels.extend(run.iter().map(|value| {
                #[expect(clippy::cast_possible_truncation, reason = "clamped to a byte")]
                let level = best.level(*value, farthest) as i32;
                level
            }));
        }
    }

    /// Writes the planes, restores them, and notes what does not keep the bound. False if that is too much.
    fn finish(&mut self, treatment: &Treatment, run: &[f64], source: &[u8]) -> bool {
        self.write_planes();
        let result = &mut self.result;
        let width = usize::from(result.grid.element.bytes());
        result.served.resize(source.len(), 0);
        let levels = if result.low.is_empty() {
            LevelPlanes::of_one(&result.fields, result.width)
        } else {
            LevelPlanes::Wide(&result.low, result.fields.as_chunks().0)
        };
        self.restorer.restore(
            self.simd,
            &result.grid,
            &result.scales,
            levels,
            &mut result.served,
        );
        result.exceptions.clear();
        let served = &mut self.served;
        let mut check = Check {
            simd: self.simd,
            width,
            source,
            result,
            run,
            served,
        };
        let all = 0..run.len();
        match *treatment {
            Treatment::Groups { .. } => check.all(all, |_, _| true),
            Treatment::Bounded { bound, .. } => match bound {
                Bound::Absolute(bound) => {
                    check.all(all, |value, served| (served - value).abs() <= bound);
                }
                Bound::Pointwise(bound) => check.all(all, |value, served| {
                    (served - value).abs() <= bound * value.abs()
                }),
                Bound::Row(_) => {
                    let mut at = 0;
                    let lengths = check.result.grid.parts.lengths(run.len());
                    for (len, &bound) in lengths.zip(&self.part_bounds) {
                        check.all(at..at + len, |value, served| {
                            (served - value).abs() <= bound
                        });
                        at += len;
                    }
                }
            },
        }
        let exceptions = result.exceptions.len() / result.grid.exception_bytes();
        result.grid.exceptions = u32::try_from(exceptions).unwrap_or(u32::MAX);
        exceptions <= run.len() / FEW_EXCEPTIONS
    }

    /// Writes levels as fields of the least width that holds all but few of them.
    fn write_planes(&mut self) {
        let grid = &mut self.result.grid;
        let is_signed = !matches!(grid.kind, GridKind::PointwiseCover | GridKind::Logarithmic);
        let is_within = move |level: i32, middle: i32| {
            if is_signed {
                // The lowest field is of no level, which codecs make use of.
                level > -middle && level < middle
            } else {
                (0..2 * middle).contains(&level)
            }
        };
        let is_groups = grid.kind == GridKind::Groups;
        let (levels, simd) = (&self.levels, self.simd);
        let far = |middle: i32| {
            simd.vectorized(
                #[inline(always)]
                || {
                    levels
                        .iter()
                        .map(|&level| usize::from(!is_within(level, middle)))
                        .sum::<usize>()
                },
            )
        };
        let (bytes, middle) = if is_groups || far(MIDDLES[0]) == 0 {
            (1, MIDDLES[0])
        } else if far(MIDDLES[1]) <= levels.len() / FEW_FAR {
            (2, MIDDLES[1])
        } else {
            (3, MIDDLES[2])
        };
        if is_signed {
            grid.bias = middle;
        } else if grid.kind == GridKind::PointwiseCover {
            grid.bias = 0;
        }
        let add = if is_signed { middle } else { 0 };
        let field = move |level: i32| {
            let is_there = is_groups || is_within(level, middle);
            ((if is_there { level } else { 0 }) + add).to_le_bytes()
        };
        let result = &mut self.result;
        result.low.clear();
        result
            .fields
            .resize(levels.len() * if bytes == 1 { 1 } else { 2 }, 0);
        simd.vectorized(
            #[inline(always)]
            || match bytes {
                // As it is in registers then, whatever is written.
                1 => {
                    let field_of = field;
                    for (byte, &level) in result.fields.iter_mut().zip(levels) {
                        *byte = field_of(level)[0];
                    }
                }
                2 => {
                    let field_of = field;
                    let fields = result.fields.as_chunks_mut().0;
                    for (bytes, &level) in fields.iter_mut().zip(levels) {
                        let [low, high, ..] = field_of(level);
                        *bytes = [low, high];
                    }
                }
                _ => {
                    result.low.resize(levels.len(), 0);
                    let fields = result.fields.as_chunks_mut().0.iter_mut();
                    for ((bytes, low), &level) in fields.zip(&mut result.low).zip(levels) {
                        let [a, b, c, _] = field(level);
                        (*low, *bytes) = (a, [b, c]);
                    }
                    // Steps of what is coded are as long as those of so many levels.
                    for number in &mut result.in_steps {
                        *number /= 256.0;
                    }
                }
            },
        );
        result.width = if bytes == 1 { 8 } else { 16 };
    }
}

/// Looks for numbers that are not served as they may be.
struct Check<'a> {
    simd: Simd,
    width: usize,
    source: &'a [u8],
    result: &'a mut Levels,
    run: &'a [f64],
    /// Those of a piece.
    served: &'a mut Vec<f64>,
}

impl Check<'_> {
    /// Makes exceptions of the numbers of a range that are not finite, or not kept.
    #[inline(always)]
    fn all(&mut self, range: Range<usize>, keeps: impl Fn(f64, f64) -> bool) {
        let is_good =
            |value: f64, served: f64| value.is_finite() & served.is_finite() & keeps(value, served);
        for start in range.clone().step_by(CHECKED_AT_ONCE) {
            let end = (start + CHECKED_AT_ONCE).min(range.end);
            let element = self.result.grid.element;
            let bytes = &self.result.served[start * self.width..end * self.width];
            values(self.simd, element, bytes, self.served);
            let (run, served) = (&self.run[start..end], self.served.as_slice());
            let all_good = self.simd.vectorized(
                #[inline(always)]
                || {
                    let pairs = run.iter().zip(served);
                    pairs.fold(true, |good, (&value, &served)| {
                        good & is_good(value, served)
                    })
                },
            );
            if all_good {
                continue;
            }
            for place in start..end {
                if !is_good(self.run[place], self.served[place - start]) {
                    self.except(place);
                }
            }
        }
    }

    fn except(&mut self, place: usize) {
        let bytes = place * self.width..(place + 1) * self.width;
        let element = &self.source[bytes.clone()];
        self.result.served[bytes].copy_from_slice(element);
        let place = u32::try_from(place).expect("invariant: elements of a block");
        self.result.exceptions.extend(place.to_le_bytes());
        self.result.exceptions.extend(element);
    }
}

/// Of each part of rows that a run has a share in: the numbers of the whole part, and those in the run.
fn parts_of(
    parts: RowParts,
    all: &[f64],
    before: usize,
    count: usize,
) -> impl Iterator<Item = (&[f64], &[f64])> {
    let whole = RowParts {
        first_column: parts
            .first_column
            .saturating_sub(u32::try_from(before).unwrap_or(0)),
        ..parts
    };
    let mut at = 0;
    whole.lengths(all.len()).filter_map(move |len| {
        let part = at..at + len;
        at += len;
        let share = part.start.max(before)..part.end.min(before + count);
        (share.start < share.end).then(|| (&all[part], &all[share]))
    })
}

/// The greatest scale of a row that stands for no more than a bound.
fn scale_within(scale_powers: &[f64], bound: f64) -> i16 {
    let exponent = (bound.log2() * f64::from(SCALE_STEPS)).floor();
    if !(exponent > f64::from(i16::MIN) + 2.0 && exponent < f64::from(i16::MAX)) {
        return NO_SCALE;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the type")]
    let scale = exponent as i16;
    // Logarithms are rounded.
    if row_step(scale_powers, scale) / 2.0 <= bound {
        scale
    } else {
        scale - 1
    }
}
