//! In which order a loader takes the tensors of a file, and which one it takes next.
//!
//! Loaders go by offset, by name, or by name with its numbers taken as numbers (`layers.2` before
//! `layers.10`). Offsets are mostly those of sorted names, so that the first two are one, and the third
//! jumps a few times. Which it is shows where they part.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Bytes;

use crate::safetensors::Tensor;

/// Smaller tensors are not worth a jump; they are in what was read around them.
const LEAST_TENSOR_BYTES: u64 = 512 << 10;
/// More tensors than that are not ordered.
const MOST_TENSORS: usize = 1 << 17;

/// The larger tensors of a file by place, and which follows which.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Order {
    places: Vec<(u64, u64)>,
    by_name: Vec<Option<usize>>,
    by_natural_name: Vec<Option<usize>>,
}

impl Order {
    /// The order of tensors that are sorted by place.
    pub fn new(tensors: &[Tensor]) -> Self {
        let large: Vec<_> = tensors
            .iter()
            .filter(|tensor| tensor.range.end - tensor.range.start >= LEAST_TENSOR_BYTES)
            .take(MOST_TENSORS)
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

    /// Where a tensor ends.
    pub fn end_of(&self, tensor: usize) -> u64 {
        self.places[tensor].1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Name,
    NaturalName,
}

/// What the readers of a file have shown of their order.
#[derive(Debug, Default)]
pub(super) struct Orders {
    last: Option<usize>,
    /// `None` while they go by offset, or by nothing known.
    by: Option<By>,
}

impl Orders {
    /// A reader has come to a tensor, or to what lies between.
    pub fn entered(&mut self, order: &Order, tensor: Option<usize>) {
        let Some(tensor) = tensor else { return };
        let Some(last) = self.last.replace(tensor) else {
            return;
        };
        let followers = [
            Some(last + 1),
            order.by_name[last],
            order.by_natural_name[last],
        ];
        if followers.iter().all(|&follower| follower == followers[0]) {
            return;
        }
        self.by = match followers.map(|follower| follower == Some(tensor)) {
            [true, ..] => None,
            [_, _, true] => Some(By::NaturalName),
            [_, true, _] => Some(By::Name),
            _ => None,
        };
    }

    /// Where a reader that is in a tensor, and goes on up to an offset, will jump: from which end of a
    /// tensor to which start.
    pub fn jump(&self, order: &Order, mut tensor: usize, up_to: u64) -> Option<(u64, u64)> {
        let by = self.by?;
        while order.end_of(tensor) < up_to {
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
pub(super) fn one_mib_each(names: &[&str]) -> Order {
    let tensors: Vec<_> = (0..)
        .zip(names)
        .map(|(i, name)| Tensor {
            name: (*name).to_owned(),
            dtype: "BF16".into(),
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
    fn the_order_shows_where_orders_part() {
        let order = one_mib_each(&["l.0", "l.1", "l.10", "l.11", "l.2", "l.3"]);
        let mut seen = Orders::default();
        for tensor in [0, 1] {
            seen.entered(&order, Some(tensor));
            assert_eq!(seen.jump(&order, tensor, 9 * MIB), None);
        }
        seen.entered(&order, Some(4));
        assert_eq!(seen.jump(&order, 4, 5 * MIB), None, "not that far");
        for from in [4, 5] {
            let jump = seen.jump(&order, from, 6 * MIB + 1);
            assert_eq!(jump, Some((6 * MIB, 2 * MIB)));
        }
        assert_eq!(seen.jump(&order, 1, 3 * MIB), Some((2 * MIB, 4 * MIB)));
        assert_eq!(seen.jump(&order, 3, 9 * MIB), None, "the last one");
        // Somebody goes by offset now.
        seen.entered(&order, Some(1));
        seen.entered(&order, Some(2));
        assert_eq!(seen.jump(&order, 5, 9 * MIB), None);
    }

    #[test]
    fn bytes_between_tensors_belong_to_none() {
        let tensor = |name: &str, range| Tensor {
            name: name.into(),
            dtype: "U8".into(),
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
