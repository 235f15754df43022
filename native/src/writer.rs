//! Writes Hessian 2.0: the twin of `kubbo.wire.hessian2.writer.Writer`.
//!
//! What is written so far lives in `State`. A `Run` takes it out of the Python object while it
//! writes a value, and puts it back whenever a pure type or function is asked to write a part
//! of the same message (`Run::ask`). An error ends in `Stop`; `Writer::write` then has the
//! pure codec write the whole message again, whose error is the caller's.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple, PyType};

use crate::plans::{AnyWrite, ByAddress, LayoutPlan, Plans, Write, WritePlans, DISAGREEMENTS};
use crate::pure::{pure, Pure};
use crate::reader::plans_of;
use crate::text;

/// As in `reader`: what is nested deeper is written by the pure codec.
const MAX_LEVELS: u32 = 128;

/// `scalars.STRING_CHUNK` and `scalars.BINARY_CHUNK`.
const STRING_CHUNK: usize = 0x8000;
const BINARY_CHUNK: usize = 8_189;

struct Stop;

type Done = Result<(), Stop>;

/// A message as far as it is written.
#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Number by identity. What is held keeps its address from being reused.
    refs: ByAddress<u32>,
    held: Vec<Py<PyAny>>,
    /// References given out, those of objects that nobody can refer to included.
    count: u32,
    layouts: ByAddress<u32>,
    /// What was defined, in order, each with its hash.
    definitions: Vec<(u64, Arc<[u8]>)>,
    held_layouts: Vec<Py<PyAny>>,
    types: Option<Py<PyDict>>,
    records: Option<Py<PyDict>>,
    singletons: Option<Py<PyDict>>,
    /// Containers that may still be begun within the current one.
    depth: i64,
    /// Containers that are being written here, by this writer.
    levels: u32,
    /// What was written, for doing it again.
    history: Vec<Part>,
}

/// States of messages that are done, for the next ones: their tables are there already.
static SPARE: Mutex<Vec<State>> = Mutex::new(Vec::new());
const MAX_SPARE: usize = 16;
const MAX_SPARE_BYTES: usize = 0x4000;
const MAX_SPARE_REFS: usize = 1_024;

impl State {
    fn new(depth: i64) -> Self {
        let spare = SPARE.lock().ok().and_then(|mut spare| spare.pop());
        let mut state = spare.unwrap_or_else(|| Self {
            bytes: Vec::with_capacity(256),
            ..Self::default()
        });
        state.depth = depth;
        state
    }

    /// Empty the state and keep it, unless it has grown.
    fn spare(mut self) {
        if self.bytes.capacity() > MAX_SPARE_BYTES || self.refs.capacity() > MAX_SPARE_REFS {
            return;
        }
        self.bytes.clear();
        self.refs.clear();
        self.held.clear();
        self.count = 0;
        self.layouts.clear();
        self.definitions.clear();
        self.held_layouts.clear();
        self.types = None;
        self.records = None;
        self.singletons = None;
        self.levels = 0;
        self.history.clear();
        if let Ok(mut spare) = SPARE.lock() {
            if spare.len() < MAX_SPARE {
                spare.push(self);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        std::mem::take(&mut self.state).spare();
    }
}

enum Part {
    Raw(Py<PyAny>),
    Value(Py<PyAny>, Option<Py<PyAny>>),
}

/// Encodes one message. After an error it is of no further use.
#[pyclass(module = "kubbo_native")]
pub struct Writer {
    #[pyo3(get)]
    registry: Py<PyAny>,
    limits: Py<PyAny>,
    plans: Py<Plans>,
    state: State,
    /// Values being written: one within another when a pure type asks for a part.
    active: u32,
    replaced_by: Option<Py<PyAny>>,
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (registry, limits=None))]
    fn new(registry: &Bound<'_, PyAny>, limits: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let py = registry.py();
        let pure = pure(py)?;
        let limits = match limits {
            Some(limits) if limits.is_truthy()? => limits,
            _ => pure.default_limits.bind(py),
        };
        Ok(Self {
            registry: registry.clone().unbind(),
            limits: limits.clone().unbind(),
            plans: plans_of(registry)?.unbind(),
            state: State::new(pure.numbers(limits)?.depth),
            active: 0,
            replaced_by: None,
        })
    }

    #[getter]
    fn depth(&self) -> i64 {
        self.state.depth
    }

