//! A record processor that does what its records say, and that prints a lot.

use std::process::Command;

use kpl_kcl::{Handler, RawRecord, Received, RunError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), RunError> {
    tracing_subscriber::fmt().without_time().with_ansi(false).init();
    Handler::per_record(handle).checkpoint_after(1).run().await
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
        b"wait" => std::future::pending().await,
        b"panic" => panic!("the record says so"),
        b"fail" => return Err("the record says so".to_owned()),
        _ => {}
    }
    Ok(())
}
