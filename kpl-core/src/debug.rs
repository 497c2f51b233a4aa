//! How `Debug` shows payloads: by their length in bytes, never by their content.
//!
//! Errors and records end up in logs and on terminals, through `{:?}`, through `unwrap`, or through a `main` that
//! returns a `Result`. A payload can have 10 MiB, and it is the user's data. So every type that contains payloads shows
//! their lengths, and a program that needs the bytes asks for them: `data()`, `into_data()`, or the public field. Keys
//! are shown, because they have at most 256 characters wherever the service accepts them, and identify the record.

use core::fmt;

/// A number of bytes, for `Debug` implementations that hide the bytes themselves.
#[derive(Clone, Copy)]
pub struct ByteCount(pub usize);

impl fmt::Debug for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            count => write!(f, "{count} bytes"),
        }
    }
}