    #[setter]
    fn set_depth(&mut self, depth: i64) {
        self.state.depth = depth;
    }

    /// Append one value.
    #[pyo3(signature = (value, r#type=None, path=None))]
    fn write(
        slf: &Bound<'_, Self>,
        value: &Bound<'_, PyAny>,
        r#type: Option<&Bound<'_, PyAny>>,
        path: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        if let Some(other) = Self::other(slf)? {
            let path = path.map_or_else(|| PyString::new(py, "").into_any(), Clone::clone);
            other.call_method1("write", (value, r#type, path))?;
            return Ok(());
        }
        let begun = slf.try_borrow()?.active;
        let mut run = Run::of(slf)?;
        let done = match r#type {
            None => run.any(value),
            Some(java_type) => run.declared(java_type, value),
        };
        let error = run.end(begun)?;
        if begun > 0 {
            return done.map_err(|Stop| refused(py, error));
        }
        match done {
            Ok(()) => {
                let java_type = r#type.map(|one| one.clone().unbind());
                slf.try_borrow_mut()?
                    .state
                    .history
                    .push(Part::Value(value.clone().unbind(), java_type));
                Ok(())
            }
            Err(Stop) => {
                if let Some(error) = error {
                    if !error.is_instance_of::<PyException>(py) {
                        return Err(error); // an interruption
                    }
                }
                Self::write_again(slf, value, r#type, path)
            }
        }
    }

    /// Append a value that nothing declares, by its Python class.
    fn write_any(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        Self::write(slf, value, None, None)
    }

    /// Append bytes that are Hessian already and hold no references.
    fn write_raw(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(other) = Self::other(slf)? {
            other.call_method1("write_raw", (data,))?;
            return Ok(());
        }
        let mut this = slf.try_borrow_mut()?;
        append(&mut this.state.bytes, data)?;
        this.state.history.push(Part::Raw(data.clone().unbind()));
        Ok(())
    }

    /// Append bytes, as they are.
    fn put(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        append(&mut slf.try_borrow_mut()?.state.bytes, data)
    }

    /// The message so far.
    fn getvalue<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(other) = Self::other(slf)? {
            return other.call_method0("getvalue");
        }
        let this = slf.try_borrow()?;
        Ok(PyBytes::new(slf.py(), &this.state.bytes).into_any())
    }

    // What pure types call for the parts that they write themselves.

    /// Write a reference if this very object was written before; else give it a number.
    fn seen(&mut self, value: &Bound<'_, PyAny>) -> bool {
        self.state.seen(value)
    }

    /// The first of all equal values, for what exists once in Java (a Class).
    fn same<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let singletons = {
            let mut this = slf.try_borrow_mut()?;
            this.state
                .singletons
                .get_or_insert_with(|| PyDict::new(py).unbind())
                .clone_ref(py)
        };
        singletons
            .bind(py)
            .call_method1("setdefault", (value, value))
    }

    fn begin_list(
        slf: &Bound<'_, Self>,
        length: usize,
        java_type: &Bound<'_, PyString>,
    ) -> PyResult<()> {
        let java_type = if java_type.is_empty()? {
            None
        } else {
            Some(java_type)
        };
        Self::step(slf, |run| run.begin_list(length, java_type))
    }

    fn begin_map(slf: &Bound<'_, Self>, java_type: &Bound<'_, PyString>) -> PyResult<()> {
        let java_type = if java_type.is_empty()? {
            None
        } else {
            Some(java_type)
        };
        Self::step(slf, |run| run.begin_map(java_type))
    }

    fn begin_object(slf: &Bound<'_, Self>, layout: &Bound<'_, PyAny>) -> PyResult<()> {
        let plan = LayoutPlan::of(layout)?;
        Self::step(slf, |run| run.begin_object(&plan))
    }

    /// The layout of a class that is known by its fields only.
    fn layout<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        fields: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let records = {
            let mut this = slf.try_borrow_mut()?;
            this.state
                .records
                .get_or_insert_with(|| PyDict::new(py).unbind())
                .clone_ref(py)
        };
        layout_in(pure(py)?, records.bind(py), name, fields)
    }
}

