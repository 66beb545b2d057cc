//! Which ranges of a model lie beside which of its bases: by names and shapes of tensors, and by likeness.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::base_file::BaseFile;
use super::likeness::{Pair, likeness};
use crate::error::Result;
use crate::format::ElementType;
use crate::job::source_file::SourceFile;
use crate::model::{ReadAt, Tensor};

/// Gaps between stretches that go on alike are taken with them, up to so many bytes.
const SHORT_GAP_BYTES: u64 = 64 << 10;
/// Tensors below so many bytes are taken for alike by their names.
const ENOUGH_TO_SAMPLE_BYTES: u64 = 16 << 10;
/// Tensors of a base that one without a namesake is compared with.
const MOST_CANDIDATES: usize = 8;

/// A range of a file, and where what it may rest on starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::job) struct Stretch {
    pub range: Range<u64>,
    pub base: usize,
    pub base_start: u64,
    /// Whether the base's numbers are twice as long, and are rounded.
    pub is_rounded: bool,
}

impl Stretch {
    const fn times(&self) -> u64 {
        if self.is_rounded { 2 } else { 1 }
    }

    /// Where in the base lies what a place of the file rests on; `None` if that is in front of its start.
    pub fn place(&self, at: u64) -> Option<u64> {
        let behind = i128::from(at) - i128::from(self.range.start);
        let place = i128::from(self.base_start) + behind * i128::from(self.times());
        u64::try_from(place).ok()
    }

    /// Whether another one goes on as this one does.
    fn is_continued_by(&self, next: &Self) -> bool {
        self.base == next.base
            && self.is_rounded == next.is_rounded
            && next.range.start.saturating_sub(self.range.end) < SHORT_GAP_BYTES
            && self.place(next.range.start) == Some(next.base_start)
    }
}

/// What tells tensors that may be the same apart from others.
type Shaped<'t> = (ElementType, &'t [u64]);

/// The stretches of a file's tensors, by place.
///
/// # Errors
/// As `ReadAt::read_at`.
pub(super) fn stretches(
    own: &SourceFile,
    tensors: &[Tensor],
    bases: &[Arc<BaseFile>],
) -> Result<Vec<Stretch>> {
    let equal = equal_tensors(own, bases);
    let mut named: HashMap<&str, Vec<(usize, &Tensor)>> = HashMap::new();
    let mut shaped: HashMap<Shaped<'_>, Vec<(usize, &Tensor)>> = HashMap::new();
    for (number, base) in bases.iter().enumerate() {
        for tensor in &base.tensors {
            named
                .entry(&tensor.name)
                .or_default()
                .push((number, tensor));
            let shape = (tensor.element, tensor.shape.as_slice());
            shaped.entry(shape).or_default().push((number, tensor));
        }
    }
    let mut found: Vec<Stretch> = Vec::new();
    let mut end = 0;
    for tensor in tensors {
        if tensor.range.is_empty() || tensor.range.start < end {
            continue;
        }
        let of_name = named
            .get(tensor.name.as_str())
            .map_or(&[][..], Vec::as_slice);
        let shape = (tensor.element, tensor.shape.as_slice());
        let of_shape = shaped.get(&shape).map_or(&[][..], Vec::as_slice);
        let stretch = match equal.get(&(tensor.range.start, tensor.range.end)) {
            Some(stretch) => Some(stretch.clone()),
            None => best(own, tensor, of_name, of_shape, bases)?,
        };
        let Some(stretch) = stretch else {
            continue;
        };
        end = stretch.range.end;
        match found.last_mut() {
            Some(last) if last.is_continued_by(&stretch) => last.range.end = stretch.range.end,
            _ => found.push(stretch),
        }
    }
    Ok(found)
}

/// Tensors of a file of which a base has the same bytes, by their hashes.
fn equal_tensors(own: &SourceFile, bases: &[Arc<BaseFile>]) -> HashMap<(u64, u64), Stretch> {
    let own_hashes = own.known_hashes();
    let mut hashed = HashMap::new();
    // A plain file has none, and asks for nobody's.
    let bases = if own_hashes.is_empty() { &[] } else { bases };
    for (number, base) in bases.iter().enumerate() {
        for tensor in base.source.known_hashes() {
            hashed
                .entry((tensor.len, tensor.hash))
                .or_insert((number, tensor.start));
        }
    }
    let equal = own_hashes.into_iter().filter_map(|tensor| {
        let &(base, base_start) = hashed.get(&(tensor.len, tensor.hash))?;
        let range = tensor.range();
        let stretch = Stretch {
            range: range.clone(),
            base,
            base_start,
            is_rounded: false,
        };
        Some(((range.start, range.end), stretch))
    });
    equal.collect()
}

