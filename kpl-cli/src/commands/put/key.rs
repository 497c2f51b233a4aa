//! Where the partition key of a record comes from that is a whole line.

use std::borrow::Cow;
use std::fmt;

use kpl_core::PartitionKey;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as _, Deserializer};

use crate::user_record_line::Field;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    /// A random one for each record.
    Random,
    /// Always this one.
    Fixed(String),
}

impl Key {
    /// Reads the value of `--key`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "random" => Ok(Self::Random),
            Some(("fixed", key)) => match PartitionKey::new(key) {
                Ok(_) => Ok(Self::Fixed(key.to_owned())),
                Err(error) => Err(error.to_string()),
            },
            _ => Err("must be `random`, or `fixed:` and a partition key".into()),
        }
    }

    pub(super) fn next(&self) -> String {
        match self {
            Self::Random => format!("{:032x}", fastrand::u128(..)),
            Self::Fixed(key) => key.clone(),
        }
    }
}

/// The field of an object that has the partition key: its name, or a JSON pointer.
/// <https://www.rfc-editor.org/rfc/rfc6901>
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pointer {
    text: String,
    names: Vec<String>,
}

impl Pointer {
    /// Reads the value of `--key-field`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let names = match text.strip_prefix('/') {
            _ if text.is_empty() => {
                return Err("must be the name of a field, or a JSON pointer such as /user/id".into());
            }
            Some(pointer) => pointer
                .split('/')
                .map(|name| name.replace("~1", "/").replace("~0", "~"))
                .collect(),
            None => vec![text.to_owned()],
        };
        Ok(Self {
            text: text.to_owned(),
            names,
        })
    }

    /// Returns the partition key in a JSON object.
    pub(super) fn key<'o>(&self, object: &'o [u8]) -> Result<Cow<'o, str>, String> {
        let mut json = serde_json::Deserializer::from_slice(object);
        let field = Walk(&self.names).deserialize(&mut json);
        let field = field.and_then(|field| json.end().map(|()| field));
        match field.map_err(|error| format!("it is not a JSON object: {error}"))? {
            Field::Text(key) => Ok(key),
            Field::Integer(number) => Ok(number.to_string().into()),
            Field::Missing => Err(format!("it does not have the field {}", self.text)),
            Field::Number => Err(format!(
                "its field {} is a negative number or a fraction, not a string",
                self.text
            )),
            other => Err(format!("its field {} is {}, not a string", self.text, other.kind())),
        }
    }
}

/// Checks that a line is a JSON object.
pub(super) fn check_object(line: &[u8]) -> Result<(), String> {
    if !line.starts_with(b"{") {
        return Err("it is not a JSON object".into());
    }
    serde_json::from_slice::<IgnoredAny>(line)
        .map(drop)
        .map_err(|error| format!("it is not a JSON object: {error}"))
}

/// Goes to the value that these names lead to.
struct Walk<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Field<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Field<'de>, D::Error> {
        match self.0.split_first() {
            Some((name, rest)) => deserializer.deserialize_any(Step { name, rest }),
            None => Field::deserialize(deserializer),
        }
    }
}

struct Step<'p> {
    name: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field<'de>, A::Error> {
        let mut found = Field::Missing;
        while let Some(is_it) = map.next_key_seed(Is(self.name))? {
            if is_it {
                found = map.next_value_seed(Walk(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field<'de>, A::Error> {
        let wanted = array_index(self.name);
        let mut found = Field::Missing;
        for index in 0.. {
            if Some(index) == wanted {
                match seq.next_element_seed(Walk(self.rest))? {
                    Some(field) => found = field,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_unit<E: Error>(self) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Field<'de>, E> {
        Ok(Field::Missing)
    }
}

/// Returns the index that a name in a pointer is: without superfluous zeros and signs (RFC 6901, section 4).
fn array_index(name: &str) -> Option<usize> {
    let is_index = name == "0" || name.starts_with(|digit: char| matches!(digit, '1'..='9'));
    name.parse().ok().filter(|_| is_index)
}

/// Returns whether a key is this one.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            "[a-c~/\"0]{0,3}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
                prop::collection::btree_map("[ab~/0]{0,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// serde_json's own pointers lead to the same.
        #[test]
        fn a_pointer_leads_where_json_pointers_lead(
            value in value(),
            pointer in "(/([ab01]|~0|~1){0,2}){1,3}",
        ) {
            let object = value.to_string();
            let found = Pointer::parse(&pointer).unwrap().key(object.as_bytes());
            match value.pointer(&pointer) {
                Some(Value::String(text)) => prop_assert_eq!(found.unwrap(), text.as_str()),
                Some(Value::Number(number)) if number.is_u64() => prop_assert_eq!(found.unwrap(), number.to_string()),
                Some(_) => prop_assert!(found.unwrap_err().ends_with("not a string")),
                None => prop_assert_eq!(found.unwrap_err(), format!("it does not have the field {pointer}")),
            }
        }
    }

    #[test]
    fn a_name_is_a_field_of_the_object_itself() {
        let key = |field: &str| {
            let object = json!({ "a/b": "one", "user": { "id": 7 }, "tags": ["x", "y"] }).to_string();
            Pointer::parse(field)
                .unwrap()
                .key(object.as_bytes())
                .map(Cow::into_owned)
        };
        assert_eq!(key("a/b").as_deref(), Ok("one"));
        assert_eq!(key("/user/id").as_deref(), Ok("7"));
        assert_eq!(key("/tags/1").as_deref(), Ok("y"));
        for no_index in ["/tags/01", "/tags/00", "/tags/+1", "/tags/-", "/tags/"] {
            assert_eq!(
                key(no_index).unwrap_err(),
                format!("it does not have the field {no_index}")
            );
        }
        assert_eq!(key("user").unwrap_err(), "its field user is an object, not a string");
        assert_eq!(key("id").unwrap_err(), "it does not have the field id");
        assert!(Pointer::parse("").is_err());
    }

    #[test]
    fn keys_are_random_or_fixed() {
        assert_eq!(Key::parse("fixed:a:b").unwrap().next(), "a:b");
        let random = Key::parse("random").unwrap();
        assert_ne!(random.next(), random.next());
        for wrong in ["", "a", "fixed:", "random:1"] {
            assert!(Key::parse(wrong).is_err(), "{wrong}");
        }
    }
}
