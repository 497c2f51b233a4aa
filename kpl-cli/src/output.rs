//! JSON on standard output.

mod unpacked;

use std::io::{self, BufWriter, StdoutLock, Write};

use data_encoding::BASE64;
use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::draw::{DATA, KEY};
use crate::problems::Stop;
use crate::terminal;

#[cfg(test)]
pub(crate) use self::unpacked::json;
pub(crate) use self::unpacked::{Data, Unpacked};

/// Serializes bytes as base64, for [`Lines`].
pub(crate) fn base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut json = String::with_capacity(BASE64.encode_len(data.len()) + 2);
    json.push('"');
    BASE64.encode_append(data, &mut json);
    json.push('"');
    verbatim(&json, serializer)
}

/// Serializes what is JSON already, for [`Lines`]. `RawValue` would do it for every serializer, but its feature makes
/// serde_json read its input 20 % more slowly.
fn verbatim<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(json.as_bytes())
}

/// Writes compact JSON, with bytes as they are: [`verbatim`].
struct Verbatim;

/// Writes compact JSON in colours, with bytes as they are.
struct Coloured;

impl Formatter for Coloured {
    fn write_byte_array<W: Write + ?Sized>(&mut self, writer: &mut W, json: &[u8]) -> io::Result<()> {
        write!(writer, "{DATA}")?;
        writer.write_all(json)?;
        write!(writer, "{DATA:#}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        write!(writer, "{}{KEY}", if first { "" } else { "," })
    }

    fn end_object_key<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        write!(writer, "{KEY:#}")
    }
}

impl Formatter for Verbatim {
    fn write_byte_array<W: Write + ?Sized>(&mut self, writer: &mut W, json: &[u8]) -> io::Result<()> {
        writer.write_all(json)
    }
}

/// JSON values, one a line.
#[derive(Debug)]
pub(crate) struct Lines {
    out: BufWriter<StdoutLock<'static>>,
    line: Vec<u8>,
    arrival: unpacked::Seconds,
    is_coloured: bool,
    /// Whether characters that can control a terminal are escaped.
    is_guarded: bool,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, io::stdout().lock()),
            line: Vec::new(),
            arrival: unpacked::Seconds::default(),
            is_coloured: terminal::is_coloured(),
            is_guarded: terminal::is_guarded(),
        }
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        self.value(value)?;
        self.text("\n")
    }

    /// Writes a user record that was unpacked, as a line.
    pub(crate) fn unpacked(&mut self, record: &Unpacked<'_>) -> Result<(), Stop> {
        self.line.clear();
        record.write(&mut self.line, &mut self.arrival, self.is_coloured)?;
        self.line.push(b'\n');
        self.write()
    }

    /// Writes a value without ending the line.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Result<(), Stop> {
        self.line.clear();
        let serialized = if self.is_coloured {
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut self.line, Coloured))
        } else {
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut self.line, Verbatim))
        };
        serialized.map_err(io::Error::from)?;
        self.write()
    }

    fn write(&mut self) -> Result<(), Stop> {
        if self.is_guarded {
            return Ok(self.out.write_all(&terminal::escaped_json(&self.line))?);
        }
        Ok(self.out.write_all(&self.line)?)
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Stop> {
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// Writes what is buffered, so that the reader of the output has everything.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }
}

/// Writes a value as one JSON document, indented, without holding all of it. `anstream`, which drawings are written to, might
/// remove control characters that JSON does not escape.
pub(crate) fn document(value: &impl Serialize) -> Result<(), Stop> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let written = match terminal::is_guarded() {
        true => serde_json::to_writer_pretty(Guarded(&mut out), value),
        false => serde_json::to_writer_pretty(&mut out, value),
    };
    written.map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a page of HTML, in which nothing controls a terminal.
pub(crate) fn page(html: &str) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    out.write_all(html.as_bytes())?;
    Ok(out.flush()?)
}

/// Escapes the characters in JSON that can control a terminal. serde_json does not write parts of characters.
struct Guarded<W>(W);

impl<W: Write> Write for Guarded<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        self.0.write_all(&terminal::escaped_json(json))?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Checks that standard output can be written to at all. Writing to one that is open only for reading is not an error to
/// the standard library.
#[cfg(unix)]
pub(crate) fn check() -> Result<(), Stop> {
    use rustix::fs::OFlags;

    let flags = rustix::fs::fcntl_getfl(io::stdout()).map_err(io::Error::from)?;
    if flags & OFlags::RWMODE == OFlags::RDONLY {
        return Err(Stop::Output(rustix::io::Errno::BADF.into()));
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn check() -> Result<(), Stop> {
    Ok(())
}
