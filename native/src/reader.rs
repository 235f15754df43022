//! Reads Hessian 2.0: the twin of `kubbo.wire.hessian2.reader.Reader`.
//!
//! The state of a message lives in the Python object `Reader`, under the names that the pure
//! functions use. While a value is read it is kept in `Run`, and written back before any pure
//! function is called on the same message (`Run::ask`). Whatever is wrong ends in `Stop`
//! without a word: `Reader::read` then has the pure codec read the whole message again, whose
//! error is the caller's.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyList, PySet, PyString, PyTuple};

use crate::plans::{
    BeanPlan, Class, ClassPlan, Convert, ConvertPlan, FieldPlan, Plain, Plans, Store,
    DISAGREEMENTS, MAX_DEFINITION_BYTES,
};
use crate::pure::{pure, LimitNumbers, Pure};
use crate::text;

/// Containers within each other that are read here; the pure codec reads what is deeper, and
/// Python's own limit of recursion guards that. A level takes about half a KiB of stack.
const MAX_LEVELS: i64 = 128;

/// Of so many bytes, one more value: `reader._SPARE_BYTES`.
const SPARE_BYTES: i64 = 4;

/// Something is wrong, or Python raised (see `Run::error`).
struct Stop;

type Read<T> = Result<T, Stop>;

/// What only this side keeps of a message.
#[derive(Default)]
struct Own {
    /// How each class of the message is read; may lag behind `Reader::classes`.
    plans: Vec<Arc<ClassPlan>>,
    /// Offset and type of every value that was read, for doing it again.
    history: Vec<(i64, Option<Py<PyAny>>)>,
    /// The pure reader that goes on with the message, after a disagreement.
    replaced_by: Option<Py<PyAny>>,
}

/// Those of messages that are done, for the next ones.
static SPARE: Mutex<Vec<Own>> = Mutex::new(Vec::new());
const MAX_SPARE: usize = 16;
const MAX_SPARE_ENTRIES: usize = 64;

impl Own {
    fn new() -> Self {
        let spare = SPARE.lock().ok().and_then(|mut spare| spare.pop());
        spare.unwrap_or_default()
    }

    /// Empty it and keep it, unless it has grown.
    fn spare(mut self) {
        let grown = self.plans.capacity().max(self.history.capacity());
        if grown > MAX_SPARE_ENTRIES {
            return;
        }
        self.plans.clear();
        self.history.clear();
        self.replaced_by = None;
        if let Ok(mut spare) = SPARE.lock() {
            if spare.len() < MAX_SPARE {
                spare.push(self);
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let own = std::mem::take(&mut *self.own());
        own.spare();
    }
}

/// Decodes one message, value by value.
#[pyclass(frozen, module = "kubbo_native")]
pub struct Reader {
    #[pyo3(get)]
    data: Py<PyBytes>,
    #[pyo3(get)]
    registry: Py<PyAny>,
    #[pyo3(get)]
    limits: Py<PyAny>,
    #[pyo3(get)]
    size: i64,
    #[pyo3(get)]
    refs: Py<PyList>,
    #[pyo3(get)]
    classes: Py<PyList>,
    // Made when they are asked for: most messages name no types and share no converted list.
    types: PyOnceLock<Py<PyList>>,
    converted: PyOnceLock<Py<PyDict>>,
    declared: PyOnceLock<Py<PyList>>,
    offset: AtomicI64,
    nodes: AtomicI64,
    field_names: AtomicI64,
    numbers: LimitNumbers,
    plans: Py<Plans>,
    own: Mutex<Own>,
}

/// The plans of a registry, which are made when they are first asked for.
pub fn plans_of<'py>(registry: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Plans>> {
    let py = registry.py();
    let native = pure(py)?.names.native.bind(py);
    if let Some(known) = registry.getattr_opt(native)? {
        if let Ok(plans) = known.cast_into::<Plans>() {
            return Ok(plans);
        }
    }
    let made = Bound::new(py, Plans::default())?;
    registry.setattr(native, &made)?;
    Ok(made)
}

#[pymethods]
impl Reader {
    #[new]
    #[pyo3(signature = (data, registry, limits=None, offset=0))]
    fn new(
        data: &Bound<'_, PyAny>,
        registry: &Bound<'_, PyAny>,
        limits: Option<&Bound<'_, PyAny>>,
        offset: i64,
    ) -> PyResult<Self> {
        let py = data.py();
        let pure = pure(py)?;
        let data = match data.cast_exact::<PyBytes>() {
            Ok(bytes) => bytes.clone(),
            Err(_) => py.get_type::<PyBytes>().call1((data,))?.cast_into()?,
        };
        let limits = match limits {
            Some(limits) if limits.is_truthy()? => limits,
            _ => pure.default_limits.bind(py),
        };
        let numbers = pure.numbers(limits)?;
        Ok(Self {
            size: data.as_bytes().len() as i64,
            data: data.unbind(),
            registry: registry.clone().unbind(),
            limits: limits.clone().unbind(),
            refs: PyList::empty(py).unbind(),
            types: PyOnceLock::new(),
            classes: PyList::empty(py).unbind(),
            converted: PyOnceLock::new(),
            declared: PyOnceLock::new(),
            offset: AtomicI64::new(offset),
            nodes: AtomicI64::new(numbers.nodes),
            field_names: AtomicI64::new(numbers.field_names),
            numbers,
            plans: plans_of(registry)?.unbind(),
            own: Mutex::new(Own::new()),
        })
    }

    #[getter]
    fn types<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyList> {
        self.types
            .get_or_init(py, || PyList::empty(py).unbind())
            .bind(py)
    }

    #[getter]
    fn converted<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyDict> {
        self.converted
            .get_or_init(py, || PyDict::new(py).unbind())
            .bind(py)
    }

    #[getter]
    fn declared<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyList> {
        self.declared
            .get_or_init(py, || PyList::empty(py).unbind())
            .bind(py)
    }

