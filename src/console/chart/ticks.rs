//! Round numbers along an axis.

/// 1, 2 and 5 of each power of ten, between two logarithms to base ten.
pub(crate) fn decades((low, high): (f64, f64)) -> Vec<f64> {
    let mut ticks = Vec::new();
    // Ten times nothing would stay nothing.
    let mut power = 10f64.powf(low.floor().max(-300.0));
    while power.log10() <= high {
        let steps = [1.0, 2.0, 5.0].map(|step| step * power);
        ticks.extend(steps.iter().filter(|tick| {
            let at = tick.log10();
            low <= at && at <= high
        }));
        power *= 10.0;
    }
    ticks
}

/// Some eight numbers, and the digits that tell them apart.
pub(crate) fn round((low, high): (f64, f64)) -> (Vec<f64>, usize) {
    let mut step = 0.001;
    let mut digits = 3;
    for (next, next_digits) in [
        (0.002, 3),
        (0.005, 3),
        (0.01, 2),
        (0.02, 2),
        (0.05, 2),
        (0.1, 1),
        (0.2, 1),
        (0.5, 1),
        (1.0, 0),
    ] {
        if (high - low) / step > 10.0 {
            (step, digits) = (next, next_digits);
        }
    }
    while (high - low) / step > 10.0 {
        step *= 10.0;
    }
    let mut ticks = Vec::new();
    // Plus nothing makes nothing of what would print as -0.
    let mut tick = (low / step).ceil() * step + 0.0;
    while tick <= high {
        ticks.push(tick);
        tick += step;
    }
    (ticks, digits)
}

/// A range with a margin, at least so long.
pub(crate) fn widened((low, high): (f64, f64), least: f64) -> (f64, f64) {
    if low > high {
        // No points at all.
        return (0.0, 1.0);
    }
    let margin = ((high - low) * 0.06).max((least - (high - low)) / 2.0);
    (low - margin, high + margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_some_and_not_too_many() {
        for ends in [(0.5, 1.0), (2.7, 2.71), (-3.0, 4.3), (0.0, 1.0)] {
            let found = decades(widened(ends, 0.5));
            assert!((1..=40).contains(&found.len()), "{ends:?}: {found:?}");
        }
        for ends in [(1.0, 1.0), (1.5, 1.5), (0.9, 5000.0), (f64::MAX, f64::MIN)] {
            let (found, _) = round(widened(ends, 0.02));
            assert!((2..=11).contains(&found.len()), "{ends:?}: {found:?}");
        }
        assert_eq!(round((0.0, 0.02)).1, 3);
    }
}
