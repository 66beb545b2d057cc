//! What was measured of each contender, and who is best at something.

use super::contender::Contender;
use crate::console::size;

/// What was measured of one contender.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Whose they are.
    pub contender: Contender,
    /// Bytes of the original.
    pub original_bytes: u64,
    /// Bytes of the archive or compressed file, all of it.
    pub stored_bytes: u64,
    /// How long encoding took.
    pub encode: Times,
    /// How long decoding took.
    pub decode: Times,
    /// Most memory that a process held while it encoded.
    pub encode_peak_bytes: u64,
    /// Most memory that a process held while it decoded.
    pub decode_peak_bytes: u64,
    /// True if nobody else is at least as small and decodes at least as fast.
    pub pareto: bool,
}

/// Seconds of the same work on one thread and on all.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// On one thread. `None` if that was left out.
    pub one: Option<f64>,
    /// On all threads. `None` for what knows one thread only.
    pub all: Option<f64>,
}

impl Figures {
    /// Original bytes for each stored byte.
    pub fn ratio(&self) -> f64 {
        size::ratio(self.original_bytes, self.stored_bytes)
    }

    /// Megabytes (1e6 bytes) of the original a second.
    pub fn mb_per_s(&self, seconds: f64) -> f64 {
        size::megabytes(self.original_bytes) / seconds.max(1e-9)
    }

    /// How fast it decodes on one thread.
    pub fn decode_mb_per_s(&self) -> f64 {
        self.decode
            .one
            .map_or(0.0, |seconds| self.mb_per_s(seconds))
    }

    fn is_beaten_by(&self, other: &Self) -> bool {
        let (mine, theirs) = (self.decode_mb_per_s(), other.decode_mb_per_s());
        other.stored_bytes <= self.stored_bytes
            && theirs >= mine
            && (other.stored_bytes < self.stored_bytes || theirs > mine)
    }
}

/// Marks whoever is on the Pareto front of ratio and decoding speed on one thread.
pub fn mark_front(all: &mut [Figures]) {
    for at in 0..all.len() {
        all[at].pareto = !all.iter().any(|other| all[at].is_beaten_by(other));
    }
}

/// Sorts the smallest first; what is equally small, the one that decodes faster.
pub fn sort_by_ratio(all: &mut [Figures]) {
    all.sort_by(|a, b| {
        a.stored_bytes
            .cmp(&b.stored_bytes)
            .then_with(|| b.decode_mb_per_s().total_cmp(&a.decode_mb_per_s()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::codecs::contender::Tool;

    fn figures(stored_bytes: u64, decode_seconds: f64) -> Figures {
        Figures {
            contender: Contender::Stream(Tool::Gzip, 1),
            original_bytes: 3_000_000,
            stored_bytes,
            encode: Times::default(),
            decode: Times {
                one: Some(decode_seconds),
                all: None,
            },
            encode_peak_bytes: 0,
            decode_peak_bytes: 0,
            pareto: false,
        }
    }

    #[test]
    fn the_front_is_whoever_nobody_beats() {
        check(&[], &[]);
        check(&[(10, 1.0)], &[true]);
        // Smaller and slower; larger and faster; beaten by both; beaten by time; by size.
        check(
            &[(10, 2.0), (20, 1.0), (30, 3.0), (10, 2.5), (21, 1.0)],
            &[true, true, false, false, false],
        );
        // Nobody is beaten by an equal.
        check(&[(10, 1.0), (10, 1.0)], &[true, true]);
        check(&[(10, 1.0), (9, 1.0), (10, 0.5)], &[false, true, true]);

        fn check(points: &[(u64, f64)], expected: &[bool]) {
            let mut all: Vec<_> = points.iter().map(|&(b, s)| figures(b, s)).collect();
            mark_front(&mut all);
            let found: Vec<_> = all.iter().map(|one| one.pareto).collect();
            assert_eq!(found, expected, "{points:?}");
        }
    }

    #[test]
    fn the_smallest_comes_first() {
        let mut all = [figures(30, 1.0), figures(10, 2.0), figures(10, 1.0)];
        sort_by_ratio(&mut all);
        assert_eq!(all, [figures(10, 1.0), figures(10, 2.0), figures(30, 1.0)]);
    }

    #[test]
    fn speed_is_of_the_original_in_millions_of_bytes() {
        assert!((figures(10, 1.0).mb_per_s(0.5) - 6.0).abs() < 1e-9);
        assert!((figures(2_000_000, 1.0).ratio() - 1.5).abs() < 1e-9);
    }
}