/// A whole message: bytes that are Hessian already, values, and such bytes again.
#[pyfunction]
pub fn write_body<'py>(
    registry: &Bound<'py, PyAny>,
    limits: &Bound<'py, PyAny>,
    head: &Bound<'py, PyAny>,
    values: &Bound<'py, PyAny>,
    types: &Bound<'py, PyTuple>,
    paths: &Bound<'py, PyTuple>,
    tail: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let writer = Bound::new(registry.py(), Writer::new(registry, Some(limits))?)?;
    Writer::write_raw(&writer, head)?;
    for (number, (java_type, path)) in types.iter().zip(paths.iter()).enumerate() {
        let value = values.get_item(number)?;
        let java_type = (!java_type.is_none()).then_some(&java_type);
        Writer::write(&writer, &value, java_type, Some(&path))?;
    }
    Writer::write_raw(&writer, tail)?;
    Writer::getvalue(&writer)
}

fn append(bytes: &mut Vec<u8>, data: &Bound<'_, PyAny>) -> PyResult<()> {
    bytes.extend_from_slice(data.cast::<PyBytes>()?.as_bytes());
    Ok(())
}

fn layout_in<'py>(
    pure: &Pure,
    records: &Bound<'py, PyDict>,
    name: &Bound<'py, PyAny>,
    fields: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let key = (name, fields).into_pyobject(records.py())?;
    if let Some(known) = records.get_item(&key)? {
        return Ok(known);
    }
    let made = pure.layout.bind(records.py()).call1((name, fields))?;
    records.set_item(key, &made)?;
    Ok(made)
}

/// The error of a part that a pure type asked for. Whoever began the message has it done again.
fn refused(py: Python<'_>, error: Option<PyErr>) -> PyErr {
    error.unwrap_or_else(|| {
        match pure(py).and_then(|pure| pure.encode_error.bind(py).call1(("refused",))) {
            Ok(made) => PyErr::from_value(made),
            Err(error) => error,
        }
    })
}

impl Writer {
    /// The pure writer that goes on with the message, after a disagreement.
    fn other<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let this = slf.try_borrow()?;
        Ok(this
            .replaced_by
            .as_ref()
            .map(|one| one.clone_ref(slf.py()).into_bound(slf.py())))
    }

    /// One step of a pure type that writes a part itself.
    fn step<'py>(
        slf: &Bound<'py, Self>,
        step: impl FnOnce(&mut Run<'_, 'py>) -> Done,
    ) -> PyResult<()> {
        let begun = slf.try_borrow()?.active;
        let mut run = Run::of(slf)?;
        let done = step(&mut run);
        let error = run.end(begun)?;
        if done.is_ok() {
            return Ok(());
        }
        if begun == 0 && error.is_none() {
            // Nobody will do it again: the only refusal of a step is the depth.
            let writer = pure(slf.py())?.writer.bind(slf.py());
            let made = writer.call_method1("_too_deep", (slf,))?;
            return Err(PyErr::from_value(made));
        }
        Err(refused(slf.py(), error))
    }

    /// Have the pure codec write the message up to here and the value that was refused.
    #[cold]
    fn write_again(
        slf: &Bound<'_, Self>,
        value: &Bound<'_, PyAny>,
        java_type: Option<&Bound<'_, PyAny>>,
        path: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut this = slf.try_borrow_mut()?;
        let history = std::mem::take(&mut this.state.history);
        let (registry, limits) = (this.registry.clone_ref(py), this.limits.clone_ref(py));
        drop(this);
        let made = pure(py)?.writer.bind(py).call1((registry, limits))?;
        for part in &history {
            match part {
                Part::Raw(data) => made.call_method1("write_raw", (data,))?,
                Part::Value(value, java_type) => made.call_method1("write", (value, java_type))?,
            };
        }
        let path = path.map_or_else(|| PyString::new(py, "").into_any(), Clone::clone);
        let done = made.call_method1("write", (value, java_type, path));
        slf.try_borrow_mut()?.replaced_by = Some(made.unbind());
        done?;
        DISAGREEMENTS.fetch_add(1, Relaxed);
        Ok(())
    }
}

impl State {
    fn seen(&mut self, value: &Bound<'_, PyAny>) -> bool {
        let address = value.as_ptr() as usize;
        if let Some(number) = self.refs.get(&address) {
            let number = *number;
            self.bytes.push(0x51);
            self.int(i64::from(number));
            return true;
        }
        self.refs.insert(address, self.count);
        self.held.push(value.clone().unbind());
        self.count += 1;
        false
    }

