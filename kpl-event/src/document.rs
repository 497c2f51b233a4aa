//! One JSON document of any shape: a record, or many of them in an array, or in messages. An array is never held in
//! memory: each record is passed on as soon as it is read.

use std::fmt;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::fields::{Fields, Key, Role};
use crate::foreign::{aggregate_inside, decode};
use crate::value::{Odd, Text, Value};
use crate::{NoData, Record};

/// How deep messages may be in messages: an event in an invocation record in a notification in a message is 3.
const MAX_DEPTH: usize = 4;

/// The error of a sink that does not want more records: reading ends with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Takes the records that are read.
pub trait Sink {
    /// Returns where what was read last is, in a unit of the sink's own, such as a line. It is called where each object
    /// begins, and for each value that is not an object. The default is 0.
    fn place(&mut self) -> u64 {
        0
    }

    /// Takes the next record, or what is in the place of one.
    ///
    /// # Errors
    ///
    /// Returns [`Stopped`] to end reading.
    fn record(&mut self, place: u64, record: Record) -> Result<(), Stopped>;

    /// Returns whether a value in the place of a record, or of its data, is kept if it is not one. In memory it may take
    /// many times as many bytes as in the input. The default is `false`.
    fn keeps_values(&self) -> bool {
        false
    }

    /// Takes note that the value of the key that was read last may be asked for, by [`value`](Self::value). The default does nothing.
    fn mark_value(&mut self) {}

    /// Passes on the input that was read since [`mark_value`](Self::mark_value), if it is known. User records that `kpl` has unpacked
    /// may have JSON in the place of base64, whose bytes are the data. The default does nothing: then they are not read.
    fn value(&mut self, take: &mut dyn FnMut(&[u8])) {
        let _ = take;
    }

    /// Returns whether data is read in the forms of other programs as well, as far as they are unambiguous: what [`decode`] and
    /// [`bytes_of_json`] read, arrays of bytes, and strings in the place of a record. An aggregated record is read also if it was
    /// encoded twice. Arrays and objects that are not bytes are not kept then. The default is `false`.
    ///
    /// [`decode`]: crate::decode
    /// [`bytes_of_json`]: crate::bytes_of_json
    fn reads_other_forms(&self) -> bool {
        false
    }
}

/// What a document is around its records.
#[derive(Clone, Debug, PartialEq, Default)]
#[non_exhaustive]
pub struct Outline {
    /// Whether it is an array: EventBridge Pipes send one.
    pub is_array: bool,
    /// Whether it is an object with a key for the records, whatever is under it.
    pub has_records: bool,
    /// Whether it contains another document outside a message of SQS: an invocation record or a notification. What sends
    /// these does not read an answer.
    pub is_wrapped: bool,
    /// The ARN of the stream, if the document has one for all its records.
    pub stream_arn: Option<String>,
    /// The shard, if the document has one for all its records.
    pub shard_id: Option<String>,
    /// The fields of a tumbling window: `window`, `state`, `isFinalInvokeForWindow` and `isWindowTerminatedEarly`.
    pub window: serde_json::Map<String, serde_json::Value>,
}

/// Reads the next document, and passes its records to a sink.
///
/// # Errors
///
/// Returns the deserializer's error: text that is not JSON, or a sink that stopped.
pub fn read<'de, D: Deserializer<'de>>(sink: &mut dyn Sink, json: D) -> Result<Outline, D::Error> {
    let mut walk = Walk {
        sink,
        outline: Outline::default(),
        message_id: None,
        depth: 0,
    };
    walk.node(Level::Document).deserialize(json)?;
    Ok(walk.outline)
}

struct Walk<'s> {
    sink: &'s mut dyn Sink,
    outline: Outline,
    /// The SQS message that is being read.
    message_id: Option<Arc<str>>,
    depth: usize,
}

impl<'s> Walk<'s> {
    fn node(&mut self, level: Level) -> Node<'_, 's> {
        Node { walk: self, level }
    }

    fn record<E: Error>(&mut self, place: u64, mut record: Record) -> Result<(), E> {
        record.message_id.clone_from(&self.message_id);
        let result = self.sink.record(place, record);
        result.map_err(|Stopped| E::custom("stopped"))
    }

    /// Reads the document in the text of a message.
    fn message<E: Error>(&mut self, place: u64, text: String) -> Result<(), E> {
        self.depth += 1;
        let result = if self.depth > MAX_DEPTH {
            self.record(place, Record::new(Err(NoData::TooDeep { text })))
        } else {
            self.document(place, text)
        };
        self.depth -= 1;
        result
    }

    fn document<E: Error>(&mut self, place: u64, text: String) -> Result<(), E> {
        let mut within = Within {
            sink: &mut *self.sink,
            place,
            stopped: false,
        };
        let mut walk = Walk {
            sink: &mut within,
            outline: Outline::default(),
            message_id: self.message_id.clone(),
            depth: self.depth,
        };
        let mut json = serde_json::Deserializer::from_str(&text);
        let result = walk
            .node(Level::Document)
            .deserialize(&mut json)
            .and_then(|_| json.end());
        match result {
            Ok(()) => Ok(()),
            Err(_) if within.stopped => Err(E::custom("stopped")),
            Err(error) => {
                let error = error.to_string();
                self.record(place, Record::new(Err(NoData::NotJson { error, text })))
            }
        }
    }
}

/// The sink for a document within a document: all of it is where its text is.
struct Within<'s> {
    sink: &'s mut dyn Sink,
    place: u64,
    stopped: bool,
}

