use super::input::Input;
use super::writing::{Options, Record, Sealed, as_readers_get, contents, is_key};
use kpl::{AggregateError, Aggregator, UnsealedRecord, seal_all};

/// Any records and any options: what comes out is, byte for byte, what the rules say, it reads as what went in, and
/// sizes are exact after every push.
pub fn roundtrip(data: &[u8]) {
    let mut input = Input::new(data);
    let options = Options::new(&mut input);
    let built = options.builder::<Record>().build();
    assert_eq!(built.is_ok(), options.are_valid());
    let Ok(mut aggregator) = built else {
        return;
    };
    let mut sealed_later = aggregator.clone();
    let (mut sealed, mut unsealed) = (Vec::new(), Vec::<UnsealedRecord>::new());
    let (mut held, mut expected) = (Vec::<Record>::new(), Vec::<Vec<Record>>::new());

    for _ in 0..120 {
        if input.is_empty() {
            break;
        }
        if input.byte() == 0xFF {
            expected.extend((!held.is_empty()).then(|| std::mem::take(&mut held)));
            sealed.extend(aggregator.finish());
            unsealed.extend(sealed_later.finish_unsealed());
        } else {
            let record = Record::new(&mut input);
            let before = aggregator.size();
            match aggregator.push(&record) {
                Ok(full) => {
                    assert!(is_key(record.key()));
                    assert!(options.size_alone(&record) <= options.max_size);
                    sealed.extend(full);
                    held.push(record.clone());
                    if held.len() > 1 && options.aggregated_size(&held) > options.max_size {
                        let next = held.pop();
                        expected.push(std::mem::replace(&mut held, next.into_iter().collect()));
                    }
                    if held.len() >= options.max_count {
                        expected.push(std::mem::take(&mut held));
                    }
                    unsealed.extend(sealed_later.push_unsealed(&record).expect("the other one took it"));
                }
                Err(error) => {
                    assert_eq!(aggregator.size(), before);
                    match error {
                        AggregateError::PartitionKey(error) => {
                            assert_eq!(error.text, record.key());
                            assert!(!is_key(&error.text));
                        }
                        AggregateError::TooLarge {
                            partition_key,
                            size,
                            max_size,
                        } => {
                            assert_eq!(partition_key, record.key());
                            assert_eq!((size, max_size), (options.size_alone(&record), options.max_size));
                            assert!(size > max_size);
                        }
                        other => panic!("{other}"),
                    }
                }
            }
        }
        assert_eq!(sealed.len(), expected.len());
        check_held(&aggregator, &held, &options);
    }
    sealed.extend(aggregator.finish());
    unsealed.extend(sealed_later.finish_unsealed());
    expected.extend((!held.is_empty()).then_some(held));
    assert_eq!(aggregator.finish(), None);
    assert!(aggregator.is_empty());
    assert_eq!(seal_all(unsealed), sealed);

    assert_eq!(sealed.len(), expected.len());
    for (sealed, expected) in sealed.iter().zip(&expected) {
        let sealed = Sealed::from(sealed);
        assert_eq!(sealed, options.seal(expected));
        assert_eq!(contents(&sealed), as_readers_get(sealed.aggregated, expected));
        assert!(sealed.size() <= options.max_size);
        assert!(sealed.user_records <= options.max_count);
    }
}

/// The sizes that an aggregator reports are those of what it would return.
fn check_held(aggregator: &Aggregator<Record>, held: &[Record], options: &Options) {
    let sealed = aggregator.clone().finish().as_ref().map(Sealed::from);
    assert_eq!(sealed, (!held.is_empty()).then(|| options.seal(held)));
    assert_eq!(
        aggregator.data_size(),
        sealed.as_ref().map_or(0, |sealed| sealed.data.len())
    );
    assert_eq!(aggregator.size(), sealed.as_ref().map_or(0, Sealed::size));
    assert_eq!(aggregator.count(), held.len());
    assert_eq!(aggregator.is_empty(), held.is_empty());
}
