use std::ops::Range;
use std::sync::atomic::AtomicBool;

use super::types;
use crate::format::ElementType;
use crate::job::monitor::Monitor;
use crate::model::TypedRange;

/// Parts of a file, and what is found in it.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    parts: Vec<(Range<u64>, ElementType)>,
    random: Option<fastrand::Rng>,
}

impl Made {
    fn weight(&mut self) -> f32 {
        let random = self
            .random
            .get_or_insert_with(|| fastrand::Rng::with_seed(3));
        let sum: f32 = (0..6).map(|_| random.f32() - 0.5).sum();
        sum * 0.03
    }

    fn add(&mut self, count: usize, element: ElementType) -> &mut Self {
        let start = self.bytes.len() as u64;
        for _ in 0..count {
            let weight = self.weight();
            match element {
                ElementType::Bf16 => self.bytes.extend(&weight.to_le_bytes()[2..]),
                ElementType::F16 => self.bytes.extend(half::f16::from_f32(weight).to_le_bytes()),
                ElementType::F32 => self.bytes.extend(weight.to_le_bytes()),
                ElementType::F64 => {
                    let share = self.random.as_mut().unwrap().f64();
                    self.bytes
                        .extend((f64::from(weight) * (1.0 + share / 64.0)).to_le_bytes());
                }
                ElementType::Bytes => {
                    let random = self.random.as_mut().unwrap();
                    self.bytes.push(random.u8(..));
                }
                other => panic!("{other:?}"),
            }
        }
        self.parts.push((start..self.bytes.len() as u64, element));
        self
    }

    fn text(&mut self, len: usize) -> &mut Self {
        let words =
            b"{\"model\": \"of words\", \"merges\": [\"a b\", \"th e\"], \"vocab\": 30522} ";
        let text = words.iter().cycle().take(len);
        self.bytes.extend(text);
        self
    }

    fn zeros(&mut self, len: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len() + len, 0);
        self
    }

    fn found(&self) -> Vec<TypedRange> {
        let cancel = AtomicBool::new(false);
        types(self.bytes.as_slice(), &Monitor::silent(&cancel)).unwrap()
    }

    /// Each part of some length is found, but for its edges.
    fn check(&self) {
        let found = self.found();
        for (range, element) in &self.parts {
            let most: u64 = found
                .iter()
                .filter(|typed| {
                    let width = u64::from(element.bytes());
                    let offset = |place: u64| place % width;
                    typed.element == *element && offset(typed.range.start) == offset(range.start)
                })
                .map(|typed| {
                    let end = typed.range.end.min(range.end);
                    end.saturating_sub(typed.range.start.max(range.start))
                })
                .sum();
            let len = range.end - range.start;
            assert!(
                most + 128 >= len,
                "{most} of {len} {element:?} in {found:?}"
            );
        }
        let mut end = 0;
        for typed in &found {
            assert!(typed.range.start >= end && typed.range.start < typed.range.end);
            end = typed.range.end;
        }
        assert!(end <= self.bytes.len() as u64);
    }
}

#[test]
fn numbers_of_every_type_are_found_wherever_they_start() {
    use ElementType::{Bf16, F16, F32, F64};
    for element in [Bf16, F16, F32, F64] {
        for header in [0, 1, 130, 3003] {
            let mut made = Made::default();
            made.text(header).add(150_000, element);
            made.check();
        }
    }
}

#[test]
fn each_of_several_types_is_found_up_to_where_it_ends() {
    use ElementType::{Bf16, F16, F32, F64};
    let mut made = Made::default();
    made.text(300).add(200_001, Bf16).text(77).add(100_000, F32);
    made.add(120_000, F16).text(200_000).add(50_000, F64);
    made.add(300_000, Bf16);
    made.check();
}

#[test]
fn a_type_that_goes_on_behind_an_odd_header_is_found_again() {
    use ElementType::F32;
    let mut made = Made::default();
    made.text(61);
    for _ in 0..4 {
        made.add(100_000, F32).text(9);
    }
    made.check();
}

#[test]
fn zeros_between_numbers_are_of_their_type() {
    let mut made = Made::default();
    made.add(200_000, ElementType::F32).zeros(400_000);
    made.add(200_000, ElementType::F32);
    made.check();
    assert_eq!(made.found().len(), 1);
}

#[test]
fn text_noise_and_nothing_have_no_types() {
    let mut text = Made::default();
    assert!(text.text(1 << 20).found().is_empty());
    let mut noise = Made::default();
    assert!(noise.add(1 << 20, ElementType::Bytes).found().is_empty());
    for len in [0, 1, 5000] {
        assert!(Made::default().zeros(len).found().is_empty());
    }
}
