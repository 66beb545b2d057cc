//! An SVG image, element by element.
//!
//! Invariant: whatever text is drawn, it stays text.

use std::fmt::Write;

use crate::printable::printable;

/// Colours that colour-blind people tell apart (Okabe and Ito).
pub(crate) const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999",
];

/// Text that ends at its place.
pub(crate) const END: &str = "text-anchor=\"end\"";
/// Text whose middle is at its place.
pub(crate) const MIDDLE: &str = "text-anchor=\"middle\"";

/// A place in the image.
type At = (f64, f64);

/// A whole image to stand in a page, 900 wide whatever the page is.
pub(crate) fn image(height: usize, draw: impl FnOnce(&mut Drawing)) -> String {
    let mut drawing = Drawing::default();
    drawing.add(&format!("<svg viewBox=\"0 0 900 {height}\" role=\"img\">"));
    draw(&mut drawing);
    drawing.add("</svg>");
    drawing.into_string()
}

/// The image so far.
#[derive(Debug, Default)]
pub(crate) struct Drawing(String);

impl Drawing {
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Any element, which must be whole, or the start or end of one.
    pub(crate) fn add(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    pub(crate) fn text(&mut self, (x, y): At, attributes: &str, text: &str) {
        self.add(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>",
            escaped(text)
        ));
    }

    pub(crate) fn line(&mut self, from: At, to: At, colour: &str) {
        self.add(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
            from.0, from.1, to.0, to.1
        ));
    }

    pub(crate) fn polyline(&mut self, points: &[At], attributes: &str) {
        self.add(&format!(
            "<polyline points=\"{}\" fill=\"none\" {attributes}/>",
            coordinates(points)
        ));
    }

    pub(crate) fn rect(&mut self, (x, y): At, (width, height): (f64, f64), attributes: &str) {
        self.add(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" {attributes}/>"
        ));
    }
}

/// `1.0,2.0 3.0,4.0`, as the attribute `points` has them.
pub(crate) fn coordinates(points: &[At]) -> String {
    let mut text = String::new();
    for (x, y) in points {
        // Writing to a string does not fail.
        let _ = write!(text, "{x:.1},{y:.1} ");
    }
    text.truncate(text.trim_end().len());
    text
}

/// Printable text as XML has it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_the_image() {
        assert_eq!(
            escaped("a<b>&\"c'\u{7}\n"),
            "a&lt;b&gt;&amp;&quot;c&apos;\\x07\\n"
        );
        let mut drawing = Drawing::default();
        drawing.text((1.0, 2.0), "fill=\"red\"", "</svg>");
        assert_eq!(
            drawing.into_string(),
            "<text x=\"1.0\" y=\"2.0\" fill=\"red\">&lt;/svg&gt;</text>\n"
        );
    }

    #[test]
    fn points_are_pairs() {
        assert_eq!(coordinates(&[]), "");
        assert_eq!(coordinates(&[(1.0, 2.25), (3.0, 4.0)]), "1.0,2.2 3.0,4.0");
    }
}