    #[getter]
    fn offset(&self) -> i64 {
        self.offset.load(Relaxed)
    }

    #[setter]
    fn set_offset(&self, offset: i64) {
        self.offset.store(offset, Relaxed);
    }

    #[getter]
    fn nodes(&self) -> i64 {
        self.nodes.load(Relaxed)
    }

    #[setter]
    fn set_nodes(&self, nodes: i64) {
        self.nodes.store(nodes, Relaxed);
    }

    #[getter]
    fn field_names(&self) -> i64 {
        self.field_names.load(Relaxed)
    }

    #[setter]
    fn set_field_names(&self, names: i64) {
        self.field_names.store(names, Relaxed);
    }

    /// Whether every byte was read.
    #[getter]
    fn at_end(&self) -> bool {
        self.offset() >= self.size
    }

    /// Take values from the budget of the message.
    fn count(slf: &Bound<'_, Self>, nodes: i64) -> PyResult<()> {
        let left = slf.get().nodes().saturating_sub(nodes);
        slf.get().set_nodes(left);
        if left < 0 {
            // In the pure codec's words.
            let count = pure(slf.py())?.reader.bind(slf.py()).getattr("count")?;
            count.call1((slf, 0))?;
        }
        Ok(())
    }

    /// The fault, one step further out, in the pure codec's words.
    fn within<'py>(
        slf: &Bound<'py, Self>,
        error: &Bound<'py, PyAny>,
        step: &Bound<'py, PyAny>,
        start: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let reader = pure(slf.py())?.reader.bind(slf.py());
        reader.call_method1("within", (slf, error, step, start))
    }

    fn _cut_short<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let reader = pure(slf.py())?.reader.bind(slf.py());
        reader.call_method1("_cut_short", (slf,))
    }

    /// Read the next value, converted to its type if one is given.
    #[pyo3(signature = (r#type=None, path=None))]
    fn read<'py>(
        slf: &Bound<'py, Self>,
        r#type: Option<&Bound<'py, PyAny>>,
        path: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let offset = this.offset();
        let plan = match r#type {
            Some(java_type) => Some(this.plans.get().convert(pure(py)?, java_type)?),
            None => None,
        };
        let mut own = this.own();
        if own.replaced_by.is_some() {
            drop(own);
            return Self::read_on(slf, r#type, path);
        }
        let plans = std::mem::take(&mut own.plans);
        drop(own);
        let mut run = Run::of(slf, plans)?;
        let found = run.top(plan.as_deref());
        run.write_back();
        let (plans, error) = (std::mem::take(&mut run.plans), run.error.take());
        drop(run);
        let mut own = this.own();
        own.plans = plans;
        match found {
            Ok(value) => {
                own.history
                    .push((offset, r#type.map(|one| one.clone().unbind())));
                Ok(value)
            }
            Err(Stop) => {
                drop(own);
                if let Some(error) = error {
                    if !error.is_instance_of::<PyException>(py) {
                        return Err(error); // an interruption
                    }
                    drop(error); // with the frames that it holds
                }
                Self::read_again(slf, offset, r#type, path)
            }
        }
    }
}

impl Reader {
    /// No Python code may run while this is held.
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Have the pure codec read the message up to here and the value that was refused.
    #[cold]
    fn read_again<'py>(
        slf: &Bound<'py, Self>,
        offset: i64,
        java_type: Option<&Bound<'py, PyAny>>,
        path: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        // First let go of what was read: two half messages would take twice the memory.
        let refs = this.refs.bind(py);
        refs.del_slice(0, refs.len())?;
        let declared = this.declared(py);
        declared.del_slice(0, declared.len())?;
        this.converted(py).clear();
        let made = pure(py)?
            .reader
            .bind(py)
            .call1((&this.data, &this.registry, &this.limits))?;
        let history: Vec<(i64, Option<Py<PyAny>>)> = this
            .own()
            .history
            .iter()
            .map(|(at, one)| (*at, one.as_ref().map(|one| one.clone_ref(py))))
            .collect();
        for (at, one) in history {
            made.setattr("offset", at)?;
            made.call_method1("read", (one,))?;
        }
        made.setattr("offset", offset)?;
        let path = path.map_or_else(|| PyString::new(py, "").into_any(), Clone::clone);
        let found = made.call_method1("read", (java_type, path));
        this.set_offset(made.getattr("offset")?.extract()?);
        this.set_nodes(made.getattr("nodes")?.extract()?);
        let value = found?;
        DISAGREEMENTS.fetch_add(1, Relaxed);
        this.own().replaced_by = Some(made.unbind());
        Ok(value)
    }

    #[cold]
    fn read_on<'py>(
        slf: &Bound<'py, Self>,
        java_type: Option<&Bound<'py, PyAny>>,
        path: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        let made = match &this.own().replaced_by {
            Some(made) => made.clone_ref(py).into_bound(py),
            None => return Ok(py.None().into_bound(py)),
        };
        made.setattr("offset", this.offset())?;
        let path = path.map_or_else(|| PyString::new(py, "").into_any(), Clone::clone);
        let found = made.call_method1("read", (java_type, path));
        let offset: i64 = made.getattr("offset")?.extract()?;
        this.set_offset(offset);
        found
    }
}

/// Values of a message in a row, and the reader that stands behind them.
#[pyfunction]
pub fn read_body<'py>(
    data: &Bound<'py, PyAny>,
    registry: &Bound<'py, PyAny>,
    limits: &Bound<'py, PyAny>,
    offset: i64,
    types: &Bound<'py, PyTuple>,
    paths: &Bound<'py, PyTuple>,
) -> PyResult<(Bound<'py, Reader>, Bound<'py, PyList>)> {
    let py = data.py();
    let reader = Bound::new(py, Reader::new(data, registry, Some(limits), offset)?)?;
    let found = PyList::empty(py);
    for (java_type, path) in types.iter().zip(paths.iter()) {
        let java_type = (!java_type.is_none()).then_some(&java_type);
        found.append(Reader::read(&reader, java_type, Some(&path))?)?;
    }
    Ok((reader, found))
}

