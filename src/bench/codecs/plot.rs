//! `bench --plot`: ratio against decoding speed, as an SVG image that needs nothing else.
//!
//! Right is faster, up is smaller. Speed is logarithmic: it spans three powers of ten.

use super::codec_report::CodecReport;
use super::contender::Family;
use super::figures::Figures;
use crate::console::chart::labels::{self, Area, FONT_PIXELS};
use crate::console::chart::{COLOURS, Drawing, Scale, coordinates, ends, ticks};

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 680.0;
/// The area of the points.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 970.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 618.0;
/// Half the width of a point.
const POINT_PIXELS: f64 = 4.5;

/// Draws a report.
pub(super) fn svg(report: &CodecReport<'_>) -> String {
    let axes = Axes::around(report.results.iter().map(spot));
    let mut drawing = Drawing::default();
    drawing.add(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"Helvetica, Arial, sans-serif\">"
    ));
    drawing.add(&format!(
        "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"
    ));
    let name = report.path.file_name().unwrap_or(report.path.as_os_str());
    drawing.text(
        (WIDTH / 2.0, 32.0),
        "font-size=\"18\" text-anchor=\"middle\"",
        &format!("Compressing {}", name.to_string_lossy()),
    );
    axes.draw(&mut drawing);
    let placed: Vec<_> = report
        .results
        .iter()
        .map(|figures| (figures, axes.place(spot(figures))))
        .collect();
    let front = front(&placed);
    drawing.polyline(
        &front,
        "stroke=\"#888888\" stroke-width=\"1.5\" stroke-dasharray=\"6 4\"",
    );
    labels(&mut drawing, &placed, &front);
    for (figures, at) in &placed {
        marker(&mut drawing, figures.contender.family(), *at);
    }
    legend(&mut drawing, report);
    drawing.add("</svg>");
    drawing.into_string()
}

/// Speed and ratio.
fn spot(figures: &Figures) -> (f64, f64) {
    (figures.decode_mb_per_s(), figures.ratio())
}

/// Points that nobody beats, by speed.
fn front(placed: &[(&Figures, (f64, f64))]) -> Vec<(f64, f64)> {
    let mut front: Vec<_> = placed
        .iter()
        .filter(|(figures, _)| figures.pareto)
        .map(|(_, at)| *at)
        .collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    front
}

/// From speeds and ratios to places of the image.
struct Axes {
    /// Of the logarithms of speeds.
    x: Scale,
    y: Scale,
}

impl Axes {
    /// With some room on all sides.
    fn around(spots: impl Iterator<Item = (f64, f64)> + Clone) -> Self {
        // The least: half a power of ten, and what lets ticks of the ratio differ.
        let x = ticks::widened(ends(spots.clone().map(|spot| logarithm(spot.0))), 0.5);
        let y = ticks::widened(ends(spots.map(|spot| spot.1)), 0.02);
        Self {
            x: Scale {
                ends: x,
                places: (LEFT, RIGHT),
            },
            y: Scale {
                ends: y,
                places: (BOTTOM, TOP),
            },
        }
    }

    fn place(&self, (speed, ratio): (f64, f64)) -> (f64, f64) {
        (self.x.place(logarithm(speed)), self.y.place(ratio))
    }

    fn draw(&self, drawing: &mut Drawing) {
        let (ratios, digits) = ticks::round(self.y.ends);
        for ratio in ratios {
            let y = self.y.place(ratio);
            drawing.line((LEFT, y), (RIGHT, y), "#e4e4e4");
            drawing.text(
                (LEFT - 8.0, y + 4.0),
                "font-size=\"12\" text-anchor=\"end\"",
                &format!("{ratio:.digits$}"),
            );
        }
        for speed in ticks::decades(self.x.ends) {
            let x = self.x.place(logarithm(speed));
            drawing.line((x, TOP), (x, BOTTOM), "#e4e4e4");
            drawing.text(
                (x, BOTTOM + 18.0),
                "font-size=\"12\" text-anchor=\"middle\"",
                &format!("{speed}"),
            );
        }
        drawing.line((LEFT, TOP), (LEFT, BOTTOM), "#444444");
        drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "#444444");
        drawing.text(
            ((LEFT + RIGHT) / 2.0, BOTTOM + 44.0),
            "font-size=\"14\" text-anchor=\"middle\"",
            "decoding speed on 1 thread, MB/s (logarithmic)",
        );
        let middle = (TOP + BOTTOM) / 2.0;
        drawing.text(
            (22.0, middle),
            &format!(
                "font-size=\"14\" text-anchor=\"middle\" transform=\"rotate(-90 22 {middle})\""
            ),
            "ratio (original / stored bytes)",
        );
    }
}

fn logarithm(speed: f64) -> f64 {
    speed.max(1e-3).log10()
}