    fn int(&mut self, value: i64) {
        let bytes = &mut self.bytes;
        match value {
            -16..=47 => bytes.push((0x90 + value) as u8),
            -0x800..=0x7ff => bytes.extend_from_slice(&((0xc800 + value) as u16).to_be_bytes()),
            -0x40000..=0x3ffff => {
                bytes.extend_from_slice(&((0x00d4_0000 + value) as u32).to_be_bytes()[1..]);
            }
            _ => {
                bytes.push(b'I');
                bytes.extend_from_slice(&(value as i32).to_be_bytes());
            }
        }
    }

    fn long(&mut self, value: i64) {
        let bytes = &mut self.bytes;
        match value {
            -8..=15 => bytes.push((0xe0 + value) as u8),
            -0x800..=0x7ff => bytes.extend_from_slice(&((0xf800 + value) as u16).to_be_bytes()),
            -0x40000..=0x3ffff => {
                bytes.extend_from_slice(&((0x003c_0000 + value) as u32).to_be_bytes()[1..]);
            }
            _ => match i32::try_from(value) {
                Ok(value) => {
                    bytes.push(0x59);
                    bytes.extend_from_slice(&value.to_be_bytes());
                }
                Err(_) => {
                    bytes.push(b'L');
                    bytes.extend_from_slice(&value.to_be_bytes());
                }
            },
        }
    }

    /// `scalars.encode_double`.
    fn double(&mut self, value: f64) {
        let bytes = &mut self.bytes;
        if (-2_147_483.648..=2_147_483.647).contains(&value) {
            let whole = value as i64;
            if whole as f64 == value {
                match whole {
                    0 => return bytes.push(0x5b),
                    1 => return bytes.push(0x5c),
                    -0x80..=0x7f => return bytes.extend_from_slice(&[0x5d, whole as i8 as u8]),
                    -0x8000..=0x7fff => {
                        bytes.push(0x5e);
                        return bytes.extend_from_slice(&(whole as i16).to_be_bytes());
                    }
                    _ => {}
                }
            }
            let thousandths = (value * 1000.0) as i64;
            if 0.001 * thousandths as f64 == value {
                if let Ok(thousandths) = i32::try_from(thousandths) {
                    bytes.push(0x5f);
                    return bytes.extend_from_slice(&thousandths.to_be_bytes());
                }
            }
        }
        bytes.push(b'D');
        bytes.extend_from_slice(&value.to_be_bytes());
    }

    fn head_of_text(&mut self, units: usize) {
        let bytes = &mut self.bytes;
        if units < 0x20 {
            bytes.push(units as u8);
        } else if units < 0x400 {
            bytes.extend_from_slice(&(0x3000 + units as u16).to_be_bytes());
        } else {
            bytes.push(b'S');
            bytes.extend_from_slice(&(units as u16).to_be_bytes());
        }
    }

    /// A text; false if only the pure codec can write it.
    fn text(&mut self, text: &str) -> bool {
        if text.is_ascii() {
            let mut left = text.as_bytes();
            while left.len() > STRING_CHUNK {
                let (chunk, rest) = left.split_at(STRING_CHUNK);
                self.bytes.push(b'R');
                self.bytes
                    .extend_from_slice(&(STRING_CHUNK as u16).to_be_bytes());
                self.bytes.extend_from_slice(chunk);
                left = rest;
            }
            self.head_of_text(left.len());
            self.bytes.extend_from_slice(left);
            return true;
        }
        let units = text::units(text);
        if units > STRING_CHUNK {
            return false;
        }
        self.head_of_text(units);
        text::encode(text, &mut self.bytes);
        true
    }

