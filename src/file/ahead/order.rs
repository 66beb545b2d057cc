//! In which order a loader takes the tensors of a file, and which one it takes next.
//!
//! Loaders go by offset, by name, or by name with its numbers taken as numbers (`layers.2` before
//! `layers.10`). Offsets are mostly those of sorted names, so that the first two are one, and the third
//! jumps a few times. Which it is shows where they part.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Range;
use std::str::Bytes;

use crate::error::Result;
use crate::model::{self, ReadAt, Tensor};

/// Smaller tensors are not worth a jump; they are in what was read around them.
const ENOUGH_TENSOR_BYTES: u64 = 512 << 10;
/// More tensors than that are not ordered.
const ENOUGH_TENSORS: usize = 1 << 17;
/// Tensors that a jump is looked for behind; those of a sound header that are fetched ahead are fewer.
const ENOUGH_TENSORS_AHEAD: usize = 64;
/// Jumps in a row that may be missed before the order is believed no more.
const ENOUGH_MISSED: u32 = 2;

/// The larger tensors of a file by place, and which follows which.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::file) struct Order {
    places: Vec<(u64, u64)>,
    by_name: Vec<Option<usize>>,
    by_natural_name: Vec<Option<usize>>,
}

impl Order {
    /// The order of a file's tensors; `None` if it is no model whose header can be read.
    ///
    /// # Errors
    /// That of reading the file.
    pub fn learn(file: &impl ReadAt) -> Result<Option<Self>> {
        let mut left = ENOUGH_TENSORS;
        let header = model::read_keeping(file, |found| {
            let keep = left > 0 && is_large(&found.range);
            keep.then(|| {
                left -= 1;
                Tensor::from(found)
            })
        })?;
        Ok(header.map(|mut header| {
            header
                .tensors
                .sort_by_key(|tensor| (tensor.range.start, tensor.range.end));
            Self::new(&header.tensors)
        }))
    }

    /// The order of tensors that are sorted by place.
    pub fn new(tensors: &[Tensor]) -> Self {
        let large: Vec<_> = tensors
            .iter()
            .filter(|tensor| is_large(&tensor.range))
            .take(ENOUGH_TENSORS)
            .collect();
        let followers = |compare: fn(&str, &str) -> Ordering| {
            let mut sorted: Vec<_> = (0..large.len()).collect();
            sorted.sort_by(|&a, &b| compare(&large[a].name, &large[b].name));
            let mut followers = vec![None; large.len()];
            for pair in sorted.windows(2) {
                followers[pair[0]] = Some(pair[1]);
            }
            followers
        };
        Self {
            by_name: followers(str::cmp),
            by_natural_name: followers(natural),
            places: large
                .iter()
                .map(|tensor| (tensor.range.start, tensor.range.end))
                .collect(),
        }
    }

    /// The tensor that holds a byte, if it is one of the larger ones.
    pub fn tensor_at(&self, offset: u64) -> Option<usize> {
        let behind = self.places.partition_point(|&(start, _)| start <= offset);
        let tensor = behind.checked_sub(1)?;
        (offset < self.places[tensor].1).then_some(tensor)
    }

    /// Where a tensor starts.
    pub fn start_of(&self, tensor: usize) -> u64 {
        self.places[tensor].0
    }

    /// Where a tensor ends.
    pub fn end_of(&self, tensor: usize) -> u64 {
        self.places[tensor].1
    }
}

/// Whether a tensor may be jumped to.
fn is_large(range: &Range<u64>) -> bool {
    range.end - range.start >= ENOUGH_TENSOR_BYTES
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    NaturalName,
}

/// What the readers of a file have shown of their order.
#[derive(Debug, Default)]
pub(in crate::file) struct Orders {
    /// `None` while they go by offset, or by nothing known.
    by: Option<By>,
    /// Jumps that were foreseen and not made since one was.
    missed: u32,
}

impl Orders {
    /// A reader has begun at a tensor. `left` are those that readers are in, or have just left: the
    /// kernel reads ahead by offset, so that a reader may seem to be in the tensor behind its own.
    pub fn began(&mut self, order: &Order, tensor: usize, left: impl Iterator<Item = usize>) {
        for from in left.flat_map(|at| [Some(at), at.checked_sub(1)]).flatten() {
            if from + 1 == tensor {
                continue;
            }
            if order.by_natural_name[from] == Some(tensor) {
                self.by = Some(By::NaturalName);
                return;
            }
            if order.by_name[from] == Some(tensor) {
                self.by = Some(By::Name);
            }
        }
    }

