//! Values of any type, in as much detail as the fields of a record need.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as _, Deserializer};

pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Integer(u64),
    Number(f64),
    Text(&'a str),
    Array,
    Object,
}

impl Value<'_> {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// Accepts every value, and passes on what it is. What is in arrays and objects is skipped.
pub(crate) struct Any<F>(pub(crate) F);

impl<'de, T, F: FnOnce(Value<'_>) -> T> Visitor<'de> for Any<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(self.0(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        Ok(self.0(Value::Bool(value)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        Ok(self.0(Value::Integer(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        Ok(self.0(Value::Number(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok(self.0(Value::Text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.0(Value::Array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.0(Value::Object))
    }
}

/// A value that should have been another one: what it is, and if it is to be kept, its JSON.
pub(crate) struct Odd {
    pub(crate) kind: &'static str,
    pub(crate) json: Option<String>,
}

impl Odd {
    pub(crate) fn new(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let kind = match json {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        };
        let json = Some(json.to_string());
        Self { kind, json }
    }

    pub(crate) fn of(value: &Value<'_>, keep: bool) -> Self {
        let json = match value {
            _ if !keep => None,
            Value::Null => Some("null".into()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Number(number) => Some(serde_json::Value::from(*number).to_string()),
            Value::Text(text) => Some((*text).to_owned()),
            Value::Array | Value::Object => None,
        };
        let kind = value.kind();
        Self { kind, json }
    }

    /// Reads an array.
    pub(crate) fn array<'de, A: SeqAccess<'de>>(mut seq: A, keep: bool) -> Result<Self, A::Error> {
        if keep {
            let mut values = Vec::new();
            while let Some(value) = seq.next_element()? {
                values.push(value);
            }
            return Ok(Self::new(&serde_json::Value::Array(values)));
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::of(&Value::Array, keep))
    }

    /// Reads an object.
    pub(crate) fn object<'de, A: MapAccess<'de>>(map: A, keep: bool) -> Result<Self, A::Error> {
        if keep {
            let map = serde::de::value::MapAccessDeserializer::new(map);
            return Ok(Self::new(&serde_json::Value::deserialize(map)?));
        }
        Any(|_: Value<'_>| Self::of(&Value::Object, keep)).visit_map(map)
    }
}

/// Returns a value's kind if it is neither an array nor an object, and skips the rest.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(Any(|value: Value<'_>| match value {
            Value::Text(text) => Some(text.to_owned()),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        }))
    }
}
