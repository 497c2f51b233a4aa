//! A handler that is written once works with Lambda and with a reader.

mod support;

use std::sync::Mutex;

use kpl_core::{Aggregator, RawRecord};
use kpl_lambda::Handler;
use kpl_stream::aws::{AwsClient, ToSdk as _};
use kpl_stream::{Reader, Received};
use kpl_testkit::server::Server;
use support::{Line, aggregate, event, failed};

static HANDLED: Mutex<Vec<String>> = Mutex::new(Vec::new());

async fn handle(line: Received<Line>) -> Result<(), std::convert::Infallible> {
    let is_of_a_shard = line.shard_id().is_some() && line.position().is_some();
    let of = (line.partition_key(), line.sub_sequence_number(), is_of_a_shard);
    HANDLED.lock().unwrap().push(format!("{} {of:?}", line.value.text));
    Ok(())
}

#[tokio::test]
async fn one_function_serves_both() {
    let lines = [("abc", "one"), ("def", "two")];
    let response = Handler::per_record(handle).handle(&event(&[aggregate(&lines)])).await;
    assert!(failed(&response.unwrap()).is_empty());
    let of_lambda = std::mem::take(&mut *HANDLED.lock().unwrap());

    let server = Server::start().await;
    server.create_stream("lines", 1).await;
    let records = lines.map(|(key, text)| RawRecord::new(key, text));
    let sealed: Vec<_> = Aggregator::<RawRecord>::new()
        .aggregate(records)
        .collect::<Result<_, _>>()
        .unwrap();
    let put = server.sdk().put_records().stream_name("lines");
    let entries = sealed.into_iter().map(|record| record.to_sdk()).collect();
    put.set_records(Some(entries)).send().await.unwrap();
    let client = AwsClient::new(server.config());
    let mut reader = Reader::<Line>::builder().client(client).build("lines").await.unwrap();
    for _ in lines {
        handle(reader.next().await.unwrap().unwrap()).await.unwrap();
    }
    let of_reader = std::mem::take(&mut *HANDLED.lock().unwrap());

    assert_eq!(of_reader, of_lambda);
    assert_eq!(
        of_lambda,
        [r#"one (Some("abc"), 0, true)"#, r#"two (Some("def"), 1, true)"#]
    );
}
