//! Text from outside (names in a file, names of files, answers of other programs), made fit to stand in
//! a line: in a message, a report, the log.
//!
//! Invariant: what comes out is one line, without a character that a terminal obeys or that hides or
//! moves text. Where text leaves the program, all of it goes through here line by line, so nobody has
//! to think of it who puts a line together; what is printable already stays as it is.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// Characters that are not seen, or that change where others are seen, besides the control characters:
/// Unicode's Bidi_Control, Default_Ignorable_Code_Point and line and paragraph separators, and those that
/// annotate between lines. First and last of each range.
const UNSEEN: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fdd0}', '\u{fdef}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{fffe}', '\u{ffff}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{10ffff}'),
];

/// True for a character that may stand in a line as it is.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let at = UNSEEN.partition_point(|&(_, last)| last < c);
    !c.is_control() && UNSEEN.get(at).is_none_or(|&(first, _)| c < first)
}

/// Text in which each other character is written as Rust writes it: `\n`, `\x1b`, `\u{202e}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len());
    // Writing to a String does not fail.
    let _ = Printable(&mut line).write_str(text);
    line.into()
}

/// A path or another name of the system; bytes that are no UTF-8 are written as `\xff`.
pub fn printable_name(name: &(impl AsRef<OsStr> + ?Sized)) -> String {
    let mut line = String::new();
    for chunk in name.as_ref().as_bytes().utf8_chunks() {
        line += &printable(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
    line
}

/// Makes all that is written printable, and passes it on.
pub struct Printable<'a, W>(pub &'a mut W);

impl<W: Write> Write for Printable<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !is_printable(c)) {
            self.0.write_str(&rest[..at])?;
            match c {
                '\n' => self.0.write_str("\\n")?,
                '\r' => self.0.write_str("\\r")?,
                '\t' => self.0.write_str("\\t")?,
                c if c.is_ascii() => write!(self.0, "\\x{:02x}", u32::from(c))?,
                c => write!(self.0, "\\u{{{:x}}}", u32::from(c))?,
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_does_not_show_is_written_out() {
        for (text, expected) in [
            ("", ""),
            (
                "model.layers.0 (BF16) [1, 2] \\n",
                "model.layers.0 (BF16) [1, 2] \\n",
            ),
            (
                "Gewicht \u{e4}\u{df}, \u{91cd}\u{307f}, e\u{301}",
                "Gewicht \u{e4}\u{df}, \u{91cd}\u{307f}, e\u{301}",
            ),
            (
                "a\u{1b}]0;x\u{7}\r\n\tb\u{7f}\0",
                "a\\x1b]0;x\\x07\\r\\n\\tb\\x7f\\x00",
            ),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}\u{61c}",
                "a\\u{202e}b\\u{2066}c\\u{200f}\\u{61c}",
            ),
            (
                "\u{200b}\u{feff}\u{ad}\u{2028}\u{2029}",
                "\\u{200b}\\u{feff}\\u{ad}\\u{2028}\\u{2029}",
            ),
            ("\u{e0041}\u{10ffff}", "\\u{e0041}\\u{10ffff}"),
        ] {
            assert_eq!(printable(text), expected);
            // Text may pass more than one place where it leaves.
            assert_eq!(printable(expected), expected);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_told_apart() {
        let name = OsStr::from_bytes(b"a\xff\n\xe2\x80\xaeb\xc3");
        assert_eq!(printable_name(name), "a\\xff\\n\\u{202e}b\\xc3");
        assert_eq!(printable_name("m.safetensors"), "m.safetensors");
    }

    #[test]
    fn ranges_are_in_order() {
        let ends: Vec<_> = UNSEEN
            .iter()
            .flat_map(|&(first, last)| [first, last])
            .collect();
        assert!(ends.is_sorted());
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let is_unseen = UNSEEN
                .iter()
                .any(|&(first, last)| (first..=last).contains(&c));
            assert_eq!(is_printable(c), !is_unseen && !c.is_control(), "{c:?}");
        }
    }
}
