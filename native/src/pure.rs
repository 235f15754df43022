//! What the pure codec hands over once, at import: its classes and functions.
//!
//! The compiled codec does the common part of the work and leaves the rest to these, on the
//! same message: so there is one definition of everything unusual.

use std::sync::Mutex;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple};
use pyo3::PyTypeInfo;

/// The address of a class: what `get_type_ptr` of its instances gives.
pub type ClassAddress = usize;

pub struct Classes {
    pub none: ClassAddress,
    pub boolean: ClassAddress,
    pub int: ClassAddress,
    pub float: ClassAddress,
    pub text: ClassAddress,
    pub bytes: ClassAddress,
    pub list: ClassAddress,
    pub tuple: ClassAddress,
    pub dict: ClassAddress,
    pub long_value: ClassAddress,
    pub java_list: ClassAddress,
    pub java_map: ClassAddress,
    pub record: ClassAddress,
    pub key: ClassAddress,
}

/// The numbers of `Limits`; what exceeds 64 bits is no limit.
#[derive(Clone, Copy)]
pub struct LimitNumbers {
    pub depth: i64,
    pub nodes: i64,
    pub class_definitions: i64,
    pub field_names: i64,
    pub surplus: i64,
}

pub struct Pure {
    pub classes: Classes,
    /// The 256 functions of `reader.READ`.
    pub read: Vec<Py<PyAny>>,
    pub reader: Py<PyAny>,
    pub writer: Py<PyAny>,
    pub default_limits: Py<PyAny>,
    pub encode_error: Py<PyAny>,
    pub encode_text: Py<PyAny>,
    pub layout: Py<PyAny>,
    pub long_value: Py<PyAny>,
    /// LongValue of -8 to 15, the longs of one byte.
    pub short_longs: Vec<Py<PyAny>>,
    pub java_list: Py<PyAny>,
    pub java_map: Py<PyAny>,
    pub record: Py<PyAny>,
    pub record_class: ClassAddress,
    pub key_guard: Py<PyAny>,
    pub object_setattr: Py<PyAny>,
    /// What a set counts for, and how many of its elements for one more: `containers.SET`.
    pub set: (i64, i64),
    /// Arrays whose items have a type of their own: `anything.WIRE_ARRAYS`.
    pub wire_arrays: Py<PyAny>,
    /// How a type converts, a class is read and a type is written: see `plans`.
    pub describe_convert: Py<PyAny>,
    pub describe_class: Py<PyAny>,
    pub describe_write: Py<PyAny>,
    pub describe_any: Py<PyAny>,
    pub names: Names,
    known_limits: Mutex<Option<(Py<PyAny>, LimitNumbers)>>,
}

/// Names of attributes, made once when the parts are bound. `intern!` would make each of them at
/// its first use, and lets other threads run meanwhile: a child that is forked in that moment
/// would wait for ever for a thread that it does not have.
macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {
        pub struct Names {
            $(pub $name: Py<PyString>,)*
        }

        impl Names {
            fn of(py: Python<'_>) -> Self {
                Self { $($name: PyString::intern(py, $text).unbind(),)* }
            }
        }
    };
}

names! {
    admit = "admit",
    class_definitions = "class_definitions",
    class_name = "class_name",
    convert = "convert",
    depth = "depth",
    dict = "__dict__",
    field_names = "field_names",
    fields = "fields",
    fill = "fill",
    java_type = "java_type",
    made_of = "made_of",
    native = "native",
    nodes = "nodes",
    read = "read",
    surplus = "surplus",
    table = "table",
    value = "value",
    wire_class = "wire_class",
    write = "write",
}

static PURE: PyOnceLock<Pure> = PyOnceLock::new();

