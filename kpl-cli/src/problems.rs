//! What goes wrong: where it is reported, and the exit code that it leads to.

use std::fmt::{self, Display};
use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::terminal;

/// Some of the input is not valid.
const DATA: u8 = 1;
/// The command cannot do what it was asked to do.
pub(crate) const USAGE: u8 = 2;
/// The service refused a request or cannot be reached.
#[cfg(feature = "stream")]
const SERVICE: u8 = 3;

/// Where something is in the input.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Location<'a> {
    pub(crate) file: &'a str,
    /// The first line is 1; `None` in bytes that do not have lines.
    pub(crate) line: Option<u64>,
    /// The number of the record in the file. The first is 1.
    pub(crate) record: Option<u64>,
    pub(crate) sequence_number: Option<&'a str>,
    /// The sub-sequence number of the user record.
    pub(crate) user_record: Option<u64>,
}

impl Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(record) = self.record {
            write!(f, ": record {record}")?;
        }
        if let Some(number) = self.sequence_number {
            write!(f, " (sequence number {number})")?;
        }
        if let Some(user_record) = self.user_record {
            write!(f, ", user record {user_record}")?;
        }
        Ok(())
    }
}

/// The problems of the input so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// Whether the command stops at the first one.
    pub(crate) strict: bool,
    left_out: bool,
    found: bool,
    #[cfg(feature = "stream")]
    not_delivered: bool,
}

impl Problems {
    /// Reports input that does not come out at all.
    pub(crate) fn left_out(&mut self, location: Location<'_>, problem: impl Display) -> Result<(), Stop> {
        self.left_out = true;
        tell(format_args!("{location}: {problem}"));
        if self.strict { Err(Stop::Data) } else { Ok(()) }
    }

    /// Notes that the output names problems.
    pub(crate) fn found(&mut self) {
        self.found = true;
    }

    /// Notes input that comes out marked. It is reported only if the command stops at it.
    pub(crate) fn marked(&mut self, location: Location<'_>, problem: impl Display) -> Result<(), Stop> {
        if !self.strict {
            return Ok(());
        }
        tell(format_args!("{location}: {problem}"));
        Err(Stop::Data)
    }

    /// Reports data that comes out as it is, instead of what was asked for.
    pub(crate) fn unchanged(&mut self, location: Location<'_>, problem: impl Display) -> Result<(), Stop> {
        tell(format_args!("{location}: its data stays as it is: {problem}"));
        if self.strict { Err(Stop::Data) } else { Ok(()) }
    }

    /// Reports a record that was not delivered to a stream.
    #[cfg(feature = "stream")]
    pub(crate) fn not_delivered(&mut self, location: Location<'_>, problem: impl Display) -> Result<(), Stop> {
        self.not_delivered = true;
        tell(format_args!("{location}: {problem}"));
        if self.strict { Err(Stop::Undelivered) } else { Ok(()) }
    }

    /// Returns whether some of the input did not come out.
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out
    }

    /// Returns whether a record was not delivered to a stream.
    #[cfg(feature = "stream")]
    pub(crate) fn has_not_delivered(&self) -> bool {
        self.not_delivered
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        #[cfg(feature = "stream")]
        if self.not_delivered {
            return ExitCode::from(SERVICE);
        }
        if self.found || self.left_out {
            ExitCode::from(DATA)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// Why the command stops before the end of its input.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It has what it was asked for; the rest of the input does not matter.
    Enough,
    /// There is a problem in the input, and it was reported.
    Data,
    /// The command cannot do what it was asked to do.
    Usage(String),
    /// The output cannot be written.
    Output(io::Error),
    /// A signal asked it to end, and everything that it had read came out. This is the exit code.
    #[cfg(feature = "stream")]
    Interrupted(u8),
    /// A record was not delivered to a stream, and that was reported.
    #[cfg(feature = "stream")]
    Undelivered,
    /// The service refused a request or cannot be reached.
    #[cfg(feature = "stream")]
    Service(String),
}

impl Stop {
    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Enough => ExitCode::SUCCESS,
            Self::Data => ExitCode::from(DATA),
            // The reader of the output has enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Output(error) => {
                tell(format_args!("the output cannot be written: {error}"));
                ExitCode::from(DATA)
            }
            Self::Usage(problem) => {
                tell(problem);
                ExitCode::from(USAGE)
            }
            #[cfg(feature = "stream")]
            Self::Interrupted(code) => ExitCode::from(code),
            #[cfg(feature = "stream")]
            Self::Undelivered => ExitCode::from(SERVICE),
            #[cfg(feature = "stream")]
            Self::Service(problem) => {
                tell(problem);
                ExitCode::from(SERVICE)
            }
        }
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Writes a line to standard error. If that is closed, the line is lost.
pub(crate) fn tell(problem: impl Display) {
    let problem = problem.to_string();
    let problem = match terminal::is_guarded_stderr() {
        true => terminal::escaped(&problem),
        false => problem.as_str().into(),
    };
    let _ = writeln!(io::stderr().lock(), "kpl: {problem}");
}
