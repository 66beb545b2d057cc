//! The report of `analyze` as one HTML file with drawings inside: no scripts, no other files.

use std::fmt::{self, Display, Write as _};

use super::text::{advice, largest_tensors, levels, percent, share, tensors_of};
use crate::console::size;
use crate::job::{Analysis, BYTES, DtypeFacts, TensorFacts};

/// Roles whose entropy is drawn by layer; more would not be told apart.
const DRAWN_ROLES: usize = 8;
/// Tensors in the table at the end, by size.
const LISTED_TENSORS: usize = 400;
/// Colours that are told apart also by those who do not see all of them (Okabe and Ito).
const COLOURS: [&str; DRAWN_ROLES] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999",
];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;\
color:#1a1a1a;background:#fff}h1{font-size:1.5em}h2{margin-top:2em;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #e4e4e4}\
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto}p.note{color:#555;font-size:.9em}\
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}\
.big{font-size:1.3em}td.name{font-family:monospace;font-size:.85em;text-align:left}";

pub(super) fn report(found: &Analysis) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = write_report(&mut out, found);
    out
}

/// Text with everything escaped that means something in HTML.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn write_report(out: &mut String, found: &Analysis) -> fmt::Result {
    let title = match found.files.as_slice() {
        [file] => file.path.display().to_string(),
        files => format!("{} files", files.len()),
    };
    write!(
        out,
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>weightfs analyze: {0}</title><style>{STYLE}</style></head><body>\
         <h1>What is in {0}, and what packing it gives</h1><p class=\"big\">{1}</p>",
        Escaped(&title),
        Escaped(&advice(found)),
    )?;
    expectation(out, found)?;
    structure(out, found)?;
    for dtype in &found.dtypes {
        of_dtype(out, dtype)?;
    }
    layers(out, found)?;
    redundancy(out, found)?;
    tensors(out, found)?;
    write!(
        out,
        "<p class=\"note\">Made by weightfs {} from {} of the tensors' bytes; docs/ANALYZE.md tells how.</p></body></html>",
        env!("CARGO_PKG_VERSION"),
        size::show(found.sampled_bytes)
    )
}

/// Bars of the expected ratio of each level, with the ceilings as lines.
fn expectation(out: &mut String, found: &Analysis) -> fmt::Result {
    let ceilings = [
        ("each byte coded on its own, at best", found.byte_marginal),
        ("whole values coded, at best", found.joint),
    ];
    let longest = levels(found)
        .iter()
        .map(|(_, expected)| expected.ratio)
        .chain(ceilings.iter().filter_map(|(_, c)| c.map(|c| c.mean)))
        .fold(1.0, f64::max);
    let scale = 420.0 / longest;
    out.push_str("<h2>Ratio to expect</h2><svg viewBox=\"0 0 900 190\" role=\"img\">");
    let mut y = 12.0;
    let mut bar = |out: &mut String, name: &str, ratio: f64, colour: &str, text: &str| {
        let result = write!(
            out,
            "<text x=\"255\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"265\" y=\"{y:.0}\" width=\"{:.1}\" height=\"22\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{text}</text>",
            y + 16.0,
            Escaped(name),
            ratio * scale,
            272.0 + ratio * scale,
            y + 16.0,
        );
        y += 34.0;
        result
    };
    for (level, expected) in levels(found) {
        let text = format!(
            "{:.4}, {}",
            expected.ratio,
            size::show(expected.stored_bytes)
        );
        bar(
            out,
            &format!("--level {level}"),
            expected.ratio,
            COLOURS[0],
            &text,
        )?;
    }
    for (name, ceiling) in ceilings {
        if let Some(ceiling) = ceiling {
            let text = format!("{:.4}", ceiling.mean);
            bar(out, name, ceiling.mean, "#bbb", &text)?;
        }
    }
    out.push_str(
        "</svg><p class=\"note\">Ratio: bytes of the files for each byte of the archives. Blue: expected, \
         from encoding some of the blocks, tables included. Grey: what order-0 coding could reach on \
         float tensors if its tables cost nothing. Real codecs go past the first ceiling by coding \
         exponent and mantissa bits together, and past both by choosing tables for each block and \
         by the scales of rows and columns.</p>",
    );
    if let Some(c) = found.byte_marginal {
        write!(
            out,
            "<p class=\"note\">Byte ceiling: mean weighted by bytes {:.4}, 95 % interval over tensors \
             {:.4} to {:.4}.</p>",
            c.mean, c.low, c.high
        )?;
    }
    Ok(())
}

