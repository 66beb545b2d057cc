//! From levels to the numbers they stand for.
//!
//! Every level gives some number: what a damaged block gives is found by its checksum.

use half::f16;

use super::cover::{self, ROW_STEPS, Reach};
use super::levels::LevelPlanes;
use super::number::{from_bf16, mantissa_bits, narrow, to_bf16, to_f16};
use super::octave::{SCALE_STEPS, exp2, powers, scale_powers};
use crate::format::{ElementType, GridHeader, GridKind, MAX_OCTAVE_STEPS};
use crate::simd::Simd;

/// The scale of a row of which all numbers are zero.
pub(super) const NO_SCALE: i16 = i16::MIN;

/// Restores numbers, with tables that are used again.
#[derive(Debug, Default)]
pub struct Restorer {
    cover: Option<Cover>,
    rows: RowCovers,
    scale_powers: Vec<f64>,
    /// Ratio and powers.
    octave: (u64, Vec<f64>),
}

#[derive(Debug)]
struct Cover {
    element: ElementType,
    kind: GridKind,
    parameter: u64,
    numbers: Vec<u16>,
}

/// For each step of an octave the cover of bounds there.
#[derive(Debug, Default)]
struct RowCovers {
    element: Option<ElementType>,
    numbers: Vec<Vec<u16>>,
}

/// The bound of a cover of rows whose scale has this fraction.
pub(super) fn row_reach(scale_powers: &[f64], fraction: usize) -> Reach {
    Reach::Absolute(scale_powers[fraction])
}

/// What a scale of rows counts: whole octaves, and steps of one.
pub(super) fn octave_of(scale: i16) -> (i32, usize) {
    let scale = i32::from(scale);
    let fraction = scale.rem_euclid(SCALE_STEPS);
    (
        scale.div_euclid(SCALE_STEPS),
        usize::try_from(fraction).unwrap_or(0),
    )
}

/// The step of a row of F32 or F64: twice what its scale stands for.
pub(super) fn row_step(scale_powers: &[f64], scale: i16) -> f64 {
    let (octave, fraction) = octave_of(scale);
    scale_powers[fraction] * exp2(octave + 1)
}

impl Restorer {
    /// Gives back tables that may be long.
    pub fn give_back(&mut self) {
        *self = Self::default();
    }

    /// Writes the numbers of all levels to `elements`. `scales` is the plane of those, if there are any.
    pub fn restore(
        &mut self,
        simd: Simd,
        grid: &GridHeader,
        scales: &[u8],
        levels: LevelPlanes<'_>,
        elements: &mut [u8],
    ) {
        simd.vectorized(
            #[inline(always)]
            || self.restore_all(grid, scales, levels, elements),
        );
    }

    #[inline(always)]
    fn restore_all(
        &mut self,
        grid: &GridHeader,
        scales: &[u8],
        levels: LevelPlanes<'_>,
        elements: &mut [u8],
    ) {
        let bias = grid.bias;
        match (grid.kind, grid.element) {
            (GridKind::Uniform, ElementType::F32) => {
                uniform_32(levels, bias, narrow(grid.parameter), elements);
            }
            (GridKind::Uniform, _) => uniform_64(levels, bias, grid.parameter, elements),
            (GridKind::Cover, _) => {
                let numbers = self.cover(grid);
                let first = bias - middle(numbers);
                look_up(levels, first, numbers, |number| number, elements);
            }
            (GridKind::PointwiseCover, _) => {
                let numbers = self.cover(grid);
                look_up(levels, 0, numbers, |number| number, elements);
            }
            (GridKind::Logarithmic, _) => self.logarithmic(grid, levels, elements),
            (GridKind::Groups, _) => groups(grid, scales, levels, elements),
            (GridKind::UniformRows | GridKind::CoverRows, _) => {
                self.rows(grid, scales, levels, elements);
            }
        }
    }