impl Sink for Within<'_> {
    fn record(&mut self, _: u64, record: Record) -> Result<(), Stopped> {
        let result = self.sink.record(self.place, record);
        self.stopped = result.is_err();
        result
    }

    fn keeps_values(&self) -> bool {
        self.sink.keeps_values()
    }

    fn reads_other_forms(&self) -> bool {
        self.sink.reads_other_forms()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A record, or an object or an array that contains records.
    Document,
    /// The value of the key `Records`.
    Array,
    /// A record, or a message that contains records.
    Record,
    /// The value of a key that a message is under: a document, as text or as it is. Anything else is ignored.
    Message,
}

/// A value. Its result is the text of a message.
struct Node<'w, 's> {
    walk: &'w mut Walk<'s>,
    level: Level,
}

impl Node<'_, '_> {
    /// Takes a value in the place of a record or of an array of them.
    fn not_a_record<E: Error>(self, Odd { kind, json }: Odd) -> Result<Found, E> {
        let no_data = match self.level {
            Level::Message => return Ok(Found::Nothing),
            Level::Array => NoData::NotAnArray { kind, json },
            Level::Document | Level::Record => NoData::NotARecord { kind, json },
        };
        let place = self.walk.sink.place();
        self.walk.record(place, Record::new(Err(no_data)))?;
        Ok(Found::Records)
    }

    fn keep(&self) -> bool {
        self.walk.sink.keeps_values() && self.level != Level::Message
    }

    fn odd<E: Error>(self, value: &Value<'_>) -> Result<Found, E> {
        let odd = Odd::of(value, self.keep());
        self.not_a_record(odd)
    }
}

/// What a value was.
enum Found {
    Nothing,
    Records,
    /// The text of a message.
    Text(String),
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        if self.level == Level::Array {
            let odd = Odd::object(map, self.keep())?;
            return self.not_a_record(odd);
        }
        let is_document = matches!(self.level, Level::Document | Level::Message);
        let walk = self.walk;
        if walk.depth > MAX_DEPTH {
            let text = Odd::object(map, walk.sink.keeps_values())?.json.unwrap_or_default();
            let place = walk.sink.place();
            walk.record(place, Record::new(Err(NoData::TooDeep { text })))?;
            return Ok(Found::Records);
        }
        let is_outermost = walk.depth == 0 && is_document;
        let place = walk.sink.place();
        let outer_message_id = walk.message_id.clone();
        let mut fields = Fields::new(walk.sink.keeps_values(), walk.sink.reads_other_forms());
        let mut found = Found::Nothing;
        let (mut has_message, mut has_positions) = (false, false);
        while let Some(Key { role, name }) = map.next_key::<Key>()? {
            match (role, name) {
                (Role::Records, _) if is_document => {
                    walk.outline.has_records |= is_outermost;
                    map.next_value_seed(walk.node(Level::Array))?;
                    found = Found::Records;
                }
                (Role::Message | Role::Notification, _) => {
                    walk.depth += 1;
                    let inner = map.next_value_seed(walk.node(Level::Message));
                    walk.depth -= 1;
                    match inner? {
                        Found::Nothing => {}
                        inner => {
                            found = inner;
                            has_message = true;
                        }
                    }
                }
                (Role::MessageId, _) => {
                    if let Some(id) = map.next_value_seed(Text)? {
                        walk.message_id.get_or_insert_with(|| id.into());
                    }
                }
                (Role::Positions, _) => {
                    map.next_value::<IgnoredAny>()?;
                    has_positions = true;
                }
                (Role::Window, Some(name)) if is_outermost => {
                    walk.outline.window.insert(name, map.next_value()?);
                }
                (role, _) => fields.read(role, &mut map, walk.sink)?,
            }
        }
        let has_data = fields.has_data();
        walk.outline.is_wrapped |= has_message && !has_data && walk.depth == 0 && walk.message_id.is_none();
        if is_outermost && !has_data {
            walk.outline.stream_arn = fields.take_event_source_arn();
            walk.outline.shard_id = fields.take_shard_id();
        }
        match found {
            Found::Text(text) if !has_data => walk.message(place, text)?,
            Found::Records if !has_data => {}
            _ => {
                let reason = if has_positions {
                    NoData::PositionsOnly
                } else {
                    NoData::Missing
                };
                walk.record(place, fields.finish(reason))?;
            }
        }
        walk.message_id = outer_message_id;
        Ok(Found::Records)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        if self.level == Level::Record {
            let odd = Odd::array(seq, self.keep())?;
            return self.not_a_record(odd);
        }
        self.walk.outline.is_array |= self.walk.depth == 0 && self.level == Level::Document;
        while seq.next_element_seed(self.walk.node(Level::Record))?.is_some() {}
        Ok(Found::Records)
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        self.odd(&Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Found, E> {
        self.odd(&Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Found, E> {
        self.odd(&Value::Integer(number))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Found, E> {
        self.odd(&Value::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Found, E> {
        self.odd(&Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        match self.level {
            Level::Message => Ok(Found::Text(text.to_owned())),
            Level::Document | Level::Record if self.walk.sink.reads_other_forms() => match decode(text) {
                Some(data) if !data.is_empty() => {
                    let place = self.walk.sink.place();
                    let data = aggregate_inside(&data).unwrap_or(data);
                    self.walk.record(place, Record::new(Ok(data)))?;
                    Ok(Found::Records)
                }
                _ => self.odd(&Value::Text(text)),
            },
            Level::Document | Level::Array | Level::Record => self.odd(&Value::Text(text)),
        }
    }
}
