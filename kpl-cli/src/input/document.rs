//! One JSON document of any shape: a record, or many of them in an array. An array is never held in memory: each
//! record is passed on as soon as it is read.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Records;
use super::fields::{Fields, Role};
use crate::problems::Stop;

/// Reads the next document. After an error, [`Records::stop`] is set if the sink stopped it.
pub(super) fn read<'de, D: Deserializer<'de>>(records: &mut Records<'_>, json: D) -> Result<(), D::Error> {
    Node {
        records,
        level: Level::Document,
    }
    .deserialize(json)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A record, or an object or an array that contains records.
    Document,
    /// The value of the key `Records`.
    Array,
    /// A record.
    Record,
}

struct Node<'r, 'a> {
    records: &'r mut Records<'a>,
    level: Level,
}

impl<'a> Node<'_, 'a> {
    fn inside(&mut self, level: Level) -> Node<'_, 'a> {
        let records = &mut *self.records;
        Node { records, level }
    }

    /// Reports a value that is not a record although it should be.
    fn not_a_record<E: Error>(self, kind: &str) -> Result<(), E> {
        let line = self.records.source.last_line();
        if self.level == Level::Array {
            let result = self
                .records
                .unreadable(Some(line), None, &format!("its Records key is {kind}, not an array"));
            return self.go_on(result);
        }
        self.records.count += 1;
        let number = self.records.count;
        let result = self
            .records
            .unreadable(Some(line), Some(number), &format!("{kind} is not a record"));
        self.go_on(result)
    }

    /// Turns the sink's error into one of serde_json, so that it stops.
    fn go_on<E: Error>(self, result: Result<(), Stop>) -> Result<(), E> {
        self.records.source.mark();
        result.map_err(|stop| {
            self.records.stop = Some(stop);
            E::custom("stopped")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if self.level == Level::Array {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.not_a_record("an object");
        }
        let line = self.records.source.last_line();
        let mut fields = Fields::default();
        let mut is_document = false;
        while let Some(key) = map.next_key::<Role>()? {
            if key == Role::Records && self.level == Level::Document {
                is_document = true;
                map.next_value_seed(self.inside(Level::Array))?;
            } else {
                fields.read(key, &mut map)?;
            }
        }
        if is_document && !fields.has_data() {
            return Ok(());
        }
        self.records.count += 1;
        let number = self.records.count;
        let result = match fields.finish() {
            Ok(mut entry) => {
                entry.line = Some(line);
                entry.number = number;
                self.records.push(entry)
            }
            Err(problem) => self.records.unreadable(Some(line), Some(number), &problem),
        };
        self.go_on(result)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        if self.level == Level::Record {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.not_a_record("an array");
        }
        while seq.next_element_seed(self.inside(Level::Record))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.not_a_record("null")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.not_a_record("a boolean")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.not_a_record("a number")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.not_a_record("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.not_a_record("a number")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.not_a_record("a string")
    }
}