/// The pure codec.
pub fn pure(py: Python<'_>) -> PyResult<&'static Pure> {
    PURE.get(py)
        .ok_or_else(|| PyRuntimeError::new_err("kubbo_native is used through kubbo only"))
}

/// Take the parts of the pure codec, by name; the first call counts.
#[pyfunction]
pub fn bind(py: Python<'_>, parts: &Bound<'_, PyDict>) -> PyResult<()> {
    let made = Pure::of(py, parts)?;
    let _ = PURE.set(py, made);
    Ok(())
}

fn part(parts: &Bound<'_, PyDict>, name: &str) -> PyResult<Py<PyAny>> {
    Ok(parts.as_any().get_item(name)?.unbind())
}

fn address(class: &Py<PyAny>) -> ClassAddress {
    class.as_ptr() as usize
}

impl Pure {
    fn of(py: Python<'_>, parts: &Bound<'_, PyDict>) -> PyResult<Self> {
        let long_value = part(parts, "LongValue")?;
        let java_list = part(parts, "JavaList")?;
        let java_map = part(parts, "JavaMap")?;
        let record = part(parts, "Record")?;
        let classes = Classes {
            none: PyNone::type_object_raw(py) as usize,
            boolean: PyBool::type_object_raw(py) as usize,
            int: PyInt::type_object_raw(py) as usize,
            float: PyFloat::type_object_raw(py) as usize,
            text: PyString::type_object_raw(py) as usize,
            bytes: PyBytes::type_object_raw(py) as usize,
            list: PyList::type_object_raw(py) as usize,
            tuple: PyTuple::type_object_raw(py) as usize,
            dict: PyDict::type_object_raw(py) as usize,
            long_value: address(&long_value),
            java_list: address(&java_list),
            java_map: address(&java_map),
            record: address(&record),
            key: address(&part(parts, "Key")?),
        };
        let mut read = Vec::with_capacity(256);
        for function in part(parts, "READ")?.bind(py).try_iter()? {
            read.push(function?.unbind());
        }
        let mut short_longs = Vec::with_capacity(24);
        for number in -8..16_i64 {
            short_longs.push(long_value.call1(py, (number,))?);
        }
        Ok(Self {
            classes,
            read,
            reader: part(parts, "Reader")?,
            writer: part(parts, "Writer")?,
            default_limits: part(parts, "DEFAULT_LIMITS")?,
            encode_error: part(parts, "EncodeError")?,
            encode_text: part(parts, "encode_text")?,
            layout: part(parts, "Layout")?,
            long_value,
            short_longs,
            java_list,
            java_map,
            record,
            record_class: address(&part(parts, "RecordClass")?),
            key_guard: part(parts, "KeyGuard")?,
            object_setattr: part(parts, "object_setattr")?,
            set: part(parts, "SET")?.extract(py)?,
            wire_arrays: part(parts, "WIRE_ARRAYS")?,
            describe_convert: part(parts, "describe_convert")?,
            describe_class: part(parts, "describe_class")?,
            describe_write: part(parts, "describe_write")?,
            describe_any: part(parts, "describe_any")?,
            names: Names::of(py),
            known_limits: Mutex::new(None),
        })
    }

    /// The numbers of a `Limits`, which never change; the last one asked for is remembered.
    pub fn numbers(&self, limits: &Bound<'_, PyAny>) -> PyResult<LimitNumbers> {
        let py = limits.py();
        if let Ok(known) = self.known_limits.lock() {
            if let Some((one, numbers)) = known.as_ref() {
                if one.is(limits) {
                    return Ok(*numbers);
                }
            }
        }
        let number = |name: &Bound<'_, PyString>| -> PyResult<i64> {
            let value = limits.getattr(name)?;
            Ok(value.extract().unwrap_or(i64::MAX))
        };
        let numbers = LimitNumbers {
            depth: number(self.names.depth.bind(py))?,
            nodes: number(self.names.nodes.bind(py))?,
            class_definitions: number(self.names.class_definitions.bind(py))?,
            field_names: number(self.names.field_names.bind(py))?,
            surplus: number(self.names.surplus.bind(py))?,
        };
        let replaced = match self.known_limits.lock() {
            Ok(mut known) => known.replace((limits.clone().unbind(), numbers)),
            Err(_) => None,
        };
        drop(replaced); // what its destruction runs must not find the lock held
        Ok(numbers)
    }
}