/// What a tensor is most like.
fn best(
    own: &dyn ReadAt,
    tensor: &Tensor,
    of_name: &[(usize, &Tensor)],
    of_shape: &[(usize, &Tensor)],
    bases: &[Arc<BaseFile>],
) -> Result<Option<Stretch>> {
    let of_name = nearest(own, tensor, of_name.iter().copied(), bases)?;
    if of_name.is_some() {
        return Ok(of_name);
    }
    if tensor.range.end - tensor.range.start < ENOUGH_TO_SAMPLE_BYTES {
        return Ok(None);
    }
    // Without a namesake: prefixes come and go, the ends of names stay.
    let mut others: Vec<_> = of_shape.to_vec();
    others
        .sort_by_cached_key(|(_, other)| std::cmp::Reverse(common_end(&tensor.name, &other.name)));
    others.truncate(MOST_CANDIDATES);
    nearest(own, tensor, others.into_iter(), bases)
}

/// How many parts of two names are equal from the end on.
fn common_end(one: &str, other: &str) -> usize {
    let parts = one.rsplit('.').zip(other.rsplit('.'));
    parts.take_while(|(one, other)| one == other).count()
}

/// Of some tensors the one whose numbers are nearest, if any are near.
fn nearest<'t>(
    own: &dyn ReadAt,
    tensor: &Tensor,
    others: impl Iterator<Item = (usize, &'t Tensor)>,
    bases: &[Arc<BaseFile>],
) -> Result<Option<Stretch>> {
    let mut best: Option<(f64, Stretch)> = None;
    for (number, other) in others {
        let Some((elements, is_rounded)) = elements_in_both(tensor, other) else {
            continue;
        };
        let width = u64::from(tensor.element.bytes());
        let stretch = Stretch {
            range: tensor.range.start..tensor.range.start + elements * width,
            base: number,
            base_start: other.range.start,
            is_rounded,
        };
        let distance = if elements * width < ENOUGH_TO_SAMPLE_BYTES {
            Some(0.0)
        } else {
            likeness(&Pair {
                own,
                own_start: tensor.range.start,
                base: &bases[number].source,
                base_start: other.range.start,
                element: tensor.element,
                elements,
                is_rounded,
            })?
        };
        if let Some(distance) = distance
            && best.as_ref().is_none_or(|(least, _)| distance < *least)
        {
            best = Some((distance, stretch));
        }
    }
    Ok(best.map(|(_, stretch)| stretch))
}

/// How many elements of a tensor lie in the same places of another, and whether those are rounded.
fn elements_in_both(tensor: &Tensor, other: &Tensor) -> Option<(u64, bool)> {
    let is_rounded = tensor.element.is_half() && other.element == ElementType::F32;
    if !is_rounded && tensor.element != other.element {
        return None;
    }
    let count = |one: &Tensor| (one.range.end - one.range.start) / u64::from(one.element.bytes());
    let elements = count(tensor).min(count(other));
    // Rows more or less, as of vocabularies, leave those that both have where they are.
    let is_same = tensor.shape == other.shape
        || tensor.shape.len() == other.shape.len()
            && tensor.shape.len() > 1
            && tensor.shape[1..] == other.shape[1..];
    (is_same && elements > 0).then_some((elements, is_rounded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_from_the_end() {
        assert_eq!(
            common_end("model.layers.0.q.weight", "layers.0.q.weight"),
            4
        );
        assert_eq!(common_end("a.weight", "b.bias"), 0);
    }

    #[test]
    fn places_of_rounded_numbers_are_twice_as_far() {
        let stretch = Stretch {
            range: 100..200,
            base: 0,
            base_start: 1000,
            is_rounded: true,
        };
        assert_eq!(stretch.place(150), Some(1100));
        assert_eq!(stretch.place(50), Some(900));
    }
}
