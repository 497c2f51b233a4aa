//! Numbers, counted by their order of magnitude.

use serde::Serialize;

use crate::draw::{DATA, bar, percent, styled, thousands};

/// How many numbers there are of each power of two, and the smallest, the largest and the sum of all numbers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Histogram {
    pub(super) count: u64,
    pub(super) min: u64,
    pub(super) max: u64,
    pub(super) sum: u64,
    /// The first is for 0, then come those for 1, for 2 and 3, for 4 to 7, and so on.
    #[serde(serialize_with = "without_the_end")]
    buckets: [u64; 65],
}

fn without_the_end<S: serde::Serializer>(buckets: &[u64; 65], serializer: S) -> Result<S::Ok, S::Error> {
    let end = buckets.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
    serializer.collect_seq(buckets.iter().take(end))
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            count: 0,
            min: u64::MAX,
            max: 0,
            sum: 0,
            buckets: [0; 65],
        }
    }
}

impl Histogram {
    pub(super) fn add(&mut self, number: u64) {
        self.count += 1;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
        self.sum += number;
        let index = number.checked_ilog2().map_or(0, |log| log as usize + 1);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
    }

    /// Returns the smallest, the mean and the largest number, in words.
    pub(super) fn summary(&self) -> String {
        if self.count == 0 {
            return "none".into();
        }
        let mean = self.sum as f64 / self.count as f64;
        format!(
            "{} to {}, {mean:.1} on average",
            thousands(self.min),
            thousands(self.max)
        )
    }

    /// Returns the first and the last number of each order of magnitude, from that of the smallest number to that of the largest,
    /// and how many there are.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let first = self
            .buckets
            .iter()
            .position(|&count| count > 0)
            .unwrap_or(self.buckets.len());
        let end = self
            .buckets
            .iter()
            .rposition(|&count| count > 0)
            .map_or(0, |last| last + 1);
        let buckets = self.buckets.iter().enumerate().take(end).skip(first);
        buckets.map(|(index, &count)| match index {
            0 => (0, 0, count),
            index => (1 << (index - 1), u64::MAX >> (64 - index), count),
        })
    }

    /// Returns a line for each order of magnitude from the smallest number to the largest.
    pub(super) fn draw(&self) -> String {
        let mut drawing = String::new();
        let most = self.buckets.iter().copied().max().unwrap_or_default();
        for (start, end, count) in self.rows() {
            let range = match (start, end) {
                (start, end) if start == end => thousands(start),
                (start, end) => format!("{} to {}", thousands(start), thousands(end)),
            };
            let (number, share) = (thousands(count), percent(count, self.count));
            drawing.push_str(&format!("  {range:>22}{number:>11} {share:>7}"));
            if count > 0 {
                drawing.push_str(&format!("  {}", styled(DATA, bar(count, most, 32))));
            }
            drawing.push('\n');
        }
        drawing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_order_of_magnitude() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.summary(), "none");
        for number in [0, 1, 2, 3, 4, 7, u64::from(u32::MAX)] {
            histogram.add(number);
        }
        assert_eq!(histogram.buckets[..4], [1, 1, 2, 2]);
        assert_eq!(histogram.buckets[32], 1);
        assert_eq!(histogram.count, 7);
        assert_eq!((histogram.min, histogram.max), (0, u64::from(u32::MAX)));
        let drawing = histogram.draw();
        assert_eq!(drawing.lines().count(), 33);
        assert!(drawing.contains(" 2 to 3 "), "{drawing}");
    }
}