    fn cover(&mut self, grid: &GridHeader) -> &[u16] {
        let parameter = grid.parameter.to_bits();
        let is_it = |cover: &Cover| {
            (cover.element, cover.kind, cover.parameter) == (grid.element, grid.kind, parameter)
        };
        if !self.cover.as_ref().is_some_and(is_it) {
            self.cover = None;
        }
        &self
            .cover
            .get_or_insert_with(|| {
                let is_relative = grid.kind == GridKind::PointwiseCover;
                let reach = if is_relative {
                    Reach::Relative(grid.parameter)
                } else {
                    Reach::Absolute(grid.parameter)
                };
                let magnitudes = cover::magnitudes(grid.element, reach, usize::MAX);
                Cover {
                    element: grid.element,
                    kind: grid.kind,
                    parameter,
                    numbers: if is_relative {
                        cover::in_pairs(&magnitudes)
                    } else {
                        cover::signed(&magnitudes)
                    },
                }
            })
            .numbers
    }

    fn scale_powers(&mut self) {
        if self.scale_powers.is_empty() {
            self.scale_powers = scale_powers();
        }
    }

    #[inline(always)]
    fn rows(
        &mut self,
        grid: &GridHeader,
        scales: &[u8],
        levels: LevelPlanes<'_>,
        elements: &mut [u8],
    ) {
        self.scale_powers();
        let width = usize::from(grid.element.bytes());
        let lengths = grid.parts.lengths(elements.len() / width);
        let mut at = 0;
        for (len, &scale) in lengths.zip(scales.as_chunks::<2>().0) {
            let levels = levels.part(at, len);
            let elements = &mut elements[at * width..(at + len) * width];
            let scale = i16::from_le_bytes(scale);
            at += len;
            if scale == NO_SCALE {
                elements.fill(0);
            } else if grid.kind == GridKind::CoverRows {
                self.cover_row(grid, scale, levels, elements);
            } else {
                let step = row_step(&self.scale_powers, scale);
                if grid.element == ElementType::F32 {
                    uniform_32(levels, grid.bias, narrow(step), elements);
                } else {
                    uniform_64(levels, grid.bias, step, elements);
                }
            }
        }
    }

    #[inline(always)]
    fn cover_row(
        &mut self,
        grid: &GridHeader,
        scale: i16,
        levels: LevelPlanes<'_>,
        elements: &mut [u8],
    ) {
        if self.rows.element != Some(grid.element) {
            self.rows = RowCovers {
                element: Some(grid.element),
                numbers: vec![Vec::new(); SCALE_STEPS as usize],
            };
        }
        let (octave, fraction) = octave_of(scale);
        let numbers = &mut self.rows.numbers[fraction];
        if numbers.is_empty() {
            let reach = row_reach(&self.scale_powers, fraction);
            *numbers = cover::signed(&cover::magnitudes(grid.element, reach, ROW_STEPS));
        }
        // Octaves are added to the exponent.
        let [low, high, ..] = (octave << mantissa_bits(grid.element)).to_le_bytes();
        let octaves = u16::from_le_bytes([low, high]);
        let first = grid.bias - middle(numbers);
        let moved = |number: u16| {
            if number == 0 {
                0
            } else {
                number.wrapping_add(octaves)
            }
        };
        look_up(levels, first, numbers, moved, elements);
    }

    #[inline(always)]
    fn logarithmic(&mut self, grid: &GridHeader, levels: LevelPlanes<'_>, elements: &mut [u8]) {
        let of = grid.parameter.to_bits();
        if self.octave.0 != of || self.octave.1.len() < grid.steps as usize {
            let steps = grid.steps.min(MAX_OCTAVE_STEPS) as usize;
            self.octave = (of, powers(grid.parameter, steps));
        }
        let powers = &self.octave.1[..grid.steps as usize];
        let number = |field: u32| power(powers, grid.bias, field);
        if grid.element == ElementType::F32 {
            let elements = elements.as_chunks_mut().0;
            levels.make(elements, |field| narrow(number(field)).to_le_bytes());
        } else {
            levels.make(elements.as_chunks_mut().0, |field| {
                number(field).to_le_bytes()
            });
        }
    }
}

