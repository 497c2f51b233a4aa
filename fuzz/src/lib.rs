//! What the fuzz targets share. `tests/regressions.rs` of kpl includes the checks, that of kpl-stream the pipeline's, that of
//! kpl-kcl the protocol's, that of kpl-fleet the rows', that of kpl-spool the segments'.

pub mod checks;
pub mod kcl_protocol;
pub mod lease_row;
pub mod pipeline;
pub mod spool_segment;
