//! Sizes as people write and read them, and what is made of two of them.

use std::time::Duration;

/// Parses `4096`, `256K`, `1.5G`, `64MiB`: binary multiples.
///
/// # Errors
/// A sentence that says what is expected.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let expected = || format!("'{text}' is not a size such as 4096, 256K, 64M or 1.5G");
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let shift = match unit
        .trim()
        .to_ascii_uppercase()
        .trim_end_matches("IB")
        .trim_end_matches('B')
    {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(expected()),
    };
    // In thousandths, so that no float decides how many bytes there are.
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 3 {
        return Err(expected());
    }
    let thousandths: u64 = format!("{whole}{fraction:0<3}")
        .parse()
        .map_err(|_| expected())?;
    thousandths
        .checked_mul(1 << shift)
        .map(|bytes| bytes / 1000)
        .ok_or_else(|| format!("'{text}' is too large"))
}

/// As `parse`, for sizes that fit in 32 bits.
///
/// # Errors
/// As `parse`.
pub(crate) fn parse_u32(text: &str) -> Result<u32, String> {
    u32::try_from(parse(text)?).map_err(|_| format!("'{text}' is too large"))
}

/// As `parse`, for sizes of memory.
///
/// # Errors
/// As `parse`.
pub(crate) fn parse_usize(text: &str) -> Result<usize, String> {
    usize::try_from(parse(text)?).map_err(|_| format!("'{text}' is too large"))
}

/// `943.0 MiB`
pub(crate) fn show(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Bytes a second.
pub(crate) fn per_second(bytes: u64, time: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000_000 / time.as_nanos().max(1000);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The same, for people.
pub(crate) fn show_speed(bytes: u64, time: Duration) -> String {
    show_rate(per_second(bytes, time))
}

/// `943.0 MiB/s`
pub(crate) fn show_rate(bytes_per_second: u64) -> String {
    format!("{}/s", show(bytes_per_second))
}

/// Original bytes for each stored byte; 1 for nothing at all.
pub(crate) fn ratio(original_bytes: u64, stored_bytes: u64) -> f64 {
    if stored_bytes == 0 {
        return 1.0;
    }
    #[expect(clippy::cast_precision_loss, reason = "a ratio shown to people")]
    {
        original_bytes as f64 / stored_bytes as f64
    }
}

/// Millions of bytes, the unit that benchmarks are told in.
#[cfg(feature = "comparison")]
#[expect(clippy::cast_precision_loss, reason = "shown to people")]
pub(crate) const fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("256K", 256 << 10),
            ("64MiB", 64 << 20),
            ("1.5g", 3 << 29),
            ("2TB", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "-1", "1X", ".5G", "1.2345G", "99999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
