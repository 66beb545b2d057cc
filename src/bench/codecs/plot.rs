//! `bench --plot`: ratio against decoding speed, as an SVG image that needs nothing else.
//!
//! Right is faster, up is smaller. Speed is logarithmic: it spans three powers of ten.

use std::fmt::Write;

use super::report::Report;
use crate::bench::codecs::{Family, Figures};
use crate::console::chart::labels::{self, Area, FONT_PIXELS};

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
pub(super) fn svg(report: &Report<'_>) -> String {
    let points: Vec<_> = report.results.iter().map(|one| (one, spot(one))).collect();
    let scale = Scale::around(points.iter().map(|(_, spot)| *spot));
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
    axes(&mut drawing, &scale);
    let placed: Vec<_> = points
        .iter()
        .map(|(figures, spot)| (*figures, scale.place(*spot)))
        .collect();
    let front = front(&placed);
    let path: Vec<_> = front
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    drawing.add(&format!(
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#888888\" stroke-width=\"1.5\" \
         stroke-dasharray=\"6 4\"/>",
        path.join(" ")
    ));
    labels(&mut drawing, &placed, &front);
    for (figures, at) in &placed {
        drawing.marker(figures.contender.family(), *at);
    }
    legend(&mut drawing, report);
    drawing.add("</svg>");
    drawing.0
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
struct Scale {
    /// Logarithms of the speeds at both ends.
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    /// With some room on all sides.
    fn around(spots: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut x, mut y) = ((f64::MAX, f64::MIN), (f64::MAX, f64::MIN));
        for (speed, ratio) in spots {
            let speed = speed.max(1e-3).log10();
            x = (x.0.min(speed), x.1.max(speed));
            y = (y.0.min(ratio), y.1.max(ratio));
        }
        // The least: half a power of ten, and what lets ticks of the ratio differ.
        Self {
            x: widened(x, 0.5),
            y: widened(y, 0.02),
        }
    }

    fn place(&self, (speed, ratio): (f64, f64)) -> (f64, f64) {
        let along = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        (
            LEFT + along(speed.max(1e-3).log10(), self.x) * (RIGHT - LEFT),
            BOTTOM - along(ratio, self.y) * (BOTTOM - TOP),
        )
    }

    /// 1, 2 and 5 of each power of ten.
    fn speed_ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut power = 10f64.powf(self.x.0.floor());
        while power.log10() <= self.x.1 {
            let steps = [1.0, 2.0, 5.0].map(|step| step * power);
            ticks.extend(steps.iter().filter(|tick| {
                let at = tick.log10();
                self.x.0 <= at && at <= self.x.1
            }));
            power *= 10.0;
        }
        ticks
    }

    /// Round numbers, some eight of them, and the digits that tell them apart.
    fn ratio_ticks(&self) -> (Vec<f64>, usize) {
        let (low, high) = self.y;
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
}

/// A range with a margin, at least so long.
fn widened((low, high): (f64, f64), least: f64) -> (f64, f64) {
    if low > high {
        // No points at all.
        return (0.0, 1.0);
    }
    let margin = ((high - low) * 0.06).max((least - (high - low)) / 2.0);
    (low - margin, high + margin)
}

fn axes(drawing: &mut Drawing, scale: &Scale) {
    let (ratios, digits) = scale.ratio_ticks();
    for ratio in ratios {
        let (_, y) = scale.place((1.0, ratio));
        drawing.line((LEFT, y), (RIGHT, y), "#e4e4e4");
        drawing.text(
            (LEFT - 8.0, y + 4.0),
            "font-size=\"12\" text-anchor=\"end\"",
            &format!("{ratio:.digits$}"),
        );
    }
    for speed in scale.speed_ticks() {
        let (x, _) = scale.place((speed, 1.0));
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
        &format!("font-size=\"14\" text-anchor=\"middle\" transform=\"rotate(-90 22 {middle})\""),
        "ratio (original / stored bytes)",
    );
}

/// Families that are there, in a row above the points.
fn legend(drawing: &mut Drawing, report: &Report<'_>) {
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
        (Family::Streams, "file as one stream"),
    ] {
        if has(family) {
            drawing.marker(family, (x + 6.0, y));
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

/// The image so far.
#[derive(Default)]
struct Drawing(String);

impl Drawing {
    fn add(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    fn text(&mut self, (x, y): (f64, f64), attributes: &str, text: &str) {
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>",
            escaped(text)
        ));
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        self.add(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// Colours that colour-blind people tell apart (Okabe and Ito), and shapes for those who print;
    /// one that lies on another does not hide it.
    fn marker(&mut self, family: Family, (x, y): (f64, f64)) {
        let half = POINT_PIXELS;
        self.add(&match family {
            Family::Weights => {
                format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{half}\" fill=\"#0072b2\" fill-opacity=\"0.8\"/>")
            }
            Family::Reordered => format!(
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\" fill=\"#d55e00\" \
                 fill-opacity=\"0.8\"/>",
                x - 4.0,
                y - 4.0
            ),
            Family::Split => polygon(
                "#009e73",
                &[(x, y - 5.0), (x + 5.0, y + 4.0), (x - 5.0, y + 4.0)],
            ),
            Family::Streams => polygon(
                "#6b6b6b",
                &[(x, y - 5.0), (x + 5.0, y), (x, y + 5.0), (x - 5.0, y)],
            ),
        });
    }
}

fn polygon(colour: &str, corners: &[(f64, f64)]) -> String {
    let mut points = String::new();
    for (x, y) in corners {
        // Writing to a string does not fail.
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    format!(
        "<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.8\"/>",
        points.trim_end()
    )
}

/// Text as XML has it; what XML cannot say becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, results};
    use super::*;

    #[test]
    fn names_of_files_cannot_break_the_image() {
        assert_eq!(
            escaped("a<b>&\"c'\u{7}\n"),
            "a&lt;b&gt;&amp;&quot;c&apos;??"
        );
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
            let scale = Scale::around(spots.iter().copied());
            for &spot in &spots {
                let (x, y) = scale.place(spot);
                assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y));
            }
            assert!((1..=40).contains(&scale.speed_ticks().len()), "{spots:?}");
            assert!((2..=11).contains(&scale.ratio_ticks().0.len()), "{spots:?}");
        }
    }
}