/// Families that are there, in a row above the points.
fn legend(drawing: &mut Drawing, report: &CodecReport<'_>) {
    let y = 62.0;
    let mut x = LEFT;
    let has = |family| {
        let mut families = report.results.iter().map(|one| one.contender.family());
        families.any(|one| one == family)
    };
    for (family, name) in [
        (Family::Weights, "weights (archive)"),
        (
            Family::Reordered,
            "byte planes, general compressor (archive)",
        ),
        (Family::Split, "split streams (archive)"),
        (Family::Streams, "general compressor (no archive)"),
    ] {
        if has(family) {
            marker(drawing, family, (x + 6.0, y));
            drawing.text((x + 16.0, y + 4.0), "font-size=\"12\"", name);
            x += 40.0 + name.len() as f64 * 5.8;
        }
    }
    drawing.add(&format!(
        "<line x1=\"{x:.1}\" y1=\"{y}\" x2=\"{:.1}\" y2=\"{y}\" stroke=\"#888888\" \
         stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>",
        x + 24.0
    ));
    drawing.text((x + 30.0, y + 4.0), "font-size=\"12\"", "Pareto front");
}

/// Names beside the points, each where it covers least.
fn labels(drawing: &mut Drawing, placed: &[(&Figures, (f64, f64))], front: &[(f64, f64)]) {
    let names: Vec<_> = placed
        .iter()
        .map(|(figures, at)| (figures.contender.to_string(), *at))
        .collect();
    let inside = Area {
        left: LEFT,
        top: TOP - 12.0,
        right: WIDTH - 4.0,
        bottom: BOTTOM,
    };
    let labels = labels::place(&names, POINT_PIXELS, front, &inside);
    for ((figures, at), label) in placed.iter().zip(labels) {
        if label.is_apart {
            drawing.line(*at, label.area.nearest_to(*at), "#aaaaaa");
        }
        let weight = if figures.pareto { "bold" } else { "normal" };
        // At the side of the point, since how wide the text comes out is a guess.
        let (x, anchor) = if label.area.left > at.0 {
            (label.area.left, "start")
        } else if label.area.right < at.0 {
            (label.area.right, "end")
        } else {
            ((label.area.left + label.area.right) / 2.0, "middle")
        };
        drawing.text(
            (x, label.area.bottom - 3.0),
            &format!(
                "font-size=\"{FONT_PIXELS}\" font-weight=\"{weight}\" fill=\"#222222\" \
                 text-anchor=\"{anchor}\""
            ),
            &figures.contender.to_string(),
        );
    }
}

/// Shapes as well as colours, for those who print; one that lies on another does not hide it.
fn marker(drawing: &mut Drawing, family: Family, (x, y): (f64, f64)) {
    let half = POINT_PIXELS;
    drawing.add(&match family {
        Family::Weights => format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{half}\" fill=\"{}\" fill-opacity=\"0.8\"/>",
            COLOURS[0]
        ),
        Family::Reordered => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"{}\" fill-opacity=\"0.8\"/>",
            x - 4.0,
            y - 4.0,
            COLOURS[1]
        ),
        Family::Split => polygon(
            COLOURS[2],
            &[(x, y - 5.0), (x + 5.0, y + 4.0), (x - 5.0, y + 4.0)],
        ),
        Family::Streams => polygon(
            "#6b6b6b",
            &[(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y)],
        ),
    });
}

fn polygon(colour: &str, corners: &[(f64, f64)]) -> String {
    format!(
        "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.8\"/>",
        coordinates(corners)
    )
}

#[cfg(test)]
mod tests {
    use super::super::codec_report::tests::{report, results};
    use super::*;

    #[test]
    fn names_of_files_cannot_break_the_image() {
        let results = results();
        let svg = svg(&report("dir/<script>&.safetensors", &results));
        assert!(svg.contains(">Compressing &lt;script&gt;&amp;.safetensors<"));
        assert!(!svg.contains("<script"));
    }

    #[test]
    fn each_contender_is_drawn_and_named_and_the_front_is_a_line() {
        let results = results();
        let svg = svg(&report("m", &results));
        for name in ["lzma:max", "weights:max", "gzip-6"] {
            assert_eq!(svg.matches(&format!(">{name}</text>")).count(), 1, "{name}");
        }
        // One of each, and one more in the legend.
        assert_eq!(svg.matches("#0072b2").count(), 2);
        assert_eq!(svg.matches("#d55e00").count(), 2);
        assert_eq!(svg.matches("#6b6b6b").count(), 2);
        assert_eq!(svg.matches("#009e73").count(), 0);
        let line = svg.split("<polyline points=\"").nth(1).unwrap_or_default();
        let line = line.split('"').next().unwrap_or_default();
        assert_eq!(line.split(' ').count(), 2, "{line}");
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn points_lie_inside_whatever_they_are() {
        for spots in [
            vec![],
            vec![(1.0, 1.0)],
            vec![(500.0, 1.5), (500.0, 1.5)],
            vec![(0.0, 0.9), (20_000.0, 5000.0)],
        ] {
            let axes = Axes::around(spots.iter().copied());
            for &spot in &spots {
                let (x, y) = axes.place(spot);
                assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y));
            }
        }
    }
}
