//! Runs the real binary on what people give it.

mod aggregate;
mod broken_input;
mod conformance;
mod deaggregate;
mod decompress;
mod html;
mod input_shapes;
mod inspect;
mod kcl;
#[cfg(feature = "stream")]
mod leases;
mod manual;
#[cfg(target_os = "linux")]
mod memory;
mod other_forms;
#[cfg(feature = "stream")]
mod own_output;
mod sessions;
mod stats;
#[cfg(feature = "stream")]
mod stream;
mod support;
mod terminal;
mod train;
