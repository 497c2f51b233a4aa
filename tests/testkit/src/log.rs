//! Collects what is logged.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// A subscriber that keeps the messages of `tracing` events of one level and of those that are more severe. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct Log {
    level: Level,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// Creates a log of this level.
    pub fn new(level: Level) -> Self {
        Self {
            level,
            messages: Arc::default(),
        }
    }

    /// Returns the messages so far.
    pub fn messages(&self) -> Vec<String> {
        self.messages.lock().expect("no test has panicked in it").clone()
    }

    /// Returns the messages that this thread logs during some work.
    pub fn of(level: Level, work: impl FnOnce()) -> Vec<String> {
        let log = Self::new(level);
        tracing::subscriber::with_default(log.clone(), work);
        log.messages()
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut messages = self.messages.lock().expect("no test has panicked in it");
        messages.push(message.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
