//! The trace that a record belongs to.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use core::fmt;
use core::str::FromStr;

use crate::wire::Tags;

/// The trace that a record belongs to, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it, in the tags
/// `traceparent` and `tracestate` of the record.
///
/// ```
/// use kpl_core::{Tags, TraceContext};
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert_eq!(context.trace_id(), 0x4bf92f3577b34da6a3ce929d0e0e4736);
/// assert!(context.is_sampled());
///
/// let mut tags = Tags::new();
/// context.add_to(&mut tags);
/// assert_eq!(TraceContext::of(&tags), Some(context));
/// # Ok::<(), kpl_core::InvalidTraceContext>(())
/// ```
///
/// With their feature `trace`, the producer of kpl-stream writes it, and the functions of kpl-stream, kpl-fleet and kpl-lambda run in it.
///
/// The tags are in the record itself, not in a table of its aggregate: `traceparent` takes 72 bytes of each record, and a
/// `tracestate` of at most 113 bytes its length and 16 bytes more. The length of the whole record may take a byte more. A
/// record with tags is always sent inside an aggregate, which costs a lone one 28 bytes and a second copy of its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
    state: Option<Box<str>>,
}

/// A `traceparent` that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTraceContext {
    /// It is not `version-trace_id-parent_id-flags` in lower-case hexadecimal digits: 2, 32, 16 and 2 of them.
    Form,
    /// It is longer than version 00 allows.
    TooLong,
    /// The version is `ff`, which is not one.
    Version,
    /// The trace id is 0.
    TraceId,
    /// The parent id is 0.
    ParentId,
}

impl fmt::Display for InvalidTraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "a traceparent is `version-trace_id-parent_id-flags`: 2, 32, 16 and 2 lower-case hexadecimal digits"
            }
            Self::TooLong => "a traceparent of version 00 ends after the flags",
            Self::Version => "ff is not a valid version of traceparent",
            Self::TraceId => "0 is not a valid trace id",
            Self::ParentId => "0 is not a valid parent id",
        })
    }
}

impl core::error::Error for InvalidTraceContext {}

impl TraceContext {
    /// The key of the tag with the trace and the parent.
    pub const TRACEPARENT: &str = "traceparent";

    /// The key of the tag with what tracing systems add.
    pub const TRACESTATE: &str = "tracestate";

    const SAMPLED: u8 = 1;
    /// The flags that are known: level 2 of the recommendation adds that the trace id is random.
    const KNOWN: u8 = Self::SAMPLED | 2;

    /// Returns the context of what is caused by the span `parent_id`. `flags` are those of `traceparent`: 1 if the trace is
    /// sampled, 2 if its id is random. Others are left out.
    ///
    /// # Errors
    ///
    /// [`InvalidTraceContext`] if an id is 0.
    pub const fn new(trace_id: u128, parent_id: u64, flags: u8) -> Result<Self, InvalidTraceContext> {
        match (trace_id, parent_id) {
            (0, _) => Err(InvalidTraceContext::TraceId),
            (_, 0) => Err(InvalidTraceContext::ParentId),
            _ => Ok(Self {
                trace_id,
                parent_id,
                flags: flags & Self::KNOWN,
                state: None,
            }),
        }
    }

    /// Returns the same context with what tracing systems add, the content of `tracestate`. One that is not a list of at
    /// most 32 members `key=value` as the recommendation has them, or takes more than 512 characters, is left out: the trace
    /// goes on without it.
    #[must_use]
    pub fn with_state(mut self, state: &str) -> Self {
        self.state = is_valid_state(state).then(|| state.into());
        self
    }

    /// Returns the context in a record's tags. Without a valid `traceparent` there is none, and a new trace starts, as the
    /// recommendation has it.
    #[must_use]
    pub fn of(tags: &Tags<'_>) -> Option<Self> {
        if tags.is_empty() {
            return None;
        }
        let value = |key| tags.iter().find_map(|(name, value)| value.filter(|_| name == key));
        let context: Self = value(Self::TRACEPARENT)?.parse().ok()?;
        Some(match value(Self::TRACESTATE) {
            Some(state) => context.with_state(state),
            None => context,
        })
    }

    /// Adds the context to a record's tags, unless they have a `traceparent` or `tracestate` of their own.
    pub fn add_to(&self, tags: &mut Tags<'_>) {
        if tags
            .iter()
            .any(|(key, _)| key == Self::TRACEPARENT || key == Self::TRACESTATE)
        {
            return;
        }
        tags.push(Self::TRACEPARENT, Some(&self.to_string()));
        if let Some(state) = &self.state {
            tags.push(Self::TRACESTATE, Some(state));
        }
    }

    /// Returns the trace.
    #[must_use]
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// Returns the span that sent the record.
    #[must_use]
    pub const fn parent_id(&self) -> u64 {
        self.parent_id
    }

    /// Returns the flags.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Returns whether the sender may have recorded the trace.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & Self::SAMPLED != 0
    }

    /// Returns what tracing systems have added.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The content of `traceparent`, in version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            parent_id,
            flags,
            ..
        } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

/// Reads the content of `traceparent`. Of a later version, it reads what version 00 has.
impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let mut parts = text.splitn(5, '-');
        let mut next = || parts.next().unwrap_or_default();
        let version: u8 = hex(next(), 2)?;
        let (trace_id, parent_id) = (hex(next(), 32)?, hex(next(), 16)?);
        let flags: u8 = hex(next(), 2)?;
        match (version, parts.next()) {
            (0xFF, _) => return Err(InvalidTraceContext::Version),
            (0, Some(_)) => return Err(InvalidTraceContext::TooLong),
            _ => {}
        }
        // What flags of later versions mean is not known.
        let known = if version == 0 { Self::KNOWN } else { Self::SAMPLED };
        Self::new(trace_id, parent_id, flags & known)
    }
}

/// Returns the number in this many lower-case hexadecimal digits.
fn hex<T: TryFrom<u128>>(text: &str, digits: usize) -> Result<T, InvalidTraceContext> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let valid = text.len() == digits && text.bytes().all(is_digit);
    let number = valid.then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number
        .and_then(|number| number.try_into().ok())
        .ok_or(InvalidTraceContext::Form)
}

fn is_valid_state(state: &str) -> bool {
    const MAX_MEMBERS: usize = 32;
    const MAX_LEN: usize = 512;
    const MAX_PART: usize = 256;
    let is_key_byte = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_key = |key: &str| {
        key.len() <= MAX_PART
            && key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && key.bytes().all(is_key_byte)
            && key.matches('@').count() <= 1
    };
    let is_value = |value: &str| {
        (1..=MAX_PART).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
    };
    // Empty members are allowed.
    let is_member = |member: &str| match member.trim_matches([' ', '\t']) {
        "" => true,
        member => matches!(member.split_once('='), Some((key, value)) if is_key(key) && is_value(value)),
    };
    state.len() <= MAX_LEN
        && !state.trim_matches([' ', '\t', ',']).is_empty()
        && state.split(',').count() <= MAX_MEMBERS
        && state.split(',').all(is_member)
}
