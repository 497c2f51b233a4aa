//! Where the value of a key is in an object. serde_json's `RawValue` would tell, but its feature makes all reading slower.

/// Returns the JSON of the value that a key has in an object. The object must be valid JSON; the key must be written without
/// escapes.
pub(super) fn of<'j>(object: &'j [u8], key: &str) -> Option<&'j [u8]> {
    let mut found = None;
    let (mut depth, mut at) = (0_u32, 0);
    let mut start = None;
    let mut name: Option<&[u8]> = None;
    while let Some(byte) = object.get(at) {
        match byte {
            b'"' => {
                let end = string_end(object, at)?;
                if depth == 1 && start.is_none() {
                    name = object.get(at + 1..end);
                }
                at = end;
            }
            b':' if depth == 1 && start.is_none() => start = Some(at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' => {
                if depth == 1
                    && let Some(start) = start.take()
                    && name == Some(key.as_bytes())
                {
                    found = object.get(start..at).map(<[u8]>::trim_ascii);
                }
                if *byte != b',' {
                    depth -= 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Returns where the closing quote of a string is that starts at `start`.
fn string_end(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_key_is_found() {
        for (object, expected) in [
            (r#"{"Data":1.50}"#, Some("1.50")),
            (
                r#"{"a":{"Data":1},"Data" : {"x":"}\"","y":[1, 2]} ,"b":2}"#,
                Some(r#"{"x":"}\"","y":[1, 2]}"#),
            ),
            (r#"{"a":"Data","b":["Data",{"Data":3}],"Data":"x:,"}"#, Some(r#""x:,""#)),
            (r#"{"a":":","Data":null}"#, Some("null")),
            (r#"{"a":"Data"}"#, None),
            ("{}", None),
        ] {
            let found = of(object.as_bytes(), "Data").map(|json| str::from_utf8(json).unwrap());
            assert_eq!(found, expected, "{object}");
        }
    }
}
