//! What the fuzz targets share. `tests/regressions.rs` of kpl includes the checks, that of kpl-stream the pipeline's, that of
//! kpl-kcl the protocol's.

pub mod checks;
pub mod kcl_protocol;
pub mod pipeline;