fn structure(out: &mut String, found: &Analysis) -> fmt::Result {
    write!(
        out,
        "<h2>Files</h2><p>{} parameters in {} tensors.</p><div class=\"wide\"><table><tr><th>file</th>\
         <th>size</th><th>header</th><th>tensors</th></tr>",
        found.parameters,
        found.tensors.len()
    )?;
    for file in &found.files {
        write!(
            out,
            "<tr><td class=\"name\">{}</td><td>{}</td><td>{} B ({})</td><td>{}</td></tr>",
            Escaped(&file.path.display().to_string()),
            size::show(file.bytes),
            file.header_bytes,
            share(file.header_bytes as f64, file.bytes as f64),
            file.tensors
        )?;
    }
    out.push_str("</table></div>");
    Ok(())
}

fn of_dtype(out: &mut String, dtype: &DtypeFacts) -> fmt::Result {
    let statistics = &dtype.statistics;
    let entropy = &statistics.entropy;
    write!(
        out,
        "<h2>{}: {} in {}</h2>",
        Escaped(&dtype.dtype),
        size::show(dtype.bytes),
        tensors_of(dtype)
    )?;
    let width = entropy.planes.len();
    for (place, shares) in dtype.histograms.iter().enumerate().rev() {
        let name = byte_name(dtype, place);
        if let Some(value) = shares.iter().position(|&share| share == 1.0) {
            write!(out, "<p><b>{name}</b>: always 0x{value:02x}</p>")?;
            continue;
        }
        histogram(out, &name, entropy.planes[place], shares)?;
    }
    out.push_str("<div class=\"wide\"><table><tr><th>entropy</th><th>bits</th><th>of</th></tr>");
    let bits = (8 * width) as f64;
    let rows = [
        ("exponent", entropy.exponent, None),
        ("sign and mantissa", entropy.sign_mantissa, None),
        ("whole value", Some(entropy.joint), Some(bits)),
        ("any byte", Some(entropy.bytes), Some(8.0)),
        (
            "a byte, if the one before is known",
            Some(entropy.bytes_after_byte),
            Some(8.0),
        ),
        (
            "a highest byte, if that of the element before is known",
            Some(entropy.top_after_top),
            Some(8.0),
        ),
        (
            "difference of neighbouring highest bytes",
            Some(entropy.top_delta),
            Some(8.0),
        ),
        (
            "exclusive or of neighbouring highest bytes",
            Some(entropy.top_xor),
            Some(8.0),
        ),
    ];
    for (what, value, of) in rows {
        if let Some(value) = value {
            let of = of.map_or(String::new(), |of| format!("{of:.0}"));
            write!(
                out,
                "<tr><td>{what}</td><td>{value:.3}</td><td>{of}</td></tr>"
            )?;
        }
    }
    out.push_str("</table></div><p class=\"note\">Predicting a byte by its neighbour helps where \
        the last two are below the entropy of the highest byte; for trained weights they are above it.</p>");
    frequent(out, dtype)?;
    values(out, dtype)
}

fn byte_name(dtype: &DtypeFacts, place: usize) -> String {
    let top = dtype.histograms.len() - 1;
    let is_float = dtype.statistics.values.is_some();
    match place {
        _ if top == 0 && !is_float => "The bytes".into(),
        place if place == top && is_float => "Highest byte: sign and exponent".into(),
        place if place == top => "Highest byte".into(),
        0 => "Lowest byte".into(),
        place => format!("Byte {place}, counted from the lowest"),
    }
}

