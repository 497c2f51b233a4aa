//! Reading without copying: a type that borrows its strings from the Kinesis record.
//!
//! ```text
//! cargo run --example borrowed_views
//! ```

use std::error::Error;

use kpl::codec::{Decode, Encode, Json};
use kpl::{Aggregator, Deaggregator, KinesisRecord, KplRecord};
use serde::{Deserialize, Serialize};

/// Lives as long as the batch that it was read from. Reading one takes no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, KplRecord)]
#[kpl(codec = kpl::codec::Postcard)]
struct LogLine<'a> {
    #[kpl(partition_key)]
    host: &'a str,
    text: &'a str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let lines = [
        LogLine {
            host: "web-1",
            text: "GET / 200",
        },
        LogLine {
            host: "web-2",
            text: "GET /favicon.ico 404",
        },
        LogLine {
            host: "web-1",
            text: "GET /search?q=\"kinesis\" 200",
        },
    ];
    let mut aggregator = Aggregator::<LogLine<'_>>::new();
    let mut sealed = Vec::new();
    for line in &lines {
        sealed.extend(aggregator.push(line)?);
    }
    sealed.extend(aggregator.finish());

    let batch: Vec<KinesisRecord<'_>> = sealed.iter().map(KinesisRecord::from).collect();
    let received = Deaggregator::<LogLine<'_>>::new()
        .records(&batch)
        .map(|record| Ok(record?.value))
        .collect::<Result<Vec<LogLine<'_>>, kpl::DeaggregateError>>()?;
    assert_eq!(received, lines);

    println!("the Kinesis record has {} bytes; inside it are\n", batch[0].data.len());
    for line in received {
        println!(
            "  at {:3}  {}",
            offset_in(batch[0].data, line.text).ok_or("the text was copied")?,
            line.text
        );
    }

    // Json borrows as well, but only text without escapes. The last line has quotes: such a type needs `Cow<'a, str>`.
    let mut json = Vec::new();
    Json::encode(&lines[2], &mut json)?;
    let escaped: Result<LogLine<'_>, _> = Json::decode(&json);
    println!("\nas Json: {}", escaped.expect_err("the text has quotes"));
    Ok(())
}

/// Returns where in `data` a string lies, if it lies there.
fn offset_in(data: &[u8], text: &str) -> Option<usize> {
    let range = data.as_ptr_range();
    let start = text.as_ptr();
    range.contains(&start).then(|| start.addr() - range.start.addr())
}
