//! Told exactly: attempts are counted, a flush leaves no record waiting, and lost aggregation is said.

use std::time::{Duration, Instant};

use kpl_core::RawRecord;
use kpl_stream::{Delivery, Producer, ProducerBuilder, StreamProducer, StreamState};
use kpl_testkit::throttling::{Fault, ThrottlingServer};

use crate::Result;
use crate::report::Report;

pub(crate) async fn measure(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    for by_drop in [false, true] {
        in_flight_at_the_end(server, by_drop, report).await?;
    }
    for kind in [Kind::Plain, Kind::Ordered, Kind::Auto] {
        for close in [false, true] {
            flush(server, kind, close, report).await?;
        }
    }
    aggregation_lost(server, report).await
}

async fn builder(server: &ThrottlingServer) -> ProducerBuilder {
    Producer::builder().load_aws_config(&server.config("told").await)
}

/// A record that was in flight when the producer was closed or dropped has one attempt.
async fn in_flight_at_the_end(server: &ThrottlingServer, by_drop: bool, report: &mut Report) -> Result<()> {
    let name = format!("told-in-flight-{by_drop}");
    server.create_stream(&name, 1, None);
    server.fail_puts(&name, Some(Fault::NoAnswer));
    let producer = builder(server).await.build()?;
    let stream = producer.stream(&name).await?;
    let delivery = stream.send(RawRecord::new("key", "data")).await?;
    let started = Instant::now();
    while server.counts(&name).requests == 0 {
        if started.elapsed() > Duration::from_secs(5) {
            return Err("the record was not sent".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(stream);
    let how = if by_drop { "dropped" } else { "closed" };
    if by_drop {
        drop(producer);
    } else if producer.close(Duration::ZERO).await.is_ok() {
        return Err("a record without an outcome was not returned".into());
    }
    let name = format!("in flight when the producer is {how}: attempts");
    match delivery.await {
        Ok(_) => report.figure(name, "delivered", "1", false),
        Err(error) => {
            let attempts = error.failure.attempts().len();
            report.figure(name, attempts, "1", attempts == 1);
            report.note(error);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    /// With the option `ordered`, and one key.
    Ordered,
    /// The stream says that it ignores keys, after the records were accepted.
    Auto,
}

/// A flush sends records that could wait for 10 s, and waits for their outcomes.
async fn flush(server: &ThrottlingServer, kind: Kind, close: bool, report: &mut Report) -> Result<()> {
    let name = match kind {
        Kind::Plain => "plain",
        Kind::Ordered => "ordered",
        Kind::Auto => "auto",
    };
    let stream_name = format!("told-flush-{name}-{close}");
    server.create_stream(&stream_name, 2, None);
    if kind == Kind::Auto {
        server.set_auto(&stream_name);
    }
    let builder = builder(server).await.record_max_buffered_time(Duration::from_secs(10));
    let producer = builder.ordered(kind == Kind::Ordered).build()?;
    let stream: StreamProducer<RawRecord> = match kind {
        Kind::Auto => producer.stream_unchecked(&stream_name).await?,
        _ => producer.stream(&stream_name).await?,
    };
    let mut deliveries = Vec::new();
    for _ in 0..100 {
        deliveries.push(stream.send(RawRecord::new("key", "data")).await?);
    }
    let started = Instant::now();
    let what = if close {
        producer.close(Duration::from_secs(20)).await?;
        "close"
    } else {
        producer.flush().await;
        "flush"
    };
    let took = started.elapsed();
    let without = deliveries
        .iter()
        .filter(|delivery| !Delivery::is_done(delivery))
        .count();
    report.figure(
        format_args!("{what} of 100 records that may wait 10 s, {name}"),
        format_args!("{:.3} s, {without} without an outcome", took.as_secs_f64()),
        "< 1 s, 0",
        took < Duration::from_secs(1) && without == 0,
    );
    Ok(())
}

/// A stream whose shards may not be listed says that its records are not aggregated.
async fn aggregation_lost(server: &ThrottlingServer, report: &mut Report) -> Result<()> {
    server.create_stream("told-unlisted", 1, None);
    server.fail_listings("told-unlisted", Some(Fault::Denied));
    let producer = builder(server).await.build()?;
    let stream: StreamProducer<RawRecord> = producer.stream("told-unlisted").await?;
    let state = stream.state().await?;
    let shown = match &state {
        StreamState::Unpredicted(error) => format!("Unpredicted: {}", error.code),
        other => format!("{other:?}"),
    };
    let said = matches!(state, StreamState::Unpredicted(_));
    report.figure("aggregation lost: state()", shown, "Unpredicted", said);
    Ok(())
}
