//! The server, and how large a request it takes.

use aws_sdk_kinesis::error::ProvideErrorMetadata as _;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kpl_testkit::server::Server;
use kpl_testkit::{aggregate_into_one, raw};

/// Puts records whose data have these sizes in one request. Returns the status and the code of a refusal.
async fn put(server: &Server, sizes: &[usize]) -> Result<(), (u16, String)> {
    let entries = sizes.iter().enumerate().map(|(number, size)| {
        let entry = PutRecordsRequestEntry::builder().partition_key(number.to_string());
        entry.data(Blob::new(vec![b'x'; *size])).build().unwrap()
    });
    let request = server.sdk().put_records().stream_name("clicks");
    match request.set_records(Some(entries.collect())).send().await {
        Ok(answer) => {
            assert_eq!(answer.failed_record_count, Some(0));
            Ok(())
        }
        Err(error) => {
            let status = error.raw_response().expect("an answer").status().as_u16();
            Err((status, error.code().unwrap_or_default().to_owned()))
        }
    }
}

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_request_of_5_mib_is_taken() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    // With the five keys of one byte exactly 5 MiB.
    put(&server, &[MIB - 1; 5]).await.unwrap();
    assert_eq!(server.records("clicks").await.len(), 5);
}

/// The service takes up to 10 MiB. ferrokinesis 0.7 does not, but the HTTP server accepts the request.
#[tokio::test]
async fn a_request_of_9_mib_is_refused_by_the_service_and_not_by_http() {
    let server = Server::start().await;
    server.create_stream("clicks", 2).await;
    let refused = put(&server, &[MIB - 1; 9]).await.unwrap_err();
    assert_eq!(refused, (400, "InvalidArgumentException".to_owned()));
}

#[tokio::test]
async fn a_request_above_the_body_limit_is_refused_with_413() {
    for (limit, sizes) in [(None, &[MIB - 1; 2][..]), (Some(1000), &[1000])] {
        let server = Server::builder().body_limit(limit).start().await;
        server.create_stream("clicks", 1).await;
        put(&server, &[500]).await.unwrap();
        let (status, _) = put(&server, sizes).await.unwrap_err();
        assert_eq!(status, 413, "{limit:?}");
    }
}

#[test]
fn code_without_async_splits_merges_puts_and_reads() {
    let server = Server::builder().start_blocking();
    let run = |data: &str| {
        server.block_on(async {
            let shards = server.put("clicks", [aggregate_into_one(&[raw("key", data)])]).await;
            server.put_record("clicks", "key", data.as_bytes()).await;
            shards
        })
    };
    server.block_on(server.create_stream("clicks", 1));
    assert_eq!(run("0"), ["shardId-000000000000"]);
    server.block_on(server.split("clicks", "shardId-000000000000"));
    run("1");
    server.block_on(server.merge("clicks", "shardId-000000000001", "shardId-000000000002"));
    assert_eq!(run("2"), ["shardId-000000000003"]);

    assert_eq!(server.block_on(server.shards("clicks")).len(), 4);
    let records = server.block_on(server.records("clicks"));
    assert_eq!(records.len(), 6);
    let of_last = server.block_on(server.records_of("clicks", "shardId-000000000003"));
    assert_eq!(of_last[1].data.as_ref(), b"2");
}
