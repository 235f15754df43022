//! Cuts what arrived on a connection into the frames of dubbo2: the twin of
//! `kubbo.wire.dubbo2.frames.split`.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

const MAGIC: [u8; 2] = [0xda, 0xbb];
const HEADER_BYTES: usize = 16;

/// The whole frames that `data` begins with, each as flags, status, request id and body, and
/// how many bytes they take. It stops before what is no frame, is not whole or whose body is
/// larger than `most` bytes.
#[pyfunction]
pub fn split<'py>(
    data: &Bound<'py, PyBytes>,
    most: usize,
) -> PyResult<(Bound<'py, PyList>, usize)> {
    let py = data.py();
    let bytes = data.as_bytes();
    let found = PyList::empty(py);
    let mut at = 0;
    while let Some(header) = bytes
        .get(at..)
        .and_then(<[u8]>::first_chunk::<HEADER_BYTES>)
    {
        let [m0, m1, flags, status, i0, i1, i2, i3, i4, i5, i6, i7, l0, l1, l2, l3] = *header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if [m0, m1] != MAGIC || length > most {
            break;
        }
        let begin = at + HEADER_BYTES;
        let Some(body) = begin
            .checked_add(length)
            .and_then(|end| bytes.get(begin..end))
        else {
            break;
        };
        let call = u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]);
        found.append((flags, status, call, PyBytes::new(py, body)))?;
        at = begin + length;
    }
    Ok((found, at))
}
