//! Where the labels of a drawing stand: beside their points, and as little as possible on each other.
//!
//! Knows nothing of what is drawn.

/// Of a label.
pub(crate) const FONT_PIXELS: f64 = 11.0;
/// Of an average character: fonts differ, this is on the wide side.
const CHARACTER_PIXELS: f64 = 6.1;

/// A label that has found its place.
pub(crate) struct Label {
    pub(crate) area: Area,
    /// So far from its point that a line should lead there.
    pub(crate) is_apart: bool,
}

/// Places a label beside each point, in order: each where it is nearest and covers least of the
/// points (`half` is half the width of one), the labels before it, and a line.
pub(crate) fn place(
    points: &[(String, (f64, f64))],
    half: f64,
    line: &[(f64, f64)],
    inside: &Area,
) -> Vec<Label> {
    let mut taken: Vec<Area> = points
        .iter()
        .map(|(_, at)| Area::around(*at, half + 1.0))
        .collect();
    let mut labels = Vec::with_capacity(points.len());
    for (name, at) in points {
        let best = Area::beside(*at, half, name.chars().count())
            .into_iter()
            .map(|(area, distance)| (distance + area.cost(&taken, line, inside), area, distance))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let (_, area, distance) = best.expect("invariant: there are places to choose from");
        taken.push(area);
        labels.push(Label {
            area,
            is_apart: distance > 0.0,
        });
    }
    labels
}

/// A rectangle of the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Area {
    fn around((x, y): (f64, f64), half: f64) -> Self {
        Self {
            left: x - half,
            top: y - half,
            right: x + half,
            bottom: y + half,
        }
    }

    /// Where a label of so many characters may stand, and how far off that is.
    fn beside((x, y): (f64, f64), half: f64, characters: usize) -> Vec<(Self, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "a few characters")]
        let width = characters as f64 * CHARACTER_PIXELS;
        let height = FONT_PIXELS + 2.0;
        let mut areas = Vec::new();
        for distance in [0.0, 10.0, 20.0, 32.0, 46.0, 62.0, 80.0] {
            let gap = half + 3.0 + distance;
            let middle = y - height / 2.0;
            for (left, top) in [
                (x + gap, middle),
                (x - gap - width, middle),
                (x - width / 2.0, y - gap - height),
                (x - width / 2.0, y + gap),
                (x + gap, y - gap - height / 2.0),
                (x + gap, y + gap - height / 2.0),
                (x - gap - width, y - gap - height / 2.0),
                (x - gap - width, y + gap - height / 2.0),
            ] {
                let area = Self {
                    left,
                    top,
                    right: left + width,
                    bottom: top + height,
                };
                areas.push((area, distance));
            }
        }
        areas
    }

    fn cost(&self, taken: &[Self], line: &[(f64, f64)], inside: &Self) -> f64 {
        let covered: f64 = taken.iter().map(|other| self.shared(other)).sum();
        let outside = self.left < inside.left
            || self.right > inside.right
            || self.top < inside.top
            || self.bottom > inside.bottom;
        let crossed = line
            .windows(2)
            .filter(|pair| self.is_crossed_by(pair[0], pair[1]))
            .count();
        // Far away is better than on the line, and that better than on another label.
        [
            (crossed > 0, 25.0),
            (covered > 0.0, 100.0 + covered),
            (outside, 1e4),
        ]
        .iter()
        .filter(|(applies, _)| *applies)
        .map(|(_, cost)| cost)
        .sum()
    }

    fn shared(&self, other: &Self) -> f64 {
        let wide = self.right.min(other.right) - self.left.max(other.left);
        let high = self.bottom.min(other.bottom) - self.top.max(other.top);
        wide.max(0.0) * high.max(0.0)
    }

    /// Looks at points of the line that are closer together than a label is high.
    fn is_crossed_by(&self, from: (f64, f64), to: (f64, f64)) -> bool {
        (0..=200u8).any(|step| {
            let part = f64::from(step) / 200.0;
            let x = from.0 + (to.0 - from.0) * part;
            let y = from.1 + (to.1 - from.1) * part;
            self.left < x && x < self.right && self.top < y && y < self.bottom
        })
    }

    /// The point of it that is nearest to another.
    pub(crate) fn nearest_to(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            x.clamp(self.left, self.right),
            y.clamp(self.top, self.bottom),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_points_at_one_place_stand_apart_and_inside() {
        let points = vec![("weights:fast".to_owned(), (400.0, 300.0)); 6];
        let inside = Area {
            left: 0.0,
            top: 0.0,
            right: 420.0,
            bottom: 600.0,
        };
        let labels = place(&points, 4.0, &[(300.0, 300.0), (500.0, 300.0)], &inside);
        assert_eq!(labels.len(), 6);
        for (at, label) in labels.iter().enumerate() {
            assert!(label.area.right <= 420.0, "{:?}", label.area);
            for other in &labels[..at] {
                assert!(label.area.shared(&other.area) <= 0.0, "{:?}", label.area);
            }
        }
    }
}
