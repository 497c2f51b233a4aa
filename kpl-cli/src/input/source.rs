//! The bytes of an input, and where in it reading has come to.

use std::cell::RefCell;
use std::io::{self, Read};

use super::too_long;

const BUFFER: usize = 256 * 1024;
pub(crate) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// How many bytes that were read stay in the buffer.
const KEPT: usize = 2;

/// Bytes that are read through a shared reference, so that a visitor can ask for the line while serde_json reads.
///
/// serde_json reads byte by byte, so the work for each byte is small: lines are counted only when they are asked for.
pub(super) struct Source(RefCell<Inner>);

struct Inner {
    reader: Box<dyn Read>,
    buffer: Box<[u8]>,
    /// The next byte to read. At least [`KEPT`] bytes are before it: those that were read last.
    next: usize,
    /// The end of what is in the buffer.
    end: usize,
    /// The end of what may be read until the next mark; it may be outside the buffer.
    limit_end: usize,
    /// The smaller one of these two ends.
    stop: usize,
    limit: usize,
    /// How many line feeds were read before `counted`.
    lines: u64,
    counted: usize,
    failed: Option<io::Error>,
    /// Where the value starts in the buffer that may be asked for.
    value: Option<usize>,
    /// What was in the buffer of it before.
    value_before: Vec<u8>,
}

impl Source {
    /// Reads from `reader`. No record may be longer than `limit` bytes.
    pub(super) fn new(reader: impl Read + 'static, limit: usize) -> Self {
        let mut buffer = vec![0; BUFFER];
        // A line starts here.
        if let Some(last) = buffer.get_mut(KEPT - 1) {
            *last = b'\n';
        }
        let mut inner = Inner {
            reader: Box::new(reader),
            buffer: buffer.into(),
            next: KEPT,
            end: KEPT,
            limit_end: KEPT + limit,
            stop: KEPT,
            limit,
            lines: 0,
            counted: KEPT,
            failed: None,
            value: None,
            value_before: Vec::new(),
        };
        // An error is reported when the bytes before it have been read.
        inner.failed = inner.fill(4).err();
        if inner.rest().starts_with(&BYTE_ORDER_MARK) {
            inner.next += BYTE_ORDER_MARK.len();
            inner.counted = inner.next;
            // The line starts behind it.
            if let Some(last) = inner.buffer.get_mut(inner.next - 1) {
                *last = b'\n';
            }
        }
        Self(RefCell::new(inner))
    }

    /// Calls a function with what is in the buffer.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        look(self.0.borrow().rest())
    }

    /// Marks where a value may start that is asked for later.
    pub(super) fn mark_value(&self) {
        let mut inner = self.0.borrow_mut();
        inner.value = Some(inner.next);
        inner.value_before.clear();
    }

    /// Passes on what was read since the mark, which is removed.
    pub(super) fn value(&self, take: &mut dyn FnMut(&[u8])) {
        let mut inner = self.0.borrow_mut();
        let Some(start) = inner.value.take() else {
            return;
        };
        if inner.value_before.is_empty() {
            take(inner.buffer.get(start..inner.next).unwrap_or_default());
            return;
        }
        let mut value = std::mem::take(&mut inner.value_before);
        value.extend_from_slice(inner.buffer.get(start..inner.next).unwrap_or_default());
        take(&value);
    }

    /// Returns the line of the byte that was read last. The first line is 1.
    pub(super) fn last_line(&self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.count_lines();
        inner.lines + u64::from(inner.last(0) != b'\n')
    }

    /// Returns the line of the byte that is read next.
    pub(super) fn next_line(&self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.count_lines();
        inner.lines + 1
    }

    /// Marks where a record may start: from here on, as many bytes may be read as the longest record has.
    pub(super) fn mark(&self) {
        let mut inner = self.0.borrow_mut();
        inner.limit_end = inner.next + inner.limit;
        inner.stop = inner.end.min(inner.limit_end);
    }

    /// Returns whether nothing but white space is in the buffer, so that the next read may wait for a long time.
    pub(super) fn is_drained(&self) -> bool {
        self.0.borrow().rest().trim_ascii().is_empty()
    }

    /// Skips to a line that starts like an object or an array, where a document may start after a broken one: the line
    /// of the byte that was read last, if that was its first byte, or a later one. Returns whether there is such a
    /// line.
    pub(super) fn next_start(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if inner.last(1) == b'\n' && is_start(inner.last(0)) {
            inner.next -= 1;
            return true;
        }
        loop {
            if inner.rest().is_empty() && !matches!(inner.fill(1), Ok(true)) {
                return false;
            }
            let rest = inner.rest();
            if inner.last(0) == b'\n' && rest.first().is_some_and(|&byte| is_start(byte)) {
                return true;
            }
            let line_feed = rest.iter().position(|&byte| byte == b'\n');
            inner.next += line_feed.map_or(rest.len(), |at| at + 1);
        }
    }
}

fn is_start(byte: u8) -> bool {
    matches!(byte, b'{' | b'[')
}

impl Inner {
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.next..self.end).unwrap_or_default()
    }

    /// Returns the byte that was read last, or with 1 the one before it.
    fn last(&self, before: usize) -> u8 {
        let index = self.next.saturating_sub(1 + before);
        self.buffer.get(index).copied().unwrap_or_default()
    }

    fn count_lines(&mut self) {
        let read = self.buffer.get(self.counted..self.next).unwrap_or_default();
        self.lines += read.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.counted = self.next;
    }

    /// Reads until at least this many bytes are in the buffer. Returns whether they are: the input may end before.
    fn fill(&mut self, least: usize) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.count_lines();
        if let Some(start) = self.value {
            self.value = Some(KEPT);
            let read = self.buffer.get(start..self.next).unwrap_or_default();
            self.value_before.extend_from_slice(read);
        }
        let shift = self.next - KEPT;
        self.buffer.copy_within(shift..self.end, 0);
        self.next -= shift;
        self.counted -= shift;
        self.end -= shift;
        self.limit_end = self.limit_end.saturating_sub(shift);
        let result = self.read_to(self.next + least);
        self.stop = self.end.min(self.limit_end);
        result
    }

    fn read_to(&mut self, end: usize) -> io::Result<bool> {
        while self.end < end {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => return Ok(false),
                Ok(len) => self.end += len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Refills the buffer if it is empty. Returns whether another byte can be read; it is an error if the limit is
    /// reached.
    #[cold]
    fn refill(&mut self) -> io::Result<bool> {
        if self.next >= self.end && !self.fill(1)? {
            return Ok(false);
        }
        if self.next >= self.limit_end {
            return Err(io::Error::other(too_long(self.limit)));
        }
        Ok(true)
    }
}

/// Reads one byte at a time, as serde_json asks for them.
impl Read for &Source {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        if inner.next >= inner.stop && !inner.refill()? {
            return Ok(0);
        }
        let (Some(to), Some(&byte)) = (out.first_mut(), inner.buffer.get(inner.next)) else {
            return Ok(0);
        };
        *to = byte;
        inner.next += 1;
        Ok(1)
    }
}
