//! Templates of partition keys: `"{tenant}/{user}"`.

use syn::LitStr;

/// A piece of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Field {
        name: String,
        /// The names after the first, in `{order.customer.id}`.
        path: Vec<String>,
        /// The format specification after the colon.
        spec: String,
    },
}

/// Reads a template. Mistakes are reported at the whole literal, because stable compilers cannot point into it.
pub(crate) fn parse(literal: &LitStr) -> syn::Result<Vec<Piece>> {
    pieces(&literal.value()).map_err(|message| syn::Error::new_spanned(literal, message))
}

fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '{' | '}' if rest.next_if_eq(&character).is_some() => text.push(character),
            '{' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let inside: String = rest.by_ref().take_while(|character| *character != '}').collect();
                // This consumed the `}` as well, unless the template ended.
                let closed = template.ends_with('}') || rest.peek().is_some();
                if !closed {
                    return Err(format!(
                        "`{{{inside}` is never closed; write `{{{{` for the character `{{`"
                    ));
                }
                pieces.push(placeholder(&inside)?);
            }
            '}' => return Err("`}` without `{`; write `}}` for the character `}`".into()),
            _ => text.push(character),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

fn placeholder(inside: &str) -> Result<Piece, String> {
    let (name, spec) = inside.split_once(':').unwrap_or((inside, ""));
    let mut names = name.split('.').map(|name| {
        let name = name.trim();
        name.strip_prefix("r#").unwrap_or(name).to_owned()
    });
    let name = names.next().unwrap_or_default();
    let path: Vec<_> = names.collect();
    if name.is_empty() || path.iter().any(String::is_empty) {
        return Err(format!("`{{{inside}}}` does not name a field"));
    }
    if after_fill(spec).contains(['$', '*']) {
        return Err(format!("`{{{inside}}}`: a width or precision must be a number here"));
    }
    Ok(Piece::Field {
        name,
        path,
        spec: spec.into(),
    })
}

/// Returns a format specification without its alignment and fill character, which can be any character.
fn after_fill(spec: &str) -> &str {
    let is_alignment = |character: Option<char>| matches!(character, Some('<' | '^' | '>'));
    let mut rest = spec.chars();
    rest.next();
    match is_alignment(rest.next()) {
        true => rest.as_str(),
        false => spec,
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, pieces};

    fn text(text: &str) -> Piece {
        Piece::Text(text.into())
    }

    fn field(name: &str, spec: &str) -> Piece {
        Piece::Field {
            name: name.into(),
            path: Vec::new(),
            spec: spec.into(),
        }
    }

    #[test]
    fn a_field_inside_a_field() {
        let nested = Piece::Field {
            name: "0".into(),
            path: vec!["order".into(), "type".into(), "1".into()],
            spec: "08x".into(),
        };
        assert_eq!(pieces("{0. order .r#type.1:08x}"), Ok(vec![nested]));
        assert_eq!(pieces("{a:.3}"), Ok(vec![field("a", ".3")]));
        for template in ["{.}", "{a.}", "{.a}", "{a..b}"] {
            assert!(pieces(template).is_err(), "{template}");
        }
    }

    #[test]
    fn texts_fields_and_braces() {
        assert_eq!(pieces(""), Ok(vec![]));
        assert_eq!(pieces("a"), Ok(vec![text("a")]));
        assert_eq!(pieces("{a}"), Ok(vec![field("a", "")]));
        assert_eq!(pieces("{a}{0:>4}"), Ok(vec![field("a", ""), field("0", ">4")]));
        assert_eq!(pieces("{0:*>8}"), Ok(vec![field("0", "*>8")]));
        assert_eq!(pieces("{a:$<8.3}"), Ok(vec![field("a", "$<8.3")]));
        assert_eq!(pieces("{a:<^8}"), Ok(vec![field("a", "<^8")]));
        assert_eq!(pieces("{{a}}"), Ok(vec![text("{a}")]));
        assert_eq!(pieces("{{{a}}}"), Ok(vec![text("{"), field("a", ""), text("}")]));
        assert_eq!(
            pieces("é{ r#type :?}é"),
            Ok(vec![text("é"), field("type", "?"), text("é")])
        );
    }

    #[test]
    fn mistakes() {
        for template in [
            "{", "{a", "a{", "{a}{b", "}", "a}", "{a}}", "{{}", "{}", "{:?}", "{a:w$}", "{a:.*}", "{a:*>w$}",
            "{a:$<.*}", "{a:<w$}", "{a:>.p$}", "{a:0$}", "{{{a}}",
        ] {
            assert!(pieces(template).is_err(), "{template}");
        }
    }
}