/// One value being read.
struct Run<'a, 'py> {
    py: Python<'py>,
    pure: &'static Pure,
    reader: &'a Bound<'py, Reader>,
    data: &'a [u8],
    at: usize,
    nodes: i64,
    refs: &'a Bound<'py, PyList>,
    classes: &'a Bound<'py, PyList>,
    plans: Vec<Arc<ClassPlan>>,
    error: Option<PyErr>,
}

impl<'a, 'py> Run<'a, 'py> {
    fn of(reader: &'a Bound<'py, Reader>, plans: Vec<Arc<ClassPlan>>) -> PyResult<Self> {
        let py = reader.py();
        let this = reader.get();
        Ok(Self {
            py,
            pure: pure(py)?,
            reader,
            data: this.data.as_bytes(py),
            at: usize::try_from(this.offset()).unwrap_or(usize::MAX),
            nodes: this.nodes(),
            refs: this.refs.bind(py),
            classes: this.classes.bind(py),
            plans,
            error: None,
        })
    }

    // -------------------------------------------------------------- steps out of here

    fn write_back(&self) {
        let this = self.reader.get();
        this.set_offset(self.at as i64);
        this.set_nodes(self.nodes);
    }

    fn take_back(&mut self) -> Read<()> {
        let this = self.reader.get();
        self.at = usize::try_from(this.offset()).map_err(|_| Stop)?;
        self.nodes = this.nodes();
        Ok(())
    }

    fn done<T>(&mut self, result: PyResult<T>) -> Read<T> {
        result.map_err(|error| {
            self.error = Some(error);
            Stop
        })
    }

