//! What the fuzz targets share. `tests/regressions.rs` of kpl includes the checks, that of kpl-stream the pipeline's.

pub mod checks;
pub mod pipeline;