/// One bar for each value of a byte.
fn histogram(out: &mut String, name: &str, entropy: f64, shares: &[f64]) -> fmt::Result {
    let highest = shares.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    write!(
        out,
        "<p><b>{name}</b>: {entropy:.3} bits of 8</p><svg viewBox=\"0 0 900 150\" role=\"img\">\
         <text x=\"50\" y=\"16\" text-anchor=\"end\">{}</text>\
         <text x=\"50\" y=\"120\" text-anchor=\"end\">0</text>\
         <path d=\"M55 120H880\" stroke=\"#888\"/><path fill=\"{}\" d=\"",
        percent(highest),
        COLOURS[0]
    )?;
    for (value, share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        let x = 56.0 + 3.2 * value as f64;
        let height = (108.0 * share / highest).max(0.3);
        write!(out, "M{x:.1} 120v-{height:.1}h2.8v{height:.1}z")?;
    }
    out.push_str("\"/>");
    for value in (0..BYTES).step_by(32).chain([BYTES - 1]) {
        let x = 57.4 + 3.2 * value as f64;
        // Hexadecimal, as the table of frequent values.
        write!(
            out,
            "<text x=\"{x:.1}\" y=\"138\" text-anchor=\"middle\">0x{value:02x}</text>"
        )?;
    }
    out.push_str("</svg>");
    Ok(())
}

