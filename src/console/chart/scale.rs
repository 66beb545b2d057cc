//! From values to places of an image.

/// Values between two ends, which lie at two places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    /// The values at the ends, which differ.
    pub(crate) ends: (f64, f64),
    /// The places of the ends.
    pub(crate) places: (f64, f64),
}

impl Scale {
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high) = self.ends;
        let (from, to) = self.places;
        from + (value - low) / (high - low) * (to - from)
    }
}

/// The lowest and the highest of some values; (infinity, minus infinity) of none.
pub(crate) fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_lie_at_their_places_and_the_middle_between() {
        let scale = Scale {
            ends: ends([3.0, 1.0, 2.0].into_iter()),
            places: (100.0, 20.0),
        };
        assert_eq!(scale.ends, (1.0, 3.0));
        for (value, place) in [(1.0, 100.0), (2.0, 60.0), (3.0, 20.0)] {
            assert!((scale.place(value) - place).abs() < 1e-9);
        }
    }
}