    fn binary(&mut self, data: &[u8]) {
        let mut left = data;
        while left.len() > BINARY_CHUNK {
            let (chunk, rest) = left.split_at(BINARY_CHUNK);
            self.bytes.push(b'A');
            self.bytes
                .extend_from_slice(&(BINARY_CHUNK as u16).to_be_bytes());
            self.bytes.extend_from_slice(chunk);
            left = rest;
        }
        let length = left.len();
        if length < 0x10 {
            self.bytes.push(0x20 + length as u8);
        } else if length < 0x400 {
            self.bytes
                .extend_from_slice(&(0x3400 + length as u16).to_be_bytes());
        } else {
            self.bytes.push(b'B');
            self.bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        self.bytes.extend_from_slice(left);
    }
}

/// One value being written.
struct Run<'a, 'py> {
    py: Python<'py>,
    pure: &'static Pure,
    writer: &'a Bound<'py, Writer>,
    plans: Py<Plans>,
    state: State,
    error: Option<PyErr>,
}

impl<'a, 'py> Run<'a, 'py> {
    fn of(writer: &'a Bound<'py, Writer>) -> PyResult<Self> {
        let py = writer.py();
        let pure = pure(py)?;
        let mut this = writer.try_borrow_mut()?;
        this.active += 1;
        Ok(Self {
            py,
            pure,
            writer,
            plans: this.plans.clone_ref(py),
            state: std::mem::take(&mut this.state),
            error: None,
        })
    }

    /// Give the state back; `begun` is how many values were being written before.
    fn end(&mut self, begun: u32) -> PyResult<Option<PyErr>> {
        let mut this = self.writer.try_borrow_mut()?;
        this.state = std::mem::take(&mut self.state);
        this.active = begun;
        Ok(self.error.take())
    }

    fn done<T>(&mut self, result: PyResult<T>) -> Result<T, Stop> {
        result.map_err(|error| {
            self.error = Some(error);
            Stop
        })
    }

