//! Points by two values, of which the one upwards is on a logarithmic scale: size against error.

use super::drawing::{COLOURS, Drawing, END, MIDDLE, image};
use super::scale::{Scale, ends};
use super::ticks;

const LEFT: f64 = 80.0;
const RIGHT: f64 = 870.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 320.0;
/// More ticks than this leave no room for their numbers.
const MOST_TICKS: usize = 12;

/// Points of one kind, with the colour of their place among the kinds.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Scatter<'a> {
    /// What the values to the right and upwards are.
    pub(crate) names: (&'a str, &'a str),
    /// A series without points keeps its colour, and is left out.
    pub(crate) series: &'a [Series],
    /// Whether the points of a series are joined.
    pub(crate) is_joined: bool,
    /// A place on the axis to the right, and what is there.
    pub(crate) mark: Option<(f64, &'a str)>,
}

impl Scatter<'_> {
    /// The image; nothing if there is no point that a logarithmic scale can show.
    pub(crate) fn draw(&self) -> Option<String> {
        let shown: Vec<Vec<(f64, f64)>> = self.series.iter().map(Series::shown).collect();
        let points = || shown.iter().flatten();
        points().next()?;
        let mark = self.mark.map(|(at, _)| at);
        let x = Scale {
            ends: ticks::widened(ends(points().map(|point| point.0).chain(mark)), 0.5),
            places: (LEFT, RIGHT),
        };
        let y = Scale {
            ends: ticks::widened(ends(points().map(|point| point.1)), 0.5),
            places: (BOTTOM, TOP),
        };
        let drawn = shown.iter().filter(|points| !points.is_empty()).count();
        Some(image(378 + 20 * drawn, |drawing| {
            self.axes(drawing, &x, &y);
            let mut below = 372.0;
            for (number, (series, points)) in self.series.iter().zip(&shown).enumerate() {
                if points.is_empty() {
                    continue;
                }
                let colour = COLOURS[number % COLOURS.len()];
                let places: Vec<_> = points
                    .iter()
                    .map(|point| (x.place(point.0), y.place(point.1)))
                    .collect();
                if self.is_joined {
                    drawing.polyline(&places, &format!("stroke=\"{colour}\" stroke-width=\"2\""));
                }
                for (x, y) in places {
                    drawing.add(&format!(
                        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\" \
                         fill-opacity=\"0.7\"/>"
                    ));
                }
                drawing.rect((LEFT, below), (22.0, 4.0), &format!("fill=\"{colour}\""));
                drawing.text((LEFT + 30.0, below + 8.0), "", &series.name);
                below += 20.0;
            }
        }))
    }

    fn axes(&self, drawing: &mut Drawing, x: &Scale, y: &Scale) {
        let (values, digits) = ticks::round(x.ends);
        for value in values {
            let at = x.place(value);
            drawing.line((at, TOP), (at, BOTTOM), "#e4e4e4");
            drawing.text((at, BOTTOM + 18.0), MIDDLE, &format!("{value:.digits$}"));
        }
        let mut decades = ticks::decades(y.ends);
        if decades.len() > MOST_TICKS {
            let is_power = |tick: f64| (tick.log10() - tick.log10().round()).abs() < 1e-9;
            decades.retain(|&tick| is_power(tick));
        }
        for value in decades {
            let at = y.place(value.log10());
            drawing.line((LEFT, at), (RIGHT, at), "#e4e4e4");
            // Powers of ten come with what computing them has left.
            drawing.text((LEFT - 8.0, at + 4.0), END, &format!("{value:.0e}"));
        }
        drawing.line((LEFT, TOP), (LEFT, BOTTOM), "#444444");
        drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "#444444");
        let middle = (TOP + BOTTOM) / 2.0;
        drawing.text(((LEFT + RIGHT) / 2.0, BOTTOM + 38.0), MIDDLE, self.names.0);
        let turned = format!("{MIDDLE} transform=\"rotate(-90 18 {middle})\"");
        drawing.text((18.0, middle), &turned, self.names.1);
        if let Some((value, text)) = self.mark {
            let at = x.place(value);
            drawing.line((at, TOP), (at, BOTTOM), "#d55e00");
            drawing.text((at + 5.0, TOP + 12.0), "", text);
        }
    }
}

impl Series {
    /// The points that can be shown, with the logarithm of their second value.
    fn shown(&self) -> Vec<(f64, f64)> {
        let points = self.points.iter().filter(|(x, y)| {
            let is_positive = *y > 0.0;
            x.is_finite() && y.is_finite() && is_positive
        });
        points.map(|&(x, y)| (x, y.log10())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(points: &[(f64, f64)]) -> Option<String> {
        let scatter = Scatter {
            names: ("x", "y"),
            series: &[
                Series {
                    name: "empty".into(),
                    points: Vec::new(),
                },
                Series {
                    name: "<some>".into(),
                    points: points.to_vec(),
                },
            ],
            is_joined: true,
            mark: Some((2.0, "here")),
        };
        scatter.draw()
    }

    #[test]
    fn what_a_logarithm_cannot_show_is_left_out() {
        for points in [
            &[][..],
            &[(1.0, 0.0)],
            &[(1.0, f64::NAN)],
            &[(f64::INFINITY, 1.0)],
        ] {
            assert_eq!(draw(points), None, "{points:?}");
        }
        let image = draw(&[(1.0, 0.0), (2.0, 1e-9), (8.0, 1e-2)]).unwrap();
        assert_eq!(image.matches("<circle").count(), 2);
        assert!(
            image.contains("&lt;some&gt;") && image.contains("here") && !image.contains("empty")
        );
        for tick in [">1e-9<", ">1e-3<"] {
            assert!(image.contains(tick), "{image}");
        }
    }

    #[test]
    fn all_points_lie_inside() {
        for points in [&[(3.0, 3.0)][..], &[(0.0, 1e-300), (64.0, 1e300)]] {
            let image = draw(points).unwrap();
            for circle in image.split("cy=\"").skip(1) {
                let y: f64 = circle.split('"').next().unwrap().parse().unwrap();
                assert!((TOP..=BOTTOM).contains(&y), "{y}");
            }
        }
    }
}
