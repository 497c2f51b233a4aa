//! A record processor that does what its records say, and that prints a lot. It makes a checkpoint after each record, unless it has an
//! argument.

use std::process::Command;

use kpl_kcl::{Handler, RawRecord, Received, RunError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RunError> {
    tracing_subscriber::fmt().without_time().with_ansi(false).init();
    let handler = Handler::per_record(handle);
    match std::env::args().nth(1) {
        Some(_) => handler.run().await,
        None => handler.checkpoint_after(1).run().await,
    }
}

async fn handle(record: Received<RawRecord>) -> Result<(), String> {
    match record.value.data.as_slice() {
        b"print" => {
            println!("printed");
            print!("{{\"action\":\"status\",\"responseFor\":\"processRecords\"}}");
        }
        b"start" => {
            let status = Command::new("echo").arg("printed by another process").status();
            status.map_err(|error| error.to_string())?;
        }
        b"read" => {
            let read = Command::new("cat").output().map_err(|error| error.to_string())?;
            assert!(
                read.stdout.is_empty(),
                "another process has read {} bytes",
                read.stdout.len()
            );
            let read = Command::new("cat").stdin(std::process::Stdio::inherit()).output();
            assert!(
                read.map_err(|error| error.to_string())?.stdout.is_empty(),
                "another process has read messages"
            );
        }
        b"wait" => std::future::pending().await,
        b"panic" => panic!("the record says so"),
        b"fail" => return Err("the record says so".to_owned()),
        _ => {}
    }
    Ok(())
}
