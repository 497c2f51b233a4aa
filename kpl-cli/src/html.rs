//! Pages of HTML: one file each, which loads nothing and in which nothing from outside can run.

use std::fmt::{self, Display, Write as _};

use crate::draw::{percent, thousands};
use crate::terminal;

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");

/// Only this style and this script have effect in a page, because the policy has their SHA-256.
const STYLE_HASH: &str = "f7zb9UJfgy1nMZgfMOdYKk5Kr1gMYXWlyOm/elKbffA=";
const SCRIPT_HASH: &str = "y0FGRVf/95p6tglnGAcYbnObJOWTYBLyM5CJPezmujI=";

/// Text in HTML, between tags or in quotes. Characters that are not visible or change the order of others are escaped as in JSON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in terminal::escaped(self.0).chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Returns the start of text from outside that can be of any length.
pub(crate) fn shortened(text: &str) -> String {
    let mut start: String = text.chars().take(256).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// A page that is being written.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) text: String,
}

impl Page {
    /// Returns a page with this title, which is visible only in the name of the window.
    pub(crate) fn new(title: &str) -> Self {
        let title = Text(title);
        Self {
            text: format!(
                "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; \
                 script-src 'sha256-{SCRIPT_HASH}'; base-uri 'none'; form-action 'none'\">\n\
                 <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
                 <style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            ),
        }
    }

    /// Adds the field that searches the rows of the tables. It is visible only if scripts run.
    pub(crate) fn search(&mut self) {
        self.text.push_str(
            "<div class=\"search\" hidden><input id=\"search\" type=\"search\" placeholder=\"Search the rows\" \
             aria-label=\"Search the rows\"> <span id=\"found\" class=\"faint\" role=\"status\"></span></div>\n",
        );
    }

    /// Adds a bar in parts, each with its class and its name, and what its parts are.
    pub(crate) fn shares(&mut self, shares: &[(u64, &str, &str)]) {
        let whole: u64 = shares.iter().map(|share| share.0).sum();
        let _ = write!(
            self.text,
            "<svg class=\"bar total\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" role=\"img\">"
        );
        let mut start = 0.0;
        for (part, class, name) in shares {
            let width = 100.0 * *part as f64 / whole.max(1) as f64;
            let _ = write!(
                self.text,
                "<rect class=\"{class}\" x=\"{start:.3}\" width=\"{width:.3}\" height=\"10\"><title>{name}</title></rect>"
            );
            start += width;
        }
        self.text.push_str("</svg>\n<p class=\"legend\">");
        for (part, class, name) in shares.iter().filter(|share| share.0 > 0) {
            let _ = write!(
                self.text,
                "<span><span class=\"swatch {class}\">{name}</span>{} · {}</span>",
                thousands(*part),
                percent(*part, whole)
            );
        }
        self.text.push_str("</p>\n");
    }

    /// Returns the whole page.
    pub(crate) fn end(mut self) -> String {
        let _ = write!(self.text, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
        self.text
    }
}

/// Returns a bar for `part`, where that of `whole` is as wide as it can be.
pub(crate) fn bar(part: u64, whole: u64, class: &str) -> String {
    let width = (100.0 * part as f64 / whole.max(1) as f64).min(100.0);
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"{class}\" width=\"{width:.3}\" height=\"10\" rx=\"1\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_what_is_in_the_page() {
        for (text, hash) in [(STYLE, STYLE_HASH), (SCRIPT, SCRIPT_HASH)] {
            assert_eq!(BASE64.encode(&Sha256::digest(text)), hash);
        }
        let mut page = Page::new("</title><script>alert(1)</script>");
        page.search();
        let html = page.end();
        assert_eq!(html.matches("<script>").count(), 1, "{html}");
        assert!(html.contains("script-src 'sha256-"), "{html}");
        for outside in ["http://", "https://", "url(", "@import", "src=", "style="] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn text_is_only_text() {
        let text = "<b a=\"'\">&\u{202e}\u{0}\n\u{9b}é";
        let expected = "&lt;b a=&quot;&#39;&quot;&gt;&amp;\\u202e\\u0000\\u000a\\u009bé";
        assert_eq!(Text(text).to_string(), expected);
    }
}
