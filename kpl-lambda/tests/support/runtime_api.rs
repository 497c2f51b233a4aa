//! The Lambda runtime API on loopback, for functions in a child process:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request of the function.
#[derive(Debug)]
pub(crate) enum Said {
    /// It asks for an event.
    Next,
    /// The answer to an event, or its failure: the last part of the path and the body.
    Answer { kind: String, body: String },
}

/// A function in a child process. It is killed when this is dropped.
pub(crate) struct Function {
    child: Killed,
    events: Sender<String>,
    said: Receiver<Said>,
    printed: JoinHandle<String>,
}

impl Function {
    /// Starts the function.
    pub(crate) fn start(mut command: Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (events, next) = channel();
        let (say, said) = channel();
        let next = Arc::new(Mutex::new(next));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (next, say) = (Arc::clone(&next), say.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &next, &say));
            }
        });
        let mut child = command
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "handler")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Otherwise a function that prints a lot would block.
        let mut stdout = child.stdout.take().unwrap();
        let printed = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Self {
            child: Killed(child),
            events,
            said,
            printed,
        }
    }

    /// Returns the next request of the function.
    pub(crate) fn said(&self) -> Said {
        self.said
            .recv_timeout(Duration::from_secs(60))
            .expect("the function says something")
    }

    /// Sends it an event once it has asked for one. Returns the last part of the path that it answers to, and the body.
    pub(crate) fn invoke(&self, event: String) -> (String, String) {
        self.events.send(event).unwrap();
        loop {
            if let Said::Answer { kind, body } = self.said() {
                return (kind, body);
            }
        }
    }

    /// Stops it, and returns what it printed.
    pub(crate) fn stop(self) -> String {
        drop(self.child);
        self.printed.join().unwrap()
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Answers the requests of one connection until it ends.
fn serve(stream: &TcpStream, next: &Mutex<Receiver<String>>, say: &Sender<Said>) {
    let mut reader = BufReader::new(stream);
    while let Some((path, body)) = request(&mut reader) {
        let (status, headers, answer) = if path.ends_with("/runtime/invocation/next") {
            drop(say.send(Said::Next));
            let Ok(event) = next.lock().unwrap().recv() else { return };
            let headers = "lambda-runtime-aws-request-id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n\
                lambda-runtime-deadline-ms: 4102444800000\r\n\
                lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:handler\r\n\
                content-type: application/json\r\n";
            ("200 OK", headers, event)
        } else {
            let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
            drop(say.send(Said::Answer { kind, body }));
            ("202 Accepted", "", String::new())
        };
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", answer.len());
        let mut stream = stream;
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(answer.as_bytes()))
            .is_err()
        {
            return;
        }
    }
}

/// Returns the path and the body of the next request, or `None` if the connection was closed.
fn request(reader: &mut BufReader<&TcpStream>) -> Option<(String, String)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|len| *len > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut chunked) = (0, false);
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.trim().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("transfer-encoding", value)) => chunked = value == "chunked",
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let len = usize::from_str_radix(line.trim(), 16).unwrap();
            reader.take(len as u64).read_to_end(&mut body).ok()?;
            reader.read_line(&mut line).ok()?;
            if len == 0 {
                break;
            }
        }
    } else {
        reader.take(length).read_to_end(&mut body).ok()?;
    }
    Some((path, String::from_utf8(body).unwrap()))
}
