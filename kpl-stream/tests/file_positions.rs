//! Positions in a file.

use std::fs;
use std::path::PathBuf;

use kpl_stream::reader::{FilePositions, Positions as _, StreamPositions};

/// Returns a directory of the test's own.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("file-positions-{test}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn states(states: &[(&str, &str)]) -> StreamPositions {
    let states = states.iter();
    let states = states.map(|(shard, state)| ((*shard).to_owned(), state.parse().unwrap()));
    StreamPositions::new(None, states.collect())
}

#[tokio::test]
async fn states_are_kept_by_stream_and_shard() {
    let folder = folder("kept");
    let path = folder.join("positions.txt");
    let positions = FilePositions::new(&path);
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[]));

    positions
        .save("clicks", &states(&[("a", "TRIM_HORIZON"), ("b", "49:3")]))
        .await
        .unwrap();
    positions
        .save("orders", &states(&[("a", "AT_TIMESTAMP 17.5")]))
        .await
        .unwrap();
    positions
        .save("clicks", &states(&[("a", "SHARD_END"), ("c", "7:0")]))
        .await
        .unwrap();

    let later = FilePositions::new(&path);
    let clicks = states(&[("a", "SHARD_END"), ("b", "49:3"), ("c", "7:0")]);
    assert_eq!(later.load("clicks").await.unwrap(), clicks);
    assert_eq!(
        later.load("orders").await.unwrap(),
        states(&[("a", "AT_TIMESTAMP 17.5")])
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[tokio::test]
async fn many_savers_lose_nothing() {
    let positions = FilePositions::new(folder("many").join("positions.txt"));
    let savers = (0..32).map(|number| {
        let positions = positions.clone();
        tokio::spawn(async move {
            let shard = format!("shard-{number}");
            positions.save("clicks", &states(&[(&shard, "1:2")])).await.unwrap();
        })
    });
    for saver in savers.collect::<Vec<_>>() {
        saver.await.unwrap();
    }
    assert_eq!(positions.load("clicks").await.unwrap().shards.len(), 32);
}

#[tokio::test]
async fn what_is_no_position_is_told_with_its_line_and_kept() {
    let path = folder("invalid").join("positions.txt");
    for (text, named) in [
        (
            "clicks a 1:2\nclicks b",
            "line 2 is not STREAM SHARD STATE, but \"clicks b\"",
        ),
        ("clicks a 1:x\n", "line 1: a shard's state"),
    ] {
        fs::write(&path, text).unwrap();
        let positions = FilePositions::new(&path);
        let error = positions.load("clicks").await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("positions.txt"), "{error}");
        positions.save("clicks", &states(&[("a", "1:3")])).await.unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_told() {
    let folder = folder("unwritable");
    let positions = FilePositions::new(folder.join("missing").join("positions.txt"));
    let error = positions.save("clicks", &states(&[("a", "1:3")])).await.unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");

    let path = folder.join("positions.txt");
    let error = FilePositions::new(&path)
        .save("two words", &states(&[("a", "1:3")]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("\"two words\""), "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn the_identity_of_a_stream_is_kept_with_its_states() {
    let path = folder("identity").join("positions.txt");
    let positions = FilePositions::new(&path);
    let identity = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks 1700000000.25";
    let mut clicks = states(&[("a", "49:3")]);
    positions.save("clicks", &clicks).await.unwrap();
    clicks.identity = Some(identity.parse().unwrap());
    positions.save("clicks", &clicks).await.unwrap();
    // Without an identity, the one that is known stays.
    positions.save("clicks", &states(&[("b", "7:0")])).await.unwrap();
    positions.save("orders", &states(&[("a", "1:0")])).await.unwrap();
    clicks.shards.extend(states(&[("b", "7:0")]).shards);
    assert_eq!(positions.load("clicks").await.unwrap(), clicks);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        format!("clicks @ {identity}\nclicks a 49:3\nclicks b 7:0\norders a 1:0\n")
    );

    positions.remove("clicks").await.unwrap();
    assert_eq!(positions.load("clicks").await.unwrap(), states(&[]));
    assert_eq!(positions.load("orders").await.unwrap(), states(&[("a", "1:0")]));
}
