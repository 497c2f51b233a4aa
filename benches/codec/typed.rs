//! The typed layer's own cost.
use criterion::Criterion;
pub(crate) fn decode(_: &mut Criterion) {}
pub(crate) fn encode(_: &mut Criterion) {}