    /// Let a pure function write a part of the message.
    #[inline(never)]
    fn ask(&mut self, function: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Done {
        let taken = self.writer.try_borrow_mut().map(|mut this| {
            this.state = std::mem::take(&mut self.state);
        });
        self.done(taken.map_err(PyErr::from))?;
        let called = function.call1((self.writer, value));
        let taken = self
            .writer
            .try_borrow_mut()
            .map(|mut this| std::mem::take(&mut this.state));
        self.state = self.done(taken.map_err(PyErr::from))?;
        self.done(called)?;
        Ok(())
    }

    #[inline(never)]
    fn ask_type(&mut self, java_type: &Py<PyAny>, value: &Bound<'py, PyAny>) -> Done {
        let write = java_type.bind(self.py).getattr(self.pure.names.write.bind(self.py));
        let write = self.done(write)?;
        self.ask(&write, value)
    }

    fn declared(&mut self, java_type: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> Done {
        let plans = self.plans.get().write(self.pure, java_type);
        let plans = self.done(plans)?;
        self.typed(&plans, 0, value)
    }

    // -------------------------------------------------------------- by the type

    fn typed(&mut self, plans: &WritePlans, index: usize, value: &Bound<'py, PyAny>) -> Done {
        let plan = plans.0.get(index).ok_or(Stop)?;
        let class = value.get_type_ptr() as usize;
        let known = &self.pure.classes;
        match &plan.write {
            Write::Text if class == known.text => return self.text(value),
            Write::Whole { min, max, long } if class == known.int || class == known.long_value => {
                // Beyond 64 bits it is beyond every limit.
                let Ok(number) = value.extract::<i64>() else {
                    return Err(Stop);
                };
                if !(*min..=*max).contains(&number) {
                    return Err(Stop);
                }
                if *long {
                    self.state.long(number);
                } else {
                    self.state.int(number);
                }
                return Ok(());
            }
            Write::Any => return self.any(value),
            Write::Double if class == known.float => return self.double(value),
            Write::Boolean if class == known.boolean => return self.boolean(value),
            Write::Boxed { primitive } => {
                if class == known.none {
                    self.state.bytes.push(b'N');
                    return Ok(());
                }
                return self.typed(plans, *primitive, value);
            }
            Write::Text
            | Write::Bytes
            | Write::List { .. }
            | Write::Map { .. }
            | Write::Bean { .. }
            | Write::Enum { .. }
                if class == known.none =>
            {
                self.state.bytes.push(b'N');
                return Ok(());
            }
            Write::Bytes if class == known.bytes => {
                return self.binary(value);
            }
            Write::Enum {
                class: own,
                layout,
                names,
            } if class == *own => {
                return self.constant(layout, names, value);
            }
            _ if self.state.levels >= MAX_LEVELS => {}
            Write::Bean {
                class: own,
                layout,
                fields,
            } if class == *own => {
                if self.state.seen(value) {
                    return Ok(());
                }
                self.begin_object(layout)?;
                self.state.levels += 1;
                for (attribute, index) in fields {
                    let item = value.getattr(attribute);
                    let item = self.done(item)?;
                    self.typed(plans, *index, &item)?;
                }
                self.finish();
                return Ok(());
            }
            Write::List { item, java_type } => {
                let java_type = java_type.as_ref().map(|one| one.bind(self.py).clone());
                if class == known.list || class == known.tuple {
                    return self.list(plans, *item, value, java_type);
                }
                if class == known.java_list {
                    let java_type = match java_type {
                        Some(java_type) => Some(java_type),
                        None => self.type_of(value)?,
                    };
                    return self.list(plans, *item, value, java_type);
                }
            }
            Write::Map {
                key,
                value: item,
                java_type,
            } if class == known.dict || class == known.java_map => {
                let mut java_type = java_type.as_ref().map(|one| one.bind(self.py).clone());
                if java_type.is_none() && class == known.java_map {
                    java_type = self.type_of(value)?;
                }
                return self.map(Some((plans, *key, *item)), value, java_type);
            }
            _ => {}
        }
        self.ask_type(&plan.java_type, value)
    }

    // -------------------------------------------------------------- by the value's class

    fn any(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let class = value.get_type_ptr() as usize;
        let known = &self.pure.classes;
        if class == known.text {
            return self.text(value);
        }
        if class == known.int {
            let Ok(number) = value.extract::<i64>() else {
                return Err(Stop);
            };
            if i32::try_from(number).is_ok() {
                self.state.int(number);
            } else {
                self.state.long(number);
            }
            return Ok(());
        }
        if class == known.none {
            self.state.bytes.push(b'N');
            return Ok(());
        }
        if class == known.boolean {
            return self.boolean(value);
        }
        if class == known.float {
            return self.double(value);
        }
        if class == known.long_value {
            let Ok(number) = value.extract::<i64>() else {
                return Err(Stop);
            };
            self.state.long(number);
            return Ok(());
        }
        if class == known.bytes {
            return self.binary(value);
        }
        if self.state.levels < MAX_LEVELS {
            if class == known.list {
                return self.any_list(value, None);
            }
            if class == known.dict {
                return self.map(None, value, None);
            }
            if class == known.tuple {
                return self.any_tuple(value);
            }
            if class == known.record {
                return self.record(value);
            }
            if class == known.java_map {
                let java_type = self.type_of(value)?;
                return self.map(None, value, java_type);
            }
            if class == known.java_list {
                let java_type = self.type_of(value)?;
                let of_numbers = match &java_type {
                    Some(name) => self.pure.wire_arrays.bind(self.py).contains(name),
                    None => Ok(false),
                };
                if !self.done(of_numbers)? {
                    return self.any_list(value, java_type);
                }
            }
        }
        self.by_class(value)
    }

    #[inline(never)]
    fn by_class(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let class = value.get_type_ptr() as usize;
        let write = match self.plans.get().known_any(class) {
            Some(known) => known,
            None => {
                let class: Bound<'py, PyType> = value.get_type();
                let registry = self
                    .writer
                    .try_borrow()
                    .map(|this| this.registry.clone_ref(self.py));
                let registry = self.done(registry.map_err(PyErr::from))?;
                let made = self
                    .plans
                    .get()
                    .any(self.pure, &class, registry.bind(self.py));
                self.done(made)?
            }
        };
        match write {
            AnyWrite::Typed(plans) => self.typed(&plans, 0, value),
            AnyWrite::Call(function) => self.ask(function.bind(self.py), value),
        }
    }

    // -------------------------------------------------------------- values

    fn text(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let text = value.cast::<PyString>().map_err(|_| Stop)?;
        if let Ok(text) = text.to_str() {
            if self.state.text(text) {
                return Ok(());
            }
        }
        // Lone surrogates, and long texts that are not ASCII.
        let encoded = self.pure.encode_text.bind(self.py).call1((text,));
        let encoded = self.done(encoded)?;
        let appended = append(&mut self.state.bytes, &encoded);
        self.done(appended)
    }

    fn double(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let number = value.cast::<PyFloat>().map_err(|_| Stop)?.value();
        self.state.double(number);
        Ok(())
    }

    fn boolean(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let is_true = value.cast::<PyBool>().map_err(|_| Stop)?.is_true();
        self.state.bytes.push(if is_true { b'T' } else { b'F' });
        Ok(())
    }

    fn binary(&mut self, value: &Bound<'py, PyAny>) -> Done {
        self.state
            .binary(value.cast::<PyBytes>().map_err(|_| Stop)?.as_bytes());
        Ok(())
    }

    fn type_of(&mut self, value: &Bound<'py, PyAny>) -> Result<Option<Bound<'py, PyString>>, Stop> {
        let found = value.getattr(self.pure.names.java_type.bind(self.py));
        let found = self
            .done(found)?
            .cast_into::<PyString>()
            .map_err(|_| Stop)?;
        let empty = found.is_empty();
        Ok(if self.done(empty)? { None } else { Some(found) })
    }

    // -------------------------------------------------------------- containers

    fn begin(&mut self) -> Done {
        if self.state.depth <= 0 {
            return Err(Stop);
        }
        self.state.depth -= 1;
        Ok(())
    }

    fn finish(&mut self) {
        self.state.depth += 1;
        self.state.levels -= 1;
    }

    fn type_name(&mut self, java_type: &Bound<'py, PyString>) -> Done {
        let py = self.py;
        let types = self
            .state
            .types
            .get_or_insert_with(|| PyDict::new(py).unbind())
            .clone_ref(py);
        let types = types.bind(py);
        let known = types.get_item(java_type);
        if let Some(known) = self.done(known)? {
            let number = known.extract::<i64>();
            let number = self.done(number)?;
            self.state.int(number);
            return Ok(());
        }
        let set = types.set_item(java_type, types.len());
        self.done(set)?;
        self.text(java_type.as_any())
    }

    fn begin_list(&mut self, length: usize, java_type: Option<&Bound<'py, PyString>>) -> Done {
        self.begin()?;
        match java_type {
            Some(java_type) if length < 8 => {
                self.state.bytes.push(0x70 + length as u8);
                self.type_name(java_type)
            }
            Some(java_type) => {
                self.state.bytes.push(0x56);
                self.type_name(java_type)?;
                self.state.int(length as i64);
                Ok(())
            }
            None => {
                if length < 8 {
                    self.state.bytes.push(0x78 + length as u8);
                } else {
                    self.state.bytes.push(0x58);
                    self.state.int(length as i64);
                }
                Ok(())
            }
        }
    }

    fn begin_map(&mut self, java_type: Option<&Bound<'py, PyString>>) -> Done {
        self.begin()?;
        match java_type {
            Some(java_type) => {
                self.state.bytes.push(b'M');
                self.type_name(java_type)
            }
            None => {
                self.state.bytes.push(b'H');
                Ok(())
            }
        }
    }

    fn begin_object(&mut self, plan: &LayoutPlan) -> Done {
        self.begin()?;
        let address = plan.layout.as_ptr() as usize;
        let number = match self.state.layouts.get(&address) {
            Some(known) => *known,
            None => {
                // One class may have several layouts: a record of it is no second class.
                let state = &mut self.state;
                let found = state
                    .definitions
                    .iter()
                    .position(|(hash, known)| *hash == plan.hash && *known == plan.definition);
                let number = match found {
                    Some(known) => known as u32,
                    None => {
                        let number = state.definitions.len() as u32;
                        state.definitions.push((plan.hash, plan.definition.clone()));
                        state.bytes.extend_from_slice(&plan.definition);
                        number
                    }
                };
                state.layouts.insert(address, number);
                state.held_layouts.push(plan.layout.clone_ref(self.py));
                number
            }
        };
        if number < 16 {
            self.state.bytes.push(0x60 + number as u8);
        } else {
            self.state.bytes.push(b'O');
            self.state.int(i64::from(number));
        }
        Ok(())
    }

    fn any_list(
        &mut self,
        value: &Bound<'py, PyAny>,
        java_type: Option<Bound<'py, PyString>>,
    ) -> Done {
        if self.state.seen(value) {
            return Ok(());
        }
        let list = value.cast::<PyList>().map_err(|_| Stop)?;
        let length = list.len();
        self.begin_list(length, java_type.as_ref())?;
        self.state.levels += 1;
        for item in list.iter() {
            self.any(&item)?;
        }
        self.finish();
        self.unchanged(length, list.len())
    }

    fn any_tuple(&mut self, value: &Bound<'py, PyAny>) -> Done {
        // Python shares equal tuples as it likes: two of them are never one Java list.
        self.state.count += 1;
        let tuple = value.cast::<PyTuple>().map_err(|_| Stop)?;
        self.begin_list(tuple.len(), None)?;
        self.state.levels += 1;
        for item in tuple.iter() {
            self.any(&item)?;
        }
        self.finish();
        Ok(())
    }

    /// A list or tuple whose items have a type.
    fn list(
        &mut self,
        plans: &WritePlans,
        item: usize,
        value: &Bound<'py, PyAny>,
        java_type: Option<Bound<'py, PyString>>,
    ) -> Done {
        if self.state.seen(value) {
            return Ok(());
        }
        if let Ok(list) = value.cast::<PyList>() {
            let length = list.len();
            self.begin_list(length, java_type.as_ref())?;
            self.state.levels += 1;
            if matches!(
                plans.0.get(item).map(|plan| &plan.write),
                Some(Write::Bean { .. })
            ) {
                self.state.refs.reserve(length); // most are objects of their own
                self.state.held.reserve(length);
            }
            for one in list.iter() {
                self.typed(plans, item, &one)?;
            }
            self.finish();
            return self.unchanged(length, list.len());
        }
        let tuple = value.cast::<PyTuple>().map_err(|_| Stop)?;
        self.begin_list(tuple.len(), java_type.as_ref())?;
        self.state.levels += 1;
        for one in tuple.iter() {
            self.typed(plans, item, &one)?;
        }
        self.finish();
        Ok(())
    }

    /// A map; `types` are those of keys and values, if they have some.
    fn map(
        &mut self,
        types: Option<(&WritePlans, usize, usize)>,
        value: &Bound<'py, PyAny>,
        java_type: Option<Bound<'py, PyString>>,
    ) -> Done {
        if self.state.seen(value) {
            return Ok(());
        }
        let map = value.cast::<PyDict>().map_err(|_| Stop)?;
        self.begin_map(java_type.as_ref())?;
        self.state.levels += 1;
        let length = map.len();
        // Lists of their own: what is called meanwhile may change the map.
        for (key, item) in map.keys().iter().zip(map.values().iter()) {
            let key = if key.get_type_ptr() as usize == self.pure.classes.key {
                let wrapped = key.getattr(self.pure.names.value.bind(self.py));
                self.done(wrapped)?
            } else {
                key
            };
            match types {
                Some((plans, key_index, item_index)) => {
                    self.typed(plans, key_index, &key)?;
                    self.typed(plans, item_index, &item)?;
                }
                None => {
                    self.any(&key)?;
                    self.any(&item)?;
                }
            }
        }
        self.state.bytes.push(b'Z');
        self.finish();
        self.unchanged(length, map.len())
    }

    /// A container that changed while it was written has to be done again.
    fn unchanged(&self, before: usize, now: usize) -> Done {
        if before == now {
            Ok(())
        } else {
            Err(Stop)
        }
    }

    #[inline(never)]
    fn record(&mut self, value: &Bound<'py, PyAny>) -> Done {
        let py = self.py;
        if self.state.seen(value) {
            return Ok(());
        }
        let fields = value.getattr(self.pure.names.fields.bind(py));
        let fields = self.done(fields)?.cast_into::<PyDict>().map_err(|_| Stop)?;
        let name = value.getattr(self.pure.names.class_name.bind(py));
        let name = self.done(name)?;
        let keys = fields.keys().to_tuple();
        let records = self
            .state
            .records
            .get_or_insert_with(|| PyDict::new(py).unbind())
            .clone_ref(py);
        let layout = layout_in(self.pure, records.bind(py), &name, &keys)
            .and_then(|layout| LayoutPlan::of(&layout));
        let layout = self.done(layout)?;
        self.begin_object(&layout)?;
        self.state.levels += 1;
        let length = fields.len();
        for item in fields.values().iter() {
            self.any(&item)?;
        }
        self.finish();
        self.unchanged(length, fields.len())
    }

    fn constant(
        &mut self,
        layout: &LayoutPlan,
        names: &Py<PyDict>,
        value: &Bound<'py, PyAny>,
    ) -> Done {
        if self.state.seen(value) {
            return Ok(());
        }
        self.begin_object(layout)?;
        let name = names.bind(self.py).get_item(value);
        let name = self.done(name)?.ok_or(Stop)?;
        let appended = append(&mut self.state.bytes, &name);
        self.done(appended)?;
        self.state.depth += 1;
        Ok(())
    }
}
