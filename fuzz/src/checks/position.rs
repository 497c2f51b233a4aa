use super::input::{Input, Owned};
use super::reading::{self, Reading};
use kpl::{HashKeyRange, KinesisRecord, MalformedPolicy, Position, StrayPolicy};

/// Any batch, read after any position and within any range: what is left out is what must be, and it is counted.
pub fn position(data: &[u8]) {
    let mut input = Input::new(data);
    check_text(&mut input);
    let (place, step) = (input.below(64), input.byte());
    let (one, other) = (input.hash_key(), input.hash_key());
    let range = HashKeyRange::try_from(one.min(other)..=one.max(other)).expect("the ends are in order");
    let malformed = input.choose(&[MalformedPolicy::Deliver, MalformedPolicy::Error]);
    let (number, sub) = (input.number() % 300, input.number());
    let batch = input.batch();
    let batch: Vec<KinesisRecord<'_>> = batch.iter().map(Owned::record).collect();

    let whole = Reading {
        malformed,
        ..Reading::default()
    };
    let all = reading::check(&batch, &whole).items;
    let mut positions = vec![None, Position::new(&number.to_string(), sub).ok()];
    // At a record of the batch, or just before or after it.
    let near = all.get(place % all.len().max(1)).and_then(|item| item.position.clone());
    positions.extend(near.map(|mut near| {
        let sub = &mut near.sub_sequence_number;
        *sub = match step & 3 {
            0 => sub.saturating_sub(1),
            1 => sub.saturating_add(1),
            _ => *sub,
        };
        Some(near)
    }));
    for after in positions {
        for strays in [
            None,
            Some(StrayPolicy::Keep),
            Some(StrayPolicy::DropStrays),
            Some(StrayPolicy::DropAggregate),
        ] {
            let reading = Reading {
                after: after.clone(),
                range: strays.map(|strays| (range, strays)),
                malformed,
            };
            let read = reading::check(&batch, &reading);
            let seen = read.items.len() + read.dropped.len() + read.counts.skipped as usize;
            assert_eq!(seen, all.len(), "nothing is left out that is not counted");
            // If every record has a position, exactly those after it are returned.
            if let (Some(after), None) = (&after, strays)
                && all.iter().all(|item| item.position.is_some())
            {
                let behind = all.iter().filter(|item| is_behind(item, after));
                assert!(read.items.iter().eq(behind));
            }
        }
    }
}

fn is_behind(item: &reading::Item, after: &Position) -> bool {
    item.position.as_ref().is_some_and(|position| position > after)
}

/// A string that is a valid position is written as the same position.
fn check_text(input: &mut Input<'_>) {
    let text = input.text();
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(position.to_string().parse(), Ok(position.clone()));
        let (number, sub) = text.split_once(':').expect("a position has a colon");
        assert_eq!(Position::new(number, sub.parse().expect("digits")), Ok(position));
    }
}