fn frequent(out: &mut String, dtype: &DtypeFacts) -> fmt::Result {
    let Some(frequent) = dtype.frequent.last() else {
        return Ok(());
    };
    out.push_str("<p><b>Most frequent highest bytes</b></p><table><tr><th>value</th><th>share</th><th>numbers</th></tr>");
    for value in frequent {
        write!(
            out,
            "<tr><td>0x{:02x}</td><td>{}</td><td>{}</td></tr>",
            value.value,
            percent(value.share),
            value.meaning.as_deref().unwrap_or("")
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn values(out: &mut String, dtype: &DtypeFacts) -> fmt::Result {
    let Some(values) = &dtype.statistics.values else {
        return Ok(());
    };
    out.push_str("<p><b>Values</b></p><table><tr><th>kind</th><th>share</th></tr>");
    for (what, count) in [
        ("zero", values.zeros),
        ("negative", values.negative),
        ("0 &lt; |x| &lt; 0.1", values.below_tenth),
        ("0.1 &le; |x| &lt; 1", values.below_one),
        ("1 &le; |x|", values.one_and_more),
        ("subnormal", values.subnormal),
        ("infinite", values.infinite),
        ("not a number", values.nan),
    ] {
        write!(
            out,
            "<tr><td>{what}</td><td>{}</td></tr>",
            share(count, values.count)
        )?;
    }
    write!(
        out,
        "</table><p>From {:.4} to {:.4}; mean {:.2e}, standard deviation {:.4}.</p>",
        values.min, values.max, values.mean, values.deviation
    )
}

/// Joint entropy of the tensors of the largest roles, by layer.
fn layers(out: &mut String, found: &Analysis) -> fmt::Result {
    let mut roles: Vec<(&str, u64)> = Vec::new();
    for tensor in found.tensors.iter().filter(|t| t.layer.is_some()) {
        match roles.iter_mut().find(|(role, _)| *role == tensor.role) {
            Some((_, bytes)) => *bytes += tensor.bytes,
            None => roles.push((&tensor.role, tensor.bytes)),
        }
    }
    roles.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    roles.truncate(DRAWN_ROLES);
    // Norms and biases are of another kind and would leave no room for the differences of weights.
    let least = roles.first().map_or(0, |&(_, bytes)| bytes / 100);
    roles.retain(|&(_, bytes)| bytes >= least);
    let of_role = |role: &str| {
        let tensors = found.tensors.iter().filter(move |t| t.role == role);
        let mut points: Vec<(u32, f64)> = tensors
            .filter_map(|t| Some((t.layer?, bits_per_byte(t))))
            .collect();
        points.sort_by_key(|point| point.0);
        points
    };
    let lines: Vec<_> = roles
        .iter()
        .map(|(role, _)| (*role, of_role(role)))
        .collect();
    let points = || lines.iter().flat_map(|(_, points)| points);
    let last = points().map(|point| point.0).max().unwrap_or(0);
    if last == 0 {
        return Ok(());
    }
    let low = points().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let margin = ((high - low) * 0.1).max(0.02);
    let (low, high) = (low - margin, high + margin);
    let x = |layer: u32| 70.0 + 800.0 * f64::from(layer) / f64::from(last);
    let y = |bits: f64| 250.0 - 235.0 * (bits - low) / (high - low);
    write!(
        out,
        "<h2>Entropy by layer</h2><p>Bits for each byte of a tensor if whole values are coded: \
         the lower, the smaller it packs.</p><svg viewBox=\"0 0 900 {}\" role=\"img\">",
        300 + 20 * lines.len()
    )?;
    for tick in 0..=4 {
        let bits = low + (high - low) * f64::from(tick) / 4.0;
        write!(
            out,
            "<path d=\"M70 {0:.1}H870\" stroke=\"#ddd\"/>\
             <text x=\"62\" y=\"{1:.1}\" text-anchor=\"end\">{bits:.2}</text>",
            y(bits),
            y(bits) + 4.0
        )?;
    }
    let step = last.div_ceil(12).max(1) as usize;
    for layer in (0..=last).step_by(step) {
        write!(
            out,
            "<text x=\"{:.1}\" y=\"270\" text-anchor=\"middle\">{layer}</text>",
            x(layer)
        )?;
    }
    out.push_str("<text x=\"470\" y=\"288\" text-anchor=\"middle\">layer</text>");
    for (i, (role, points)) in lines.iter().enumerate() {
        let path: Vec<String> = points
            .iter()
            .map(|&(layer, bits)| format!("{:.1},{:.1}", x(layer), y(bits)))
            .collect();
        let colour = COLOURS[i % COLOURS.len()];
        let below = 304 + 20 * i;
        write!(
            out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>\
             <rect x=\"70\" y=\"{below}\" width=\"22\" height=\"4\" fill=\"{colour}\"/>\
             <text x=\"100\" y=\"{}\">{}</text>",
            path.join(" "),
            below + 8,
            Escaped(role)
        )?;
    }
    out.push_str("</svg>");
    Ok(())
}

fn bits_per_byte(tensor: &TensorFacts) -> f64 {
    let entropy = &tensor.statistics.entropy;
    entropy.joint / entropy.planes.len().max(1) as f64
}

fn redundancy(out: &mut String, found: &Analysis) -> fmt::Result {
    let Some(redundancy) = &found.redundancy else {
        return Ok(());
    };
    write!(
        out,
        "<h2>Resemblance of layers</h2><p>Tensors of the same role in neighbouring layers, {} pairs: \
         Pearson's correlation has the median {:+.4}; 90 % of the pairs lie between {:+.4} and {:+.4}. \
         Near 0, a layer tells nothing of the next, and coding differences would make files larger.</p>",
        redundancy.pairs, redundancy.median, redundancy.percentile_5, redundancy.percentile_95
    )
}

fn tensors(out: &mut String, found: &Analysis) -> fmt::Result {
    let largest = largest_tensors(found);
    out.push_str(
        "<h2>Tensors</h2><div class=\"wide\"><table><tr><th>name</th><th>dtype</th><th>shape</th><th>size</th>\
         <th>bits a byte</th><th>byte ceiling</th></tr>",
    );
    for tensor in largest.iter().take(LISTED_TENSORS) {
        write!(
            out,
            "<tr><td class=\"name\">{}</td><td>{}</td><td>{:?}</td><td>{}</td><td>{:.2}</td><td>{:.4}</td></tr>",
            Escaped(&tensor.name),
            Escaped(&tensor.dtype),
            tensor.shape,
            size::show(tensor.bytes),
            bits_per_byte(tensor),
            tensor.statistics.byte_marginal
        )?;
    }
    out.push_str("</table></div>");
    if largest.len() > LISTED_TENSORS {
        write!(
            out,
            "<p class=\"note\">The largest {LISTED_TENSORS} of {}.</p>",
            largest.len()
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let text = Escaped("<b a=\"1\">&").to_string();
        assert_eq!(text, "&lt;b a=&quot;1&quot;&gt;&amp;");
    }
}
