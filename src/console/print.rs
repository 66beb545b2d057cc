//! Where text leaves for people and programs: data on stdout, talk on stderr.
//!
//! Invariant: each line is printable and ends where we end it. Text comes as lines, so a name with a line
//! break in it cannot pass for two; JSON says what is not printable by its escapes. Nothing else in
//! the program writes to either (`tests/layering`), but for the log and two words between processes.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

use crate::error::{Error, Result};
use crate::printable::{is_printable, printable};

/// Prints a line of data; a reader that went away is an error that `is_broken_pipe` knows.
pub(crate) fn print(line: &str) -> Result<()> {
    print_lines([line])
}

/// As `print`, for lines.
pub(crate) fn print_lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    lines
        .into_iter()
        .try_for_each(|line| writeln!(stdout, "{}", printable(line.as_ref())))
        .and_then(|()| stdout.flush())
        .map_err(cannot_print)
}

/// Prints one JSON object, which need not fit in memory as text.
pub(crate) fn print_json(value: &impl Serialize) -> Result<()> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    let mut json = Serializer::with_formatter(&mut stdout, PrintableJson);
    value
        .serialize(&mut json)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(stdout))
        .and_then(|()| stdout.flush())
        .map_err(cannot_print)
}

/// Prints one JSON object for programs, or lines for people.
pub(crate) fn print_as(
    as_json: bool,
    json: impl FnOnce() -> Value,
    lines: impl FnOnce() -> Vec<String>,
) -> Result<()> {
    if as_json {
        print_json(&json())
    } else {
        print_lines(lines())
    }
}

/// Says a line on stderr. Whether somebody reads it is no matter: there is nowhere else to say it.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

fn cannot_print(error: io::Error) -> Error {
    Error::io("cannot write to stdout", error)
}

/// True if nobody reads what is printed any more.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// Without blanks, as `serde_json` writes it, and with an escape for each character of a string that
/// is not printable: JSON has to have one only for those below the blank.
struct PrintableJson;

impl Formatter for PrintableJson {
    fn write_string_fragment<W>(&mut self, out: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + Write,
    {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| !is_printable(c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_printable_and_means_the_same() {
        let text = "a\u{1b}\n\"\\\u{7f}\u{9b}\u{202e}\u{e0041}\u{e4}";
        let value = serde_json::json!({ text: [text, 1.5, null] });
        let mut json = Vec::new();
        value
            .serialize(&mut Serializer::with_formatter(&mut json, PrintableJson))
            .unwrap();
        let json = String::from_utf8(json).unwrap();
        assert!(json.chars().all(is_printable), "{json}");
        assert!(
            json.contains("\\u007f\\u009b\\u202e\\udb40\\udc41\u{e4}"),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        assert!(!json.contains(' '));
    }
}
