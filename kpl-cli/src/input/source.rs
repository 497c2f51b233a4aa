//! The bytes of an input, with the place that reading has come to.

use std::cell::RefCell;
use std::io::{self, Read};

use super::too_long;

const BUFFER: usize = 256 * 1024;
pub(crate) const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Bytes that are read through a shared reference, so that a visitor can ask for the place while serde_json reads.
pub(super) struct Source(RefCell<Inner>);

struct Inner {
    reader: Box<dyn Read>,
    buffer: Box<[u8]>,
    next: usize,
    end: usize,
    /// How many line feeds were read.
    lines: u64,
    last: u8,
    /// Whether that was the first byte of its line.
    last_is_first: bool,
    /// How many bytes may be read until the next mark.
    left: usize,
    limit: usize,
    failed: Option<io::Error>,
}

impl Source {
    /// No record may be longer than `limit` bytes.
    pub(super) fn new(reader: impl Read + 'static, limit: usize) -> Self {
        let mut inner = Inner {
            reader: Box::new(reader),
            buffer: vec![0; BUFFER].into(),
            next: 0,
            end: 0,
            lines: 0,
            last: b'\n',
            last_is_first: false,
            left: limit,
            limit,
            failed: None,
        };
        // An error comes back when it is read past what came before it.
        inner.failed = inner.fill(4).err();
        if inner.rest().starts_with(&BYTE_ORDER_MARK) {
            inner.next = BYTE_ORDER_MARK.len();
        }
        Self(RefCell::new(inner))
    }

    /// The first bytes.
    pub(super) fn start(&self) -> [u8; 4] {
        let inner = self.0.borrow();
        let mut start = [0; 4];
        for (to, from) in start.iter_mut().zip(inner.rest()) {
            *to = *from;
        }
        start
    }

    /// The line of the byte that was read last. The first line is 1.
    pub(super) fn last_line(&self) -> u64 {
        let inner = self.0.borrow();
        inner.lines + u64::from(inner.last != b'\n')
    }

    /// A record may start here: it has as many bytes as one can have.
    pub(super) fn mark(&self) {
        let mut inner = self.0.borrow_mut();
        inner.left = inner.limit;
    }

    /// Whether nothing but white space is at hand, so that the next read may wait for a long time.
    pub(super) fn is_drained(&self) -> bool {
        self.0.borrow().rest().trim_ascii().is_empty()
    }

    /// The line of the byte that is read next.
    pub(super) fn next_line(&self) -> u64 {
        self.0.borrow().lines + 1
    }

    /// Goes on to a line that starts like an object or an array, where a document may start after one that was broken:
    /// the line of the byte that was read last, if that was its first, or one of those that follow.
    pub(super) fn next_start(&self) -> bool {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if inner.last_is_first && is_start(inner.last) {
            inner.next -= 1;
            return true;
        }
        loop {
            if inner.rest().is_empty() && !matches!(inner.fill(1), Ok(true)) {
                return false;
            }
            if inner.last == b'\n' && inner.rest().first().is_some_and(|&byte| is_start(byte)) {
                return true;
            }
            let rest = inner.rest();
            let line_feed = rest.iter().position(|&byte| byte == b'\n');
            inner.next += line_feed.map_or(rest.len(), |at| at + 1);
            inner.lines += u64::from(line_feed.is_some());
            inner.last = if line_feed.is_some() { b'\n' } else { 0 };
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

    /// Reads on, until there are so many bytes at hand. Whether there are.
    fn fill(&mut self, least: usize) -> io::Result<bool> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.buffer.copy_within(self.next..self.end, 0);
        self.end -= self.next;
        self.next = 0;
        while self.end < least {
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
}

/// One byte at a time: that is how serde_json asks.
impl Read for &Source {
    #[inline]
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        if inner.next == inner.end && !inner.fill(1)? {
            return Ok(0);
        }
        let (Some(to), Some(&byte)) = (out.first_mut(), inner.buffer.get(inner.next)) else {
            return Ok(0);
        };
        inner.left = inner
            .left
            .checked_sub(1)
            .ok_or_else(|| io::Error::other(too_long(inner.limit)))?;
        inner.next += 1;
        inner.last_is_first = inner.last == b'\n';
        inner.last = byte;
        inner.lines += u64::from(byte == b'\n');
        *to = byte;
        Ok(1)
    }
}
