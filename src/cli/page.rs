//! Reports as one HTML file with drawings inside: no scripts, no other files.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::printable::printable;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;padding:0 1em;\
color:#1a1a1a;background:#fff}h1{font-size:1.5em}h2{margin-top:2em;border-bottom:1px solid #ccc}\
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #e4e4e4}\
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto}p.note{color:#555;font-size:.9em}\
svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}\
.big{font-size:1.3em}td.name{font-family:monospace;font-size:.85em;text-align:left}";

/// A whole page.
pub(super) fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    };
    // As text that is printed: what a file calls its tensors is to hide or turn nothing here either.
    let page = page.into_string();
    page.split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The first row of a table.
pub(super) fn headings(names: &[&str]) -> Markup {
    html! { tr { @for name in names { th { (name) } } } }
}