/// The number of a field on a logarithmic grid: 0, or from 2 on the exponent, with the sign lowest.
#[inline(always)]
pub(super) fn power(powers: &[f64], bias: i32, field: u32) -> f64 {
    let (exponent, sign) = ((field >> 1).cast_signed(), field & 1);
    let steps = i32::try_from(powers.len()).unwrap_or(i32::MAX);
    let exponent = exponent - 1 + bias;
    let power = powers[usize::try_from(exponent.rem_euclid(steps)).unwrap_or(0)];
    let value = if field < 2 {
        0.0
    } else {
        power * exp2(exponent.div_euclid(steps))
    };
    if sign == 1 { -value } else { value }
}

/// Where level 0 is among the numbers of a cover.
fn middle(numbers: &[u16]) -> i32 {
    i32::try_from(numbers.len() / 2).unwrap_or(i32::MAX)
}

#[inline(always)]
fn look_up(
    levels: LevelPlanes<'_>,
    first: i32,
    numbers: &[u16],
    change: impl Fn(u16) -> u16,
    elements: &mut [u8],
) {
    let first = first.cast_unsigned();
    levels.make(elements.as_chunks_mut().0, |field| {
        let place = field.wrapping_sub(first) as usize;
        change(numbers.get(place).copied().unwrap_or(0)).to_le_bytes()
    });
}

#[inline(always)]
fn uniform_32(levels: LevelPlanes<'_>, bias: i32, step: f32, elements: &mut [u8]) {
    levels.make(elements.as_chunks_mut().0, |field| {
        ((field.cast_signed() - bias) as f32 * step).to_le_bytes()
    });
}

#[inline(always)]
fn uniform_64(levels: LevelPlanes<'_>, bias: i32, step: f64, elements: &mut [u8]) {
    levels.make(elements.as_chunks_mut().0, |field| {
        (f64::from(field.cast_signed() - bias) * step).to_le_bytes()
    });
}

#[inline(always)]
fn groups(grid: &GridHeader, scales: &[u8], levels: LevelPlanes<'_>, elements: &mut [u8]) {
    let width = usize::from(grid.element.bytes());
    let (most, bias) = (grid.steps as f32, grid.bias);
    let lengths = grid.parts.lengths(elements.len() / width);
    let mut at = 0;
    for (len, scale) in lengths.zip(scales.chunks_exact(width)) {
        let levels = levels.part(at, len);
        let elements = &mut elements[at * width..(at + len) * width];
        at += len;
        let level = |field: u32| (field.cast_signed() - bias) as f32;
        match (grid.element, scale) {
            (ElementType::Bf16, &[a, b]) => {
                let unit = from_bf16(u16::from_le_bytes([a, b])) / most;
                levels.make(elements.as_chunks_mut().0, |field| {
                    to_bf16(level(field) * unit).to_le_bytes()
                });
            }
            (ElementType::F16, &[a, b]) => {
                let unit = f16::from_le_bytes([a, b]).to_f32() / most;
                levels.make(elements.as_chunks_mut().0, |field| {
                    to_f16(level(field) * unit).to_le_bytes()
                });
            }
            (ElementType::F32, &[a, b, c, d]) => {
                let unit = f32::from_le_bytes([a, b, c, d]) / most;
                uniform_32(levels, bias, unit, elements);
            }
            (_, &[a, b, c, d, e, f, g, h]) => {
                let unit = f64::from_le_bytes([a, b, c, d, e, f, g, h]) / f64::from(grid.steps);
                uniform_64(levels, bias, unit, elements);
            }
            _ => {}
        }
    }
}
