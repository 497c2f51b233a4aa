//! What the fuzz targets share. `tests/regressions.rs` of kpl includes the same checks.

pub mod checks;
