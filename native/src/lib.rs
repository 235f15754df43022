//! The compiled twin of Kubbo's Hessian2 codec.
//!
//! `Reader` and `Writer` stand in for the classes of the same names in
//! `kubbo.wire.hessian2`, byte for byte and error for error. They do what messages are mostly
//! made of; for everything else they call the pure codec's own functions on the same message
//! (`pure`). And when anything is wrong, they let the pure codec do the whole message again,
//! so that the error is its error. What a type or class needs is prepared once (`plans`).
//!
//! `write_body` and `read_body` do all values of a message in one call, `frames` cuts what a
//! connection brought.
//!
//! No limit is left to the pure codec: what it would refuse is refused here after the same
//! amount of work.

mod frames;
mod plans;
mod pure;
mod reader;
mod text;
mod writer;

use pyo3::prelude::*;

/// Raised whenever the face between this crate and `kubbo.wire` changes.
const INTERFACE: u32 = 3;

#[pymodule]
fn kubbo_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", INTERFACE)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<reader::Reader>()?;
    module.add_class::<writer::Writer>()?;
    module.add_class::<plans::Plans>()?;
    module.add_function(wrap_pyfunction!(frames::split, module)?)?;
    module.add_function(wrap_pyfunction!(reader::read_body, module)?)?;
    module.add_function(wrap_pyfunction!(writer::write_body, module)?)?;
    module.add_function(wrap_pyfunction!(pure::bind, module)?)?;
    module.add_function(wrap_pyfunction!(disagreements, module)?)
}

/// How often the pure codec accepted what this one had refused: a defect whenever it is not 0.
#[pyfunction]
fn disagreements() -> u64 {
    plans::DISAGREEMENTS.load(std::sync::atomic::Ordering::Relaxed)
}
