//! A runner as a process, which is asked line by line and may hang, end, or say anything.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::compare::cut;
use crate::expand::MAX_LEN;

/// The most bytes that an answer may have: as many as a vector in full.
pub const MAX_ANSWER: u64 = MAX_LEN as u64;

/// How long a runner may take to end once its input has ended.
const TIME_TO_END: Duration = Duration::from_secs(5);

/// What answers requests: a [`Runner`], or in the same process a function from a request to an answer, such as
/// [`answer`](crate::answer).
pub trait Implementation {
    /// Sends a request and returns the line that answers it.
    ///
    /// # Errors
    ///
    /// [`RunnerError`] if there is no answer. The implementation is then of no more use.
    fn ask(&mut self, request: &Value) -> Result<String, RunnerError>;
}

impl<F: FnMut(&str) -> String> Implementation for F {
    fn ask(&mut self, request: &Value) -> Result<String, RunnerError> {
        Ok(self(&request.to_string()))
    }
}

/// A runner's process. Dropping it ends the process, and on Unix those that it has started as well.
#[derive(Debug)]
pub struct Runner {
    child: Child,
    /// `None` once it gets no more requests.
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<io::Result<Vec<u8>>>,
    timeout: Duration,
    is_lost: bool,
}

impl Runner {
    /// Starts a runner, which gets `timeout` for each answer. Its standard error is that of this process, unless the command says
    /// something else. On Unix it leads a process group of its own.
    ///
    /// # Errors
    ///
    /// [`RunnerError::Start`] if the command cannot be started.
    pub fn start(command: &mut Command, timeout: Duration) -> Result<Self, RunnerError> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = command.spawn().map_err(RunnerError::Start)?;
        let (requests, to_write) = channel::<Vec<u8>>();
        // A runner that writes what was not asked for has to wait.
        let (read, answers) = sync_channel(1);
        let stdin = child.stdin.take();
        let stdout = child.stdout.take();
        // One thread each, so that a runner that neither reads nor writes is noticed.
        thread::spawn(move || {
            let Some(mut stdin) = stdin else { return };
            for request in to_write {
                // A runner that has ended is noticed by its answer, which does not come.
                if stdin.write_all(&request).and_then(|()| stdin.flush()).is_err() {
                    break;
                }
            }
        });
        thread::spawn(move || {
            let Some(stdout) = stdout else { return };
            let mut stdout = BufReader::new(stdout);
            loop {
                let mut line = Vec::new();
                let result = stdout.by_ref().take(MAX_ANSWER).read_until(b'\n', &mut line);
                let is_end = matches!(result, Ok(0));
                if is_end || read.send(result.map(|_| line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            requests: Some(requests),
            answers,
            timeout,
            is_lost: false,
        })
    }

    fn answer_to(&mut self, line: Vec<u8>) -> Result<String, RunnerError> {
        match self.answers.try_recv() {
            Ok(Ok(line)) => return Err(RunnerError::Unasked(text_of(line)?)),
            Ok(Err(error)) => return Err(RunnerError::Read(error)),
            Err(TryRecvError::Disconnected) => return Err(self.ended()),
            Err(TryRecvError::Empty) => {}
        }
        let sent = self.requests.as_ref().map(|requests| requests.send(line));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.ended());
        }
        let mut answer = match self.answers.recv_timeout(self.timeout) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(RunnerError::Read(error)),
            Err(RecvTimeoutError::Timeout) => return Err(RunnerError::Timeout(self.timeout)),
            Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
        };
        match answer.pop() {
            Some(b'\n') => {}
            _ if answer.len() as u64 + 1 >= MAX_ANSWER => return Err(RunnerError::TooLong),
            _ => return Err(self.ended()),
        }
        text_of(answer)
    }

    fn ended(&mut self) -> RunnerError {
        self.requests = None;
        RunnerError::Ended(self.status_within(TIME_TO_END))
    }

    /// Returns how the process has ended, if it does so in time.
    fn status_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if start.elapsed() < time => thread::sleep(Duration::from_millis(5)),
                _ => return None,
            }
        }
    }
}

impl Implementation for Runner {
    fn ask(&mut self, request: &Value) -> Result<String, RunnerError> {
        let mut line = request.to_string().into_bytes();
        line.push(b'\n');
        let answer = self.answer_to(line);
        self.is_lost |= answer.is_err();
        answer
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.requests = None;
        // A runner that still writes is then told so by the system.
        self.answers = channel().1;
        let time = if self.is_lost { Duration::ZERO } else { TIME_TO_END };
        if self.status_within(time).is_none() {
            // The process has not been waited for, so that its number is still its own.
            #[cfg(unix)]
            if let Some(group) = i32::try_from(self.child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn text_of(line: Vec<u8>) -> Result<String, RunnerError> {
    String::from_utf8(line).map_err(|_| RunnerError::NotText)
}

/// Why a runner did not answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunnerError {
    /// The command cannot be started.
    Start(io::Error),
    /// It did not answer in time.
    Timeout(Duration),
    /// It ended, perhaps in the middle of a line. This is how, if it really did and did not only close its output.
    Ended(Option<ExitStatus>),
    /// Its output cannot be read.
    Read(io::Error),
    /// Its answer has more than [`MAX_ANSWER`] bytes.
    TooLong,
    /// Its answer is not UTF-8.
    NotText,
    /// It wrote a line before it was asked.
    Unasked(String),
    /// It wrote a line that is not an answer to what it was asked.
    NotAnAnswer {
        /// The line.
        line: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl RunnerError {
    /// Returns the line that was written, if there was one.
    pub(crate) fn into_line(self) -> Option<String> {
        match self {
            Self::Unasked(line) | Self::NotAnAnswer { line, .. } => Some(line),
            _ => None,
        }
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the runner cannot be started: {error}"),
            Self::Timeout(timeout) => write!(f, "the runner did not answer within {} s", timeout.as_secs_f64()),
            Self::Ended(Some(status)) => write!(f, "the runner ended instead of answering: {status}"),
            Self::Ended(None) => f.write_str("the runner closed its output instead of answering"),
            Self::Read(error) => write!(f, "the answer of the runner cannot be read: {error}"),
            Self::TooLong => write!(f, "the answer of the runner has more than {MAX_ANSWER} bytes"),
            Self::NotText => f.write_str("the answer of the runner is not UTF-8"),
            Self::Unasked(line) => write!(f, "the runner wrote a line before it was asked: {}", short(line)),
            Self::NotAnAnswer { line, problem } => {
                write!(f, "the line is not an answer, because {problem}: {}", short(line))
            }
        }
    }
}

fn short(line: &str) -> String {
    cut(format!("{:?}", line.trim_end()), 120)
}

impl Error for RunnerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start(error) | Self::Read(error) => Some(error),
            _ => None,
        }
    }
}