    /// A jump that was foreseen was made, or was not.
    pub fn foresaw(&mut self, right: bool) {
        self.missed = if right { 0 } else { self.missed + 1 };
        if self.missed >= ENOUGH_MISSED {
            *self = Self::default();
        }
    }

    /// Where a reader that is in a tensor, and goes on up to an offset, will jump: from which end of a
    /// tensor to which start.
    pub fn jump(&self, order: &Order, mut tensor: usize, up_to: u64) -> Option<(u64, u64)> {
        let by = self.by?;
        for _ in 0..ENOUGH_TENSORS_AHEAD {
            if order.end_of(tensor) >= up_to {
                break;
            }
            let follower = match by {
                By::Name => order.by_name[tensor],
                By::NaturalName => order.by_natural_name[tensor],
            }?;
            if follower != tensor + 1 {
                return Some((order.end_of(tensor), order.places[follower].0));
            }
            tensor = follower;
        }
        None
    }
}

/// Compares names, numbers in them by their value.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.bytes().peekable(), b.bytes().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (x, y) = (number(&mut left), number(&mut right));
                // Without leading zeros the longer number is the greater one.
                (x.len(), x).cmp(&(y.len(), y))
            }
            (None, None) => return a.cmp(b),
            _ => left.next().cmp(&right.next()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The digits of a number without leading zeros.
fn number(text: &mut Peekable<Bytes<'_>>) -> Vec<u8> {
    std::iter::from_fn(|| text.next_if(u8::is_ascii_digit))
        .skip_while(|&digit| digit == b'0')
        .collect()
}

/// Tensors of 1 MiB, one behind the other.
#[cfg(test)]
pub(in crate::file) fn one_mib_each(names: &[&str]) -> Order {
    let tensors: Vec<_> = (0..)
        .zip(names)
        .map(|(i, name)| Tensor {
            name: (*name).to_owned(),
            dtype: "BF16".into(),
            element: crate::format::ElementType::Bf16,
            shape: vec![1 << 19],
            range: i << 20..(i + 1) << 20,
        })
        .collect();
    Order::new(&tensors)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut names = ["l.10.w", "l.2.w", "l.2", "l.02.w", "a", "l.2.b", "l", "l.1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["a", "l", "l.1", "l.2", "l.2.b", "l.02.w", "l.2.w", "l.10.w"]
        );
    }

    #[test]
    fn the_order_shows_where_readers_begin() {
        let order = one_mib_each(&["l.0", "l.1", "l.10", "l.11", "l.2", "l.3"]);
        let mut seen = Orders::default();
        seen.began(&order, 1, [0].into_iter());
        assert_eq!(
            seen.jump(&order, 1, 9 * MIB),
            None,
            "by offset, or not known"
        );
        // From l.1, though the kernel has read into what is behind it.
        seen.began(&order, 4, [2].into_iter());
        assert_eq!(seen.jump(&order, 4, 5 * MIB), None, "not that far");
        for from in [4, 5] {
            let jump = seen.jump(&order, from, 6 * MIB + 1);
            assert_eq!(jump, Some((6 * MIB, 2 * MIB)));
        }
        assert_eq!(seen.jump(&order, 1, 3 * MIB), Some((2 * MIB, 4 * MIB)));
        assert_eq!(seen.jump(&order, 3, 9 * MIB), None, "the last one");
        // What matches nothing tells nothing; what was foreseen in vain does.
        seen.began(&order, 0, [5].into_iter());
        seen.foresaw(false);
        seen.foresaw(true);
        seen.foresaw(false);
        assert!(seen.jump(&order, 5, 9 * MIB).is_some());
        seen.foresaw(false);
        assert_eq!(seen.jump(&order, 5, 9 * MIB), None);
    }

    #[test]
    fn bytes_between_tensors_belong_to_none() {
        let tensor = |name: &str, range| Tensor {
            name: name.into(),
            dtype: "U8".into(),
            element: crate::format::ElementType::U8,
            shape: Vec::new(),
            range,
        };
        let order = Order::new(&[
            tensor("b", MIB..2 * MIB),
            tensor("small", 2 * MIB..2 * MIB + 5),
            tensor("a", 3 * MIB..4 * MIB),
        ]);
        let at = |offset| order.tensor_at(offset);
        assert_eq!((at(0), at(MIB), at(2 * MIB - 1)), (None, Some(0), Some(0)));
        assert_eq!(
            (at(2 * MIB), at(3 * MIB), at(4 * MIB)),
            (None, Some(1), None)
        );
        assert_eq!(order.end_of(1), 4 * MIB);
    }
}
