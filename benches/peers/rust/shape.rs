//! The file of a shape (../shapes.py).

use std::fs;

/// The partition key and the data of a user record.
pub(crate) type User = (String, Vec<u8>);

/// Returns each aggregate of a shape, with its user records.
pub(crate) fn load(path: &str) -> Vec<(Vec<u8>, Vec<User>)> {
    let file = fs::read(path).expect("the file of the shape is readable");
    let mut rest = &file[..];
    let mut aggregates = Vec::new();
    while !rest.is_empty() {
        let data = chunk(&mut rest);
        let users = (0..number(&mut rest)).map(|_| {
            let key = String::from_utf8(chunk(&mut rest)).expect("keys are UTF-8");
            (key, chunk(&mut rest))
        });
        let users = users.collect();
        aggregates.push((data, users));
    }
    aggregates
}

fn number(rest: &mut &[u8]) -> usize {
    let bytes = rest.split_off(..4).expect("four bytes");
    u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize
}

fn chunk(rest: &mut &[u8]) -> Vec<u8> {
    let length = number(rest);
    rest.split_off(..length).expect("the file has all of it").to_vec()
}

/// Returns the median and the 99th percentile.
pub(crate) fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
    (at(0.5), at(0.99))
}