    /// Let the pure codec's function for this first byte read what follows it at `at`.
    #[cold]
    #[inline(never)]
    fn ask(&mut self, tag: u8, at: usize, depth: i64) -> Read<Bound<'py, PyAny>> {
        self.at = at;
        self.write_back();
        let function = self.pure.read[usize::from(tag)].bind(self.py);
        let found = function.call1((self.reader, at, depth));
        let found = self.done(found)?;
        self.take_back()?;
        Ok(found)
    }

    // -------------------------------------------------------------- values

    fn top(&mut self, plan: Option<&ConvertPlan>) -> Read<Bound<'py, PyAny>> {
        self.take(1)?;
        let depth = self.reader.get().numbers.depth;
        match plan {
            None => self.value(depth, false),
            Some(plan) => self.declared(plan, depth),
        }
    }

    #[inline]
    fn take(&mut self, nodes: i64) -> Read<()> {
        self.nodes = self.nodes.saturating_sub(nodes);
        if self.nodes < 0 {
            return Err(Stop);
        }
        Ok(())
    }

    /// Values beyond five for four bytes are limited: `reader.charge`.
    fn charge(&self) -> Read<()> {
        let this = self.reader.get();
        let most = (this.size + this.size / SPARE_BYTES).saturating_add(this.numbers.surplus);
        if this.numbers.nodes.saturating_sub(self.nodes) > most && this.size > 0 {
            return Err(Stop);
        }
        Ok(())
    }

    #[inline]
    fn byte(&mut self) -> Read<u8> {
        let byte = *self.data.get(self.at).ok_or(Stop)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self
            .data
            .get(self.at..)
            .and_then(<[u8]>::first_chunk::<N>)
            .ok_or(Stop)?;
        self.at += N;
        Ok(*bytes)
    }

    fn slice(&mut self, length: usize) -> Read<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Stop)?;
        let found = self.data.get(self.at..end).ok_or(Stop)?;
        self.at = end;
        Ok(found)
    }

    fn int(&self, value: i64) -> Read<Bound<'py, PyAny>> {
        let Ok(made) = value.into_pyobject(self.py);
        Ok(made.into_any())
    }

    /// A long: a plain int where its type is declared, else one that remembers what it was.
    fn long(&mut self, value: i64, numbers: bool) -> Read<Bound<'py, PyAny>> {
        if numbers {
            return self.int(value);
        }
        if (-8..16).contains(&value) {
            let index = (value + 8) as usize;
            return Ok(self.pure.short_longs[index].bind(self.py).clone());
        }
        let made = self.pure.long_value.bind(self.py).call1((value,));
        self.done(made)
    }

    fn float(&self, value: f64) -> Read<Bound<'py, PyAny>> {
        Ok(PyFloat::new(self.py, value).into_any())
    }

    /// A value. `depth`: how many containers may still be entered. `numbers`: `READ_NUMBERS`.
    fn value(&mut self, depth: i64, numbers: bool) -> Read<Bound<'py, PyAny>> {
        let tag = self.byte()?;
        let start = self.at;
        let high = i64::from(tag);
        match tag {
            0x00..=0x1f => self.text(tag, start, usize::from(tag), depth),
            0x80..=0xbf => self.int(high - 0x90),
            0xc0..=0xcf => {
                let low = i64::from(self.byte()?);
                self.int(((high - 0xc8) << 8) + low)
            }
            0xd0..=0xd7 => {
                let low = i64::from(u16::from_be_bytes(self.fixed()?));
                self.int(((high - 0xd4) << 16) + low)
            }
            b'I' => {
                let value = i32::from_be_bytes(self.fixed()?);
                self.int(i64::from(value))
            }
            0xd8..=0xef => self.long(high - 0xe0, numbers),
            0xf0..=0xff => {
                let low = i64::from(self.byte()?);
                self.long_kind(((high - 0xf8) << 8) + low, numbers)
            }
            0x38..=0x3f => {
                let low = i64::from(u16::from_be_bytes(self.fixed()?));
                self.long_kind(((high - 0x3c) << 16) + low, numbers)
            }
            0x59 => {
                let value = i32::from_be_bytes(self.fixed()?);
                self.long_kind(i64::from(value), numbers)
            }
            b'L' => {
                let value = i64::from_be_bytes(self.fixed()?);
                if numbers || i32::try_from(value).is_err() {
                    self.int(value)
                } else {
                    self.long_kind(value, numbers)
                }
            }
            b'N' => Ok(self.py.None().into_bound(self.py)),
            b'T' => Ok(true
                .into_pyobject(self.py)
                .map_err(|_| Stop)?
                .to_owned()
                .into_any()),
            b'F' => Ok(false
                .into_pyobject(self.py)
                .map_err(|_| Stop)?
                .to_owned()
                .into_any()),
            0x5b => self.float(0.0),
            0x5c => self.float(1.0),
            0x5d => {
                let value = i8::from_be_bytes(self.fixed()?);
                self.float(f64::from(value))
            }
            0x5e => {
                let value = i16::from_be_bytes(self.fixed()?);
                self.float(f64::from(value))
            }
            0x5f => {
                let value = i32::from_be_bytes(self.fixed()?);
                self.float(0.001 * f64::from(value))
            }
            b'D' => {
                let value = f64::from_be_bytes(self.fixed()?);
                self.float(value)
            }
            0x30..=0x33 => {
                let units = usize::from(tag - 0x30) << 8 | usize::from(self.byte()?);
                self.text(tag, start, units, depth)
            }
            b'S' => {
                let units = usize::from(u16::from_be_bytes(self.fixed()?));
                self.text(tag, start, units, depth)
            }
            0x20..=0x2f => self.binary(usize::from(tag - 0x20)),
            0x34..=0x37 => {
                let length = usize::from(tag - 0x34) << 8 | usize::from(self.byte()?);
                self.binary(length)
            }
            b'B' => {
                let length = usize::from(u16::from_be_bytes(self.fixed()?));
                self.binary(length)
            }
            0x51 => {
                let number = self.number()?;
                if self.declared_as(number)?.is_some() {
                    return self.ask(tag, start, depth);
                }
                self.refs.get_item(number).map_err(|_| Stop)
            }
            0x60..=0x6f | b'O' | 0x70..=0x7f | 0x55..=0x58 | b'H' | b'M' | b'C' => {
                if self.reader.get().numbers.depth - depth >= MAX_LEVELS {
                    return self.ask(tag, start, depth);
                }
                self.container(tag, depth)
            }
            // Chunks, dates, and what begins no value.
            _ => self.ask(tag, start, depth),
        }
    }

    /// As `long`, but an object of its own however small: only d8 to ef are shared ones.
    fn long_kind(&mut self, value: i64, numbers: bool) -> Read<Bound<'py, PyAny>> {
        if numbers {
            return self.int(value);
        }
        let made = self.pure.long_value.bind(self.py).call1((value,));
        self.done(made)
    }

    /// A string of so many units, which begin here. `start`: where what follows the tag began.
    fn text(&mut self, tag: u8, start: usize, units: usize, depth: i64) -> Read<Bound<'py, PyAny>> {
        let rest = self.data.get(self.at..).ok_or(Stop)?;
        if let Some(ascii) = rest.get(..units) {
            if ascii.is_ascii() {
                if let Ok(found) = std::str::from_utf8(ascii) {
                    self.at += units;
                    return Ok(PyString::new(self.py, found).into_any());
                }
            }
        }
        match text::decode(rest, units) {
            Some((found, length)) => {
                self.at += length;
                Ok(PyString::new(self.py, &found).into_any())
            }
            None => self.ask(tag, start, depth),
        }
    }

    fn binary(&mut self, length: usize) -> Read<Bound<'py, PyAny>> {
        let found = self.slice(length)?;
        Ok(PyBytes::new(self.py, found).into_any())
    }

    /// A length, a count or an index: an int that is not negative.
    fn number(&mut self) -> Read<usize> {
        let tag = self.byte()?;
        let high = i64::from(tag);
        let value = match tag {
            0x80..=0xbf => high - 0x90,
            0xc0..=0xcf => ((high - 0xc8) << 8) + i64::from(self.byte()?),
            0xd0..=0xd7 => ((high - 0xd4) << 16) + i64::from(u16::from_be_bytes(self.fixed()?)),
            b'I' => i64::from(i32::from_be_bytes(self.fixed()?)),
            _ => return Err(Stop),
        };
        usize::try_from(value).map_err(|_| Stop)
    }

    fn name(&mut self) -> Read<Bound<'py, PyString>> {
        match self.data.get(self.at) {
            Some(0x00..=0x1f | 0x30..=0x33 | 0x52 | 0x53) => {
                self.value(0, false)?.cast_into().map_err(|_| Stop)
            }
            _ => Err(Stop),
        }
    }

    /// The type of a list or map: its name, or the number of one that came before.
    fn type_name(&mut self) -> Read<Bound<'py, PyAny>> {
        let types = self.reader.get().types(self.py);
        if let Some(0x80..=0xd7 | b'I') = self.data.get(self.at) {
            let number = self.number()?;
            return types.get_item(number).map_err(|_| Stop);
        }
        let name = self.name()?;
        let appended = types.append(&name);
        self.done(appended)?;
        Ok(name.into_any())
    }

    // -------------------------------------------------------------- containers

    #[inline(never)]
    fn container(&mut self, tag: u8, depth: i64) -> Read<Bound<'py, PyAny>> {
        match tag {
            b'C' => return self.definitions(depth),
            0x60..=0x6f => return self.object(usize::from(tag - 0x60), depth),
            b'O' => {
                let number = self.number()?;
                return self.object(number, depth);
            }
            _ => {}
        }
        if depth <= 0 {
            return Err(Stop);
        }
        let depth = depth - 1;
        match tag {
            0x78..=0x7f => {
                let list = PyList::empty(self.py);
                self.items(list, usize::from(tag - 0x78), depth)
            }
            0x70..=0x77 => {
                let list = self.typed_list()?;
                self.items(list, usize::from(tag - 0x70), depth)
            }
            0x58 => {
                let count = self.number()?;
                self.items(PyList::empty(self.py), count, depth)
            }
            0x56 => {
                let list = self.typed_list()?;
                let count = self.number()?;
                self.items(list, count, depth)
            }
            0x57 => self.items_to_end(PyList::empty(self.py), depth),
            0x55 => {
                let list = self.typed_list()?;
                self.items_to_end(list, depth)
            }
            b'H' => self.entries(PyDict::new(self.py), depth),
            _ => {
                let name = self.type_name()?;
                let class = self.pure.java_map.bind(self.py);
                let made = self.typed(class, name)?;
                self.entries(made.cast_into().map_err(|_| Stop)?, depth)
            }
        }
    }

    fn typed_list(&mut self) -> Read<Bound<'py, PyList>> {
        let name = self.type_name()?;
        let class = self.pure.java_list.bind(self.py);
        self.typed(class, name)?.cast_into().map_err(|_| Stop)
    }

    /// An empty list or map that remembers its Java type.
    fn typed(
        &mut self,
        class: &Bound<'py, PyAny>,
        name: Bound<'py, PyAny>,
    ) -> Read<Bound<'py, PyAny>> {
        let made = class.call0();
        let made = self.done(made)?;
        let set = made.setattr(self.pure.names.java_type.bind(self.py), name);
        self.done(set)?;
        Ok(made)
    }

    fn refer(&mut self, value: &Bound<'py, PyAny>) -> Read<()> {
        let appended = self.refs.append(value);
        self.done(appended)
    }

    fn items(
        &mut self,
        list: Bound<'py, PyList>,
        count: usize,
        depth: i64,
    ) -> Read<Bound<'py, PyAny>> {
        self.refer(list.as_any())?;
        if count > self.data.len().saturating_sub(self.at) {
            return Err(Stop);
        }
        self.take(count as i64)?;
        for _ in 0..count {
            let value = self.value(depth, false)?;
            let appended = list.append(value);
            self.done(appended)?;
        }
        Ok(list.into_any())
    }

    fn items_to_end(&mut self, list: Bound<'py, PyList>, depth: i64) -> Read<Bound<'py, PyAny>> {
        self.refer(list.as_any())?;
        while *self.data.get(self.at).ok_or(Stop)? != 0x5a {
            self.take(1)?;
            let value = self.value(depth, false)?;
            let appended = list.append(value);
            self.done(appended)?;
        }
        self.at += 1;
        Ok(list.into_any())
    }

    fn entries(&mut self, map: Bound<'py, PyDict>, depth: i64) -> Read<Bound<'py, PyAny>> {
        self.refer(map.as_any())?;
        let mut guard: Option<Bound<'py, PyAny>> = None;
        while *self.data.get(self.at).ok_or(Stop)? != 0x5a {
            self.take(2)?;
            let mut key = self.value(depth, false)?;
            if !self.is_plain_key(&key) {
                key = self.admit(&mut guard, &key, &map)?;
            }
            let value = self.value(depth, false)?;
            let set = map.set_item(key, value);
            self.done(set)?;
        }
        self.at += 1;
        Ok(map.into_any())
    }

    /// `keys.PLAIN_KEYS`.
    fn is_plain_key(&self, key: &Bound<'py, PyAny>) -> bool {
        let class = key.get_type_ptr() as usize;
        let known = &self.pure.classes;
        class == known.text
            || class == known.int
            || class == known.long_value
            || class == known.boolean
            || class == known.none
            || class == known.float
            || class == known.bytes
    }

    #[cold]
    fn admit(
        &mut self,
        guard: &mut Option<Bound<'py, PyAny>>,
        key: &Bound<'py, PyAny>,
        map: &Bound<'py, PyDict>,
    ) -> Read<Bound<'py, PyAny>> {
        if guard.is_none() {
            let made = self
                .pure
                .key_guard
                .bind(self.py)
                .call1((&self.reader.get().limits,));
            *guard = Some(self.done(made)?);
        }
        let guard = guard.as_ref().ok_or(Stop)?;
        let admitted = guard.call_method1(self.pure.names.admit.bind(self.py), (key, map));
        self.done(admitted)
    }

    // -------------------------------------------------------------- objects

    /// Class definitions, and the value that follows them.
    #[inline(never)]
    fn definitions(&mut self, depth: i64) -> Read<Bound<'py, PyAny>> {
        loop {
            self.definition()?;
            if *self.data.get(self.at).ok_or(Stop)? != b'C' {
                return self.value(depth, false);
            }
            self.at += 1;
        }
    }

    fn definition(&mut self) -> Read<()> {
        let this = self.reader.get();
        if self.classes.len() as i64 >= this.numbers.class_definitions {
            return Err(Stop);
        }
        self.catch_up()?;
        let start = self.at;
        let plans = this.plans.get();
        if let Some(end) = self.end_of_definition() {
            if let Some((plan, fields)) = plans.definition(&self.data[start..end]) {
                self.count_names(fields)?;
                self.at = end;
                return self.define(plan);
            }
        }
        let name = self.name()?;
        let count = self.number()?;
        if count > self.data.len().saturating_sub(self.at) {
            return Err(Stop);
        }
        self.count_names(count as i64)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            fields.push(self.name()?);
        }
        let names = PyTuple::new(self.py, &fields);
        let names = self.done(names)?;
        self.write_back();
        let made = this
            .registry
            .bind(self.py)
            .call_method1(self.pure.names.wire_class.bind(self.py), (&name, names));
        let made = self.done(made)?;
        if made.get_type_ptr() as usize == self.pure.record_class {
            let plan = ClassPlan::record(&made, &name, count);
            let plan = self.done(plan)?;
            return self.define(Arc::new(plan));
        }
        let plan = plans.class(self.pure, &made);
        let plan = self.done(plan)?;
        if self.at - start <= MAX_DEFINITION_BYTES && !matches!(plan.class, Class::Opaque) {
            plans.define(&self.data[start..self.at], plan.clone(), count as i64);
        }
        self.define(plan)
    }

    fn count_names(&mut self, count: i64) -> Read<()> {
        let this = self.reader.get();
        let left = this.field_names().saturating_sub(count);
        this.set_field_names(left);
        if left < 0 {
            return Err(Stop);
        }
        Ok(())
    }

    fn define(&mut self, plan: Arc<ClassPlan>) -> Read<()> {
        let appended = self.classes.append(plan.wire_class.bind(self.py));
        self.done(appended)?;
        self.plans.push(plan);
        Ok(())
    }

    /// Where a definition ends whose texts are short ASCII, as nearly all are.
    fn end_of_definition(&self) -> Option<usize> {
        let mut at = self.after_text(self.at)?;
        let count = *self.data.get(at)?;
        if !(0x90..=0xbf).contains(&count) {
            return None;
        }
        at += 1;
        for _ in 0x90..count {
            at = self.after_text(at)?;
        }
        (at - self.at <= MAX_DEFINITION_BYTES).then_some(at)
    }

    fn after_text(&self, at: usize) -> Option<usize> {
        let tag = *self.data.get(at)?;
        let (begin, units) = match tag {
            0x00..=0x1f => (at + 1, usize::from(tag)),
            0x30..=0x33 => {
                let low = usize::from(*self.data.get(at + 1)?);
                (at + 2, usize::from(tag - 0x30) << 8 | low)
            }
            _ => return None,
        };
        let found = self.data.get(begin..begin + units)?;
        found.is_ascii().then_some(begin + units)
    }

    /// Prepare for the classes that the pure codec has met meanwhile.
    fn catch_up(&mut self) -> Read<()> {
        while self.plans.len() < self.classes.len() {
            let wire_class = self.classes.get_item(self.plans.len()).map_err(|_| Stop)?;
            let plan = if wire_class.get_type_ptr() as usize == self.pure.record_class {
                // Of this message only, so not one to be kept.
                ClassPlan::of(self.pure, &wire_class).map(Arc::new)
            } else {
                self.reader.get().plans.get().class(self.pure, &wire_class)
            };
            let plan = self.done(plan)?;
            self.plans.push(plan);
        }
        Ok(())
    }

    #[inline(never)]
    fn object(&mut self, number: usize, depth: i64) -> Read<Bound<'py, PyAny>> {
        self.catch_up()?;
        let plan = self.plans.get(number).ok_or(Stop)?.clone();
        self.take(plan.width)?;
        if depth <= 0 {
            return Err(Stop);
        }
        let depth = depth - 1;
        match &plan.class {
            Class::Bean(bean) => self.bean(bean, depth),
            Class::Record { name, fields } => self.record(name, fields, depth),
            Class::Enum { members } => self.constant(members, depth),
            Class::Opaque => {
                self.write_back();
                let read = plan
                    .wire_class
                    .bind(self.py)
                    .call_method1(self.pure.names.read.bind(self.py), (self.reader, self.at, depth));
                let found = self.done(read)?;
                self.take_back()?;
                Ok(found)
            }
        }
    }

    fn record(
        &mut self,
        name: &Py<PyString>,
        fields: &Py<PyTuple>,
        depth: i64,
    ) -> Read<Bound<'py, PyAny>> {
        let made = self.pure.record.bind(self.py).call1((name,));
        let made = self.done(made)?;
        self.refer(&made)?;
        let fields = fields.bind(self.py);
        let count = fields.len();
        if count > 0 {
            let mut values = Vec::with_capacity(count);
            for _ in 0..count {
                values.push(self.value(depth, false)?);
            }
            let filled = PyTuple::new(self.py, values)
                .and_then(|values| made.call_method1(self.pure.names.fill.bind(self.py), (fields, values)));
            self.done(filled)?;
        }
        Ok(made)
    }

    fn constant(&mut self, members: &Py<PyDict>, depth: i64) -> Read<Bound<'py, PyAny>> {
        let number = self.refs.len();
        let none = self.py.None().into_bound(self.py);
        self.refer(&none)?;
        let name = self.value(depth, false)?;
        if name.get_type_ptr() as usize != self.pure.classes.text {
            return Err(Stop);
        }
        let member = members.bind(self.py).get_item(name);
        let member = self.done(member)?.ok_or(Stop)?;
        let set = self.refs.set_item(number, &member);
        self.done(set)?;
        Ok(member)
    }

    fn bean(&mut self, bean: &BeanPlan, depth: i64) -> Read<Bound<'py, PyAny>> {
        let py = self.py;
        if bean.larger {
            self.charge()?;
        }
        let made = bean.new.bind(py).call1(&bean.new_arguments);
        let made = self.done(made)?;
        self.refer(&made)?;
        if bean.store == Store::Set {
            for (attribute, value) in &bean.constants {
                let set = made.setattr(attribute, value);
                self.done(set)?;
            }
            for (attribute, factory) in &bean.factories {
                let value = self.missing(factory)?;
                let set = made.setattr(attribute, value);
                self.done(set)?;
            }
            for field in &bean.fields {
                let value = self.field(field, depth)?;
                if let Some(attribute) = &field.attribute {
                    let set = made.setattr(attribute, value);
                    self.done(set)?;
                }
            }
            return Ok(made);
        }
        // As the pure codec: into a dict, which is the object's own or is copied at the end.
        let into = if bean.store == Store::Dict {
            let own = made.getattr(self.pure.names.dict.bind(py));
            self.done(own)?.cast_into::<PyDict>().map_err(|_| Stop)?
        } else {
            PyDict::new(py)
        };
        for (attribute, value) in &bean.constants {
            let set = into.set_item(attribute, value);
            self.done(set)?;
        }
        for (attribute, factory) in &bean.factories {
            let value = self.missing(factory)?;
            let set = into.set_item(attribute, value);
            self.done(set)?;
        }
        for field in &bean.fields {
            let value = self.field(field, depth)?;
            if let Some(attribute) = &field.attribute {
                let set = into.set_item(attribute, value);
                self.done(set)?;
            }
        }
        match bean.store {
            Store::Slots => {
                for (attribute, value) in into.iter() {
                    // Only stores: the class's `__setattr__` is object's.
                    let set = made.setattr(attribute.cast::<PyString>().map_err(|_| Stop)?, value);
                    self.done(set)?;
                }
            }
            Store::FrozenSlots => {
                let set_attribute = self.pure.object_setattr.bind(py);
                for (attribute, value) in into.iter() {
                    let set = set_attribute.call1((&made, attribute, value));
                    self.done(set)?;
                }
            }
            Store::Set | Store::Dict => {}
        }
        Ok(made)
    }

    fn missing(&mut self, factory: &Py<PyAny>) -> Read<Bound<'py, PyAny>> {
        let made = factory.bind(self.py).call0();
        self.done(made)
    }

    #[inline]
    fn field(&mut self, field: &FieldPlan, depth: i64) -> Read<Bound<'py, PyAny>> {
        match &field.convert {
            None => self.value(depth, false),
            Some(plan) => self.declared(plan, depth),
        }
    }

    // -------------------------------------------------------------- what is declared

    /// A value of a declared type.
    #[inline]
    fn declared(&mut self, plan: &ConvertPlan, depth: i64) -> Read<Bound<'py, PyAny>> {
        match plan.convert {
            Convert::Keep => self.value(depth, plan.numbers),
            Convert::Ask => {
                let value = self.value(depth, plan.numbers)?;
                if is_plain(&value, &plan.accepted) {
                    return Ok(value);
                }
                self.convert(plan, value)
            }
            _ => self.holding(plan, depth),
        }
    }

    /// Have the type convert what was read without it.
    #[inline(never)]
    fn convert(&mut self, plan: &ConvertPlan, value: Bound<'py, PyAny>) -> Read<Bound<'py, PyAny>> {
        self.write_back();
        let converted = plan
            .java_type
            .bind(self.py)
            .call_method1(self.pure.names.convert.bind(self.py), (value, self.reader));
        let converted = self.done(converted)?;
        self.nodes = self.reader.get().nodes();
        Ok(converted)
    }

    /// A value of a type that reads what it holds as declared: `containers`.
    #[inline(never)]
    fn holding(&mut self, plan: &ConvertPlan, depth: i64) -> Read<Bound<'py, PyAny>> {
        let tag = self.byte()?;
        let deep = self.reader.get().numbers.depth - depth >= MAX_LEVELS;
        match (tag, &plan.convert) {
            (b'N', _) => Ok(self.py.None().into_bound(self.py)),
            (0x51, _) => {
                let start = self.at;
                let number = self.number()?;
                let known = self.declared_as(number)?;
                if known.is_some_and(|known| known.is(&plan.java_type)) {
                    return self.refs.get_item(number).map_err(|_| Stop);
                }
                self.at = start;
                self.ask_table(plan, tag, depth)
            }
            (0x70..=0x7f | 0x55..=0x58, Convert::List(item)) if !deep => {
                let number = self.refs.len();
                let list = self.items_as(tag, plan, depth, item)?;
                self.finish(number, plan)?;
                Ok(list.into_any())
            }
            (0x70..=0x7f | 0x55..=0x58, Convert::Tuple(item)) if !deep => {
                let number = self.refs.len();
                let made = self.items_as(tag, plan, depth, item)?.to_tuple();
                let set = self.refs.set_item(number, &made);
                self.done(set)?;
                self.finish(number, plan)?;
                Ok(made.into_any())
            }
            (0x70..=0x7f | 0x56 | 0x58, Convert::Row(items)) if !deep => {
                let number = self.refs.len();
                let (list, count) = self.list_as(tag, plan, depth)?;
                if count != Some(items.len()) {
                    return Err(Stop);
                }
                for item in items {
                    let value = self.declared(item, depth - 1)?;
                    let appended = list.append(value);
                    self.done(appended)?;
                }
                let made = list.to_tuple();
                let set = self.refs.set_item(number, &made);
                self.done(set)?;
                self.finish(number, plan)?;
                Ok(made.into_any())
            }
            (0x70..=0x7f | 0x55..=0x58, Convert::Set(item, frozen)) if !deep => {
                let number = self.refs.len();
                let list = self.items_as(tag, plan, depth, item)?;
                let made = self.set_of(plan, item, *frozen, list)?;
                let set = self.refs.set_item(number, &made);
                self.done(set)?;
                self.finish(number, plan)?;
                Ok(made)
            }
            (b'H' | b'M', Convert::Map(both)) if !deep => {
                self.entries_as(tag, plan, depth, &both.0, &both.1)
            }
            _ => self.ask_table(plan, tag, depth),
        }
    }

    /// The set of these items: `SetType.made_of`.
    fn set_of(
        &mut self,
        plan: &ConvertPlan,
        item: &ConvertPlan,
        frozen: bool,
        list: Bound<'py, PyList>,
    ) -> Read<Bound<'py, PyAny>> {
        let plain = matches!(item.convert, Convert::Ask)
            && list
                .iter()
                .all(|one| is_plain(&one, &item.accepted) && self.is_plain_key(&one));
        if plain && !frozen {
            let (set, elements) = self.pure.set;
            self.take(set.saturating_add(list.len() as i64 / elements.max(1)))?;
            self.charge()?;
            let made = PySet::new(self.py, list);
            return self.done(made).map(Bound::into_any);
        }
        self.write_back();
        let made = plan
            .java_type
            .bind(self.py)
            .call_method1(self.pure.names.made_of.bind(self.py), (list, self.reader));
        let made = self.done(made)?;
        self.nodes = self.reader.get().nodes();
        Ok(made)
    }

    /// Let the pure type's function for this first byte read what follows it.
    #[cold]
    #[inline(never)]
    fn ask_table(&mut self, plan: &ConvertPlan, tag: u8, depth: i64) -> Read<Bound<'py, PyAny>> {
        self.write_back();
        let found = plan
            .java_type
            .bind(self.py)
            .getattr(self.pure.names.table.bind(self.py))
            .and_then(|table| table.get_item(tag))
            .and_then(|function| function.call1((self.reader, self.at, depth)));
        let found = self.done(found)?;
        self.take_back()?;
        if is_plain(&found, &plan.accepted) {
            return Ok(found);
        }
        self.convert(plan, found)
    }

    /// As what type the container of this number was read, if as one.
    fn declared_as(&mut self, number: usize) -> Read<Option<Bound<'py, PyAny>>> {
        let Some(declared) = self.reader.get().declared.get(self.py) else {
            return Ok(None);
        };
        let declared = declared.bind(self.py);
        if number >= declared.len() {
            return Ok(None);
        }
        let found = declared.get_item(number).map_err(|_| Stop)?;
        Ok((!found.is_none()).then_some(found))
    }

    /// Give what is about to be read its number, and say as what it is read.
    fn declare(&mut self, value: &Bound<'py, PyAny>, plan: &ConvertPlan) -> Read<()> {
        let declared = self.reader.get().declared(self.py);
        for _ in declared.len()..self.refs.len() {
            let appended = declared.append(self.py.None());
            self.done(appended)?;
        }
        let appended = declared.append(&plan.unfinished);
        self.done(appended)?;
        self.refer(value)
    }

    /// The container of this number is read.
    fn finish(&mut self, number: usize, plan: &ConvertPlan) -> Read<()> {
        let declared = self.reader.get().declared(self.py);
        let set = declared.set_item(number, &plan.java_type);
        self.done(set)
    }

    /// A list that begins with this byte, empty yet, and its length unless an end is marked.
    fn list_as(
        &mut self,
        tag: u8,
        plan: &ConvertPlan,
        depth: i64,
    ) -> Read<(Bound<'py, PyList>, Option<usize>)> {
        if depth <= 0 {
            return Err(Stop);
        }
        let list = match tag {
            0x78..=0x7f | 0x57 | 0x58 => PyList::empty(self.py),
            _ => self.typed_list()?,
        };
        let count = match tag {
            0x55 | 0x57 => None,
            0x56 | 0x58 => Some(self.number()?),
            _ => Some(usize::from(tag & 7)),
        };
        self.declare(list.as_any(), plan)?;
        if let Some(count) = count {
            if count > self.data.len().saturating_sub(self.at) {
                return Err(Stop);
            }
            self.take(count as i64)?;
        }
        Ok((list, count))
    }

    /// A list of items of one type.
    fn items_as(
        &mut self,
        tag: u8,
        plan: &ConvertPlan,
        depth: i64,
        item: &ConvertPlan,
    ) -> Read<Bound<'py, PyList>> {
        let (list, count) = self.list_as(tag, plan, depth)?;
        let depth = depth - 1;
        match count {
            Some(count) => {
                for _ in 0..count {
                    let value = self.declared(item, depth)?;
                    let appended = list.append(value);
                    self.done(appended)?;
                }
            }
            None => {
                while *self.data.get(self.at).ok_or(Stop)? != 0x5a {
                    self.take(1)?;
                    let value = self.declared(item, depth)?;
                    let appended = list.append(value);
                    self.done(appended)?;
                }
                self.at += 1;
            }
        }
        Ok(list)
    }

    fn entries_as(
        &mut self,
        tag: u8,
        plan: &ConvertPlan,
        depth: i64,
        of_key: &ConvertPlan,
        of_value: &ConvertPlan,
    ) -> Read<Bound<'py, PyAny>> {
        if depth <= 0 {
            return Err(Stop);
        }
        let depth = depth - 1;
        let map: Bound<'py, PyDict> = if tag == b'H' {
            PyDict::new(self.py)
        } else {
            let name = self.type_name()?;
            let class = self.pure.java_map.bind(self.py);
            self.typed(class, name)?.cast_into().map_err(|_| Stop)?
        };
        let number = self.refs.len();
        self.declare(map.as_any(), plan)?;
        let mut guard: Option<Bound<'py, PyAny>> = None;
        while *self.data.get(self.at).ok_or(Stop)? != 0x5a {
            self.take(2)?;
            let (mut key, plain) = self.key_as(of_key, depth)?;
            if !plain {
                key = self.admit(&mut guard, &key, &map)?;
            }
            let value = self.declared(of_value, depth)?;
            let set = map.set_item(key, value);
            self.done(set)?;
        }
        self.finish(number, plan)?;
        self.at += 1;
        Ok(map.into_any())
    }

    /// A key of a declared type, and whether it needs no look: what was converted may be a
    /// large int, whose hash a peer chose.
    fn key_as(&mut self, plan: &ConvertPlan, depth: i64) -> Read<(Bound<'py, PyAny>, bool)> {
        if !matches!(plan.convert, Convert::Ask | Convert::Keep) {
            let key = self.holding(plan, depth)?;
            let plain = self.is_plain_key(&key);
            return Ok((key, plain));
        }
        let key = self.value(depth, plan.numbers)?;
        if matches!(plan.convert, Convert::Keep) || is_plain(&key, &plan.accepted) {
            let plain = self.is_plain_key(&key);
            return Ok((key, plain));
        }
        let key = self.convert(plan, key)?;
        let plain = key.get_type_ptr() as usize == self.pure.classes.text;
        Ok((key, plain))
    }
}

fn is_plain(value: &Bound<'_, PyAny>, plain: &Plain) -> bool {
    plain.contains(&(value.get_type_ptr() as usize))
}
