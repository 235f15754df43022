//! What is prepared once: how a type converts, how a class is read, how a type is written.
//!
//! The pure codec's types and classes are described by `kubbo.wire.hessian2.native` as tuples
//! and kept here, for one `TypeRegistry`, as plans without lookups. A plan is owned by the
//! `Plans` of its registry; whoever uses it meanwhile shares it. What has no plan of its own
//! (`Opaque`, `Ask`) is done by calling the pure type or class.

use std::collections::hash_map::DefaultHasher;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

use crate::pure::{pure, ClassAddress, Pure};

/// See `lib::disagreements`.
pub static DISAGREEMENTS: AtomicU64 = AtomicU64::new(0);

/// Kept types and classes of one registry; a generic caller may bring any number of them.
const MAX_KEPT: usize = 4_096;
/// Class definitions that are known by their bytes, and their size: a peer chooses both.
const MAX_DEFINITIONS: usize = 512;
pub const MAX_DEFINITION_BYTES: usize = 2_048;

/// Hashes addresses: they are distinct already.
#[derive(Default, Clone, Copy)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }
    fn write_usize(&mut self, address: usize) {
        // Fibonacci hashing, then the good high bits to where the table looks.
        self.0 = (self.0 ^ address as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(20);
    }
}

pub type ByAddress<T> = HashMap<usize, T, BuildHasherDefault<AddressHasher>>;

// ------------------------------------------------------------------ how a type converts

/// The classes of which values stay as they are. Their addresses are good as long as the
/// type that holds them, which every plan does.
pub type Plain = Vec<ClassAddress>;

pub enum Convert {
    /// Call the type's `convert`.
    Ask,
    /// Call the functions of the type's own `table`.
    Table,
    /// Everything stays as it is.
    Keep,
    // What holds others is read item by item as what those are declared.
    List(Box<ConvertPlan>),
    /// Also whether it is a frozenset.
    Set(Box<ConvertPlan>, bool),
    Tuple(Box<ConvertPlan>),
    /// A tuple of one type a place.
    Row(Vec<ConvertPlan>),
    Map(Box<(ConvertPlan, ConvertPlan)>),
}

/// How a value of a declared type is read.
pub struct ConvertPlan {
    pub java_type: Py<PyAny>,
    /// Classes of values that need nothing more once they are read.
    pub accepted: Plain,
    /// Longs are plain ints here: the table is `READ_NUMBERS`.
    pub numbers: bool,
    pub convert: Convert,
    /// What stands in `Reader.declared` while one is read.
    pub unfinished: Py<PyAny>,
}

fn plain_of(classes: &Bound<'_, PyAny>) -> PyResult<Plain> {
    let mut found = Vec::new();
    for class in classes.try_iter()? {
        found.push(class?.as_ptr() as usize);
    }
    Ok(found)
}

impl ConvertPlan {
    /// From `(numbers, accepted, kind, types within)`: see `describe_convert`.
    fn of(pure: &Pure, java_type: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = java_type.py();
        let described = pure.describe_convert.bind(py).call1((java_type,))?;
        let kind: String = described.get_item(2)?.extract()?;
        let mut within = Vec::new();
        for one in described.get_item(3)?.try_iter()? {
            within.push(Self::of(pure, &one?)?);
        }
        let convert = if kind == "row" {
            Convert::Row(within)
        } else {
            let mut within = within.into_iter();
            match (kind.as_str(), within.next(), within.next()) {
                ("list", Some(item), None) => Convert::List(Box::new(item)),
                ("set", Some(item), None) => Convert::Set(Box::new(item), false),
                ("frozenset", Some(item), None) => Convert::Set(Box::new(item), true),
                ("tuple", Some(item), None) => Convert::Tuple(Box::new(item)),
                ("map", Some(key), Some(value)) => Convert::Map(Box::new((key, value))),
                ("keep", ..) => Convert::Keep,
                ("table", ..) => Convert::Table,
                _ => Convert::Ask,
            }
        };
        Ok(Self {
            java_type: java_type.clone().unbind(),
            accepted: plain_of(&described.get_item(1)?)?,
            numbers: described.get_item(0)?.extract()?,
            convert,
            unfinished: described.get_item(4)?.unbind(),
        })
    }
}

// ------------------------------------------------------------------ how a class is read

pub struct FieldPlan {
    /// None for a field that the class does not know: it is read and dropped.
    pub attribute: Option<Py<PyString>>,
    pub convert: Option<ConvertPlan>,
}

/// How attributes get into an object without running the user's code.
#[derive(Clone, Copy, PartialEq)]
pub enum Store {
    /// `setattr`, which for this class only stores.
    Set,
    /// Into `__dict__`.
    Dict,
    /// Slots, by `setattr` once all fields are read.
    Slots,
    /// Slots of a class with a `__setattr__` of its own (a frozen one): `object.__setattr__`.
    FrozenSlots,
}

pub struct BeanPlan {
    pub new: Py<PyAny>,
    pub new_arguments: Py<PyTuple>,
    pub fields: Vec<FieldPlan>,
    pub store: Store,
    /// An object is larger than what its bytes make of it: see `reader.charge`.
    pub larger: bool,
    /// Attribute and value of what the peer does not send.
    pub constants: Vec<(Py<PyString>, Py<PyAny>)>,
    /// And the functions that make such values.
    pub factories: Vec<(Py<PyString>, Py<PyAny>)>,
}

pub enum Class {
    /// Call the class's `read`.
    Opaque,
    Record {
        name: Py<PyString>,
        fields: Py<PyTuple>,
    },
    Bean(BeanPlan),
    /// An enum that is defined with its name only, as all are.
    Enum {
        members: Py<PyDict>,
    },
}

pub struct ClassPlan {
    pub wire_class: Py<PyAny>,
    pub width: i64,
    pub class: Class,
}

impl ClassPlan {
    /// A class that nobody registered.
    pub fn record(
        wire_class: &Bound<'_, PyAny>,
        name: &Bound<'_, PyString>,
        count: usize,
    ) -> PyResult<Self> {
        let py = wire_class.py();
        Ok(Self {
            wire_class: wire_class.clone().unbind(),
            width: count as i64,
            class: Class::Record {
                name: name.clone().unbind(),
                // Not the names as they came: equal ones are told apart.
                fields: wire_class.getattr(pure(py)?.names.fields.bind(py))?.extract()?,
            },
        })
    }

    /// From `(width, kind, ...)`: see `describe_class`.
    pub fn of(pure: &Pure, wire_class: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = wire_class.py();
        let described = pure.describe_class.bind(py).call1((wire_class,))?;
        let kind: String = described.get_item(1)?.extract()?;
        let class = match kind.as_str() {
            "bean" => {
                let class = described.get_item(2)?;
                let mut fields = Vec::new();
                for field in described.get_item(3)?.try_iter()? {
                    let (attribute, java_type): (Option<Py<PyString>>, Option<Bound<'_, PyAny>>) =
                        field?.extract()?;
                    let convert = match java_type {
                        Some(java_type) => Some(ConvertPlan::of(pure, &java_type)?),
                        None => None,
                    };
                    fields.push(FieldPlan { attribute, convert });
                }
                let store: String = described.get_item(4)?.extract()?;
                Class::Bean(BeanPlan {
                    new: class.getattr("__new__")?.unbind(),
                    new_arguments: PyTuple::new(py, [class])?.unbind(),
                    fields,
                    store: match store.as_str() {
                        "set" => Store::Set,
                        "slots" => Store::Slots,
                        "frozen slots" => Store::FrozenSlots,
                        _ => Store::Dict,
                    },
                    constants: described.get_item(5)?.extract()?,
                    factories: described.get_item(6)?.extract()?,
                    larger: described.get_item(7)?.extract()?,
                })
            }
            "enum" => Class::Enum {
                members: described.get_item(2)?.extract()?,
            },
            _ => Class::Opaque,
        };
        Ok(Self {
            wire_class: wire_class.clone().unbind(),
            width: described.get_item(0)?.extract()?,
            class,
        })
    }
}

/// A class definition that is known by its bytes.
pub struct Definition {
    pub class: Arc<ClassPlan>,
    pub fields: i64,
}

// ------------------------------------------------------------------ how a type is written

pub struct LayoutPlan {
    pub layout: Py<PyAny>,
    pub definition: Arc<[u8]>,
    /// Of the definition, the same for equal ones.
    pub hash: u64,
}

pub enum Write {
    /// Call the type's `write`.
    Opaque,
    Any,
    Whole {
        min: i64,
        max: i64,
        long: bool,
    },
    Double,
    Boolean,
    Text,
    Bytes,
    Boxed {
        primitive: usize,
    },
    List {
        item: usize,
        java_type: Option<Py<PyString>>,
    },
    Map {
        key: usize,
        value: usize,
        java_type: Option<Py<PyString>>,
    },
    Bean {
        class: ClassAddress,
        layout: LayoutPlan,
        fields: Vec<(Py<PyString>, usize)>,
    },
    Enum {
        class: ClassAddress,
        layout: LayoutPlan,
        names: Py<PyDict>,
    },
}

pub struct WritePlan {
    pub java_type: Py<PyAny>,
    pub write: Write,
}

/// A type and all that it reaches, by index; the type itself is the first.
pub struct WritePlans(pub Vec<WritePlan>);

impl WritePlans {
    fn of(pure: &Pure, java_type: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = java_type.py();
        let mut waiting = vec![java_type.clone()];
        let mut indices: ByAddress<usize> = HashMap::default();
        indices.insert(java_type.as_ptr() as usize, 0);
        let mut plans = Vec::new();
        let mut at = 0;
        while let Some(one) = waiting.get(at).cloned() {
            at += 1;
            let described = pure.describe_write.bind(py).call1((&one,))?;
            let mut index = |part: usize| -> PyResult<usize> {
                let reached = described.get_item(part)?;
                let address = reached.as_ptr() as usize;
                if let Some(known) = indices.get(&address) {
                    return Ok(*known);
                }
                indices.insert(address, waiting.len());
                waiting.push(reached);
                Ok(waiting.len() - 1)
            };
            let kind: String = described.get_item(0)?.extract()?;
            let write = match kind.as_str() {
                "any" => Write::Any,
                "whole" => Write::Whole {
                    min: described.get_item(1)?.extract()?,
                    max: described.get_item(2)?.extract()?,
                    long: described.get_item(3)?.extract()?,
                },
                "double" => Write::Double,
                "boolean" => Write::Boolean,
                "text" => Write::Text,
                "bytes" => Write::Bytes,
                "boxed" => Write::Boxed {
                    primitive: index(1)?,
                },
                "list" => Write::List {
                    item: index(1)?,
                    java_type: type_name(&described.get_item(2)?)?,
                },
                "map" => Write::Map {
                    key: index(1)?,
                    value: index(2)?,
                    java_type: type_name(&described.get_item(3)?)?,
                },
                "bean" => {
                    let attributes: Vec<Py<PyString>> = described.get_item(3)?.extract()?;
                    let mut fields = Vec::with_capacity(attributes.len());
                    for (number, attribute) in attributes.into_iter().enumerate() {
                        fields.push((attribute, index(4 + number)?));
                    }
                    Write::Bean {
                        class: described.get_item(1)?.as_ptr() as usize,
                        layout: LayoutPlan::of(&described.get_item(2)?)?,
                        fields,
                    }
                }
                "enum" => Write::Enum {
                    class: described.get_item(1)?.as_ptr() as usize,
                    layout: LayoutPlan::of(&described.get_item(2)?)?,
                    names: described.get_item(3)?.extract()?,
                },
                _ => Write::Opaque,
            };
            plans.push(WritePlan {
                java_type: one.unbind(),
                write,
            });
        }
        Ok(Self(plans))
    }
}

fn type_name(name: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyString>>> {
    let name: Bound<'_, PyString> = name.extract()?;
    Ok(if name.is_empty()? {
        None
    } else {
        Some(name.unbind())
    })
}

impl LayoutPlan {
    pub fn of(layout: &Bound<'_, PyAny>) -> PyResult<Self> {
        let definition: Bound<'_, PyBytes> = layout.getattr("definition")?.extract()?;
        let mut hasher = DefaultHasher::new();
        hasher.write(definition.as_bytes());
        Ok(Self {
            layout: layout.clone().unbind(),
            definition: definition.as_bytes().into(),
            hash: hasher.finish(),
        })
    }
}

/// How values of a class are written where nothing declares them.
#[derive(Clone)]
pub enum AnyWrite {
    Typed(Arc<WritePlans>),
    /// A function of writer and value.
    Call(Arc<Py<PyAny>>),
}

// ------------------------------------------------------------------ what a registry keeps

#[derive(Default)]
struct Kept {
    converts: ByAddress<Arc<ConvertPlan>>,
    classes: ByAddress<Arc<ClassPlan>>,
    definitions: HashMap<Box<[u8]>, Definition>,
    writes: ByAddress<Arc<WritePlans>>,
    // By class; the class is kept alive by what stands beside the plan.
    any: ByAddress<(Py<PyType>, AnyWrite)>,
}

/// The plans of one registry.
#[pyclass(frozen, module = "kubbo_native")]
#[derive(Default)]
pub struct Plans {
    kept: Mutex<Kept>,
}

type PlansOf<'a> = MutexGuard<'a, Kept>;

impl Plans {
    /// No Python code may run while this is held: it could come back here.
    fn kept(&self) -> PlansOf<'_> {
        // A panic while it was held is impossible; the tables would be whole even then.
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub fn convert(&self, pure: &Pure, java_type: &Bound<'_, PyAny>) -> PyResult<Arc<ConvertPlan>> {
        let address = java_type.as_ptr() as usize;
        if let Some(known) = self.kept().converts.get(&address) {
            return Ok(known.clone());
        }
        let made = Arc::new(ConvertPlan::of(pure, java_type)?);
        self.make_room();
        let replaced = self.kept().converts.insert(address, made.clone());
        drop(replaced);
        Ok(made)
    }

    pub fn class(&self, pure: &Pure, wire_class: &Bound<'_, PyAny>) -> PyResult<Arc<ClassPlan>> {
        let address = wire_class.as_ptr() as usize;
        if let Some(known) = self.kept().classes.get(&address) {
            return Ok(known.clone());
        }
        let made = Arc::new(ClassPlan::of(pure, wire_class)?);
        self.make_room();
        let replaced = self.kept().classes.insert(address, made.clone());
        drop(replaced);
        Ok(made)
    }

    /// The class that these bytes define, and its number of fields.
    pub fn definition(&self, bytes: &[u8]) -> Option<(Arc<ClassPlan>, i64)> {
        let kept = self.kept();
        let found = kept.definitions.get(bytes)?;
        Some((found.class.clone(), found.fields))
    }

    /// Remember a definition. Only classes of the registry: those never change.
    pub fn define(&self, bytes: &[u8], class: Arc<ClassPlan>, fields: i64) {
        let mut dropped = None;
        let mut kept = self.kept();
        if kept.definitions.len() >= MAX_DEFINITIONS {
            dropped = Some(std::mem::take(&mut kept.definitions));
        }
        kept.definitions
            .insert(bytes.into(), Definition { class, fields });
        drop(kept);
        drop(dropped);
    }

    pub fn write(&self, pure: &Pure, java_type: &Bound<'_, PyAny>) -> PyResult<Arc<WritePlans>> {
        let address = java_type.as_ptr() as usize;
        if let Some(known) = self.kept().writes.get(&address) {
            return Ok(known.clone());
        }
        let made = Arc::new(WritePlans::of(pure, java_type)?);
        self.make_room();
        let replaced = self.kept().writes.insert(address, made.clone());
        drop(replaced);
        Ok(made)
    }

    pub fn known_any(&self, class: ClassAddress) -> Option<AnyWrite> {
        self.kept().any.get(&class).map(|(_, known)| known.clone())
    }

    pub fn any(
        &self,
        pure: &Pure,
        class: &Bound<'_, PyType>,
        registry: &Bound<'_, PyAny>,
    ) -> PyResult<AnyWrite> {
        let py = class.py();
        let described = pure.describe_any.bind(py).call1((registry, class))?;
        let (typed, found): (bool, Bound<'_, PyAny>) = described.extract()?;
        let made = if typed {
            AnyWrite::Typed(self.write(pure, &found)?)
        } else {
            AnyWrite::Call(Arc::new(found.unbind()))
        };
        self.make_room();
        let entry = (class.clone().unbind(), made.clone());
        let replaced = self.kept().any.insert(class.as_ptr() as usize, entry);
        drop(replaced);
        Ok(made)
    }

    fn make_room(&self) {
        let mut kept = self.kept();
        let count = kept.converts.len() + kept.classes.len() + kept.writes.len() + kept.any.len();
        if count >= MAX_KEPT {
            let dropped = std::mem::take(&mut *kept);
            drop(kept);
            drop(dropped);
        }
    }
}

#[pymethods]
impl Plans {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Every Python object once. `definitions` shares its plans with `classes`.
        let Ok(kept) = self.kept.try_lock() else {
            return Ok(());
        };
        for plan in kept.converts.values() {
            plan.traverse(&visit)?;
        }
        for plan in kept.classes.values() {
            plan.traverse(&visit)?;
        }
        for plans in kept.writes.values() {
            plans.traverse(&visit)?;
        }
        for (class, write) in kept.any.values() {
            visit.call(class)?;
            if let AnyWrite::Call(function) = write {
                visit.call(&**function)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self) {
        let dropped = std::mem::take(&mut *self.kept());
        drop(dropped);
    }
}

impl ConvertPlan {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.java_type)?;
        visit.call(&self.unfinished)?;
        match &self.convert {
            Convert::List(item) | Convert::Set(item, _) | Convert::Tuple(item) => {
                item.traverse(visit)
            }
            Convert::Row(items) => items.iter().try_for_each(|item| item.traverse(visit)),
            Convert::Map(both) => {
                both.0.traverse(visit)?;
                both.1.traverse(visit)
            }
            Convert::Ask | Convert::Table | Convert::Keep => Ok(()),
        }
    }
}

impl ClassPlan {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.wire_class)?;
        if let Class::Bean(bean) = &self.class {
            visit.call(&bean.new)?;
            visit.call(&bean.new_arguments)?;
            for field in &bean.fields {
                if let Some(convert) = &field.convert {
                    convert.traverse(visit)?;
                }
            }
            for (_, value) in bean.constants.iter().chain(&bean.factories) {
                visit.call(value)?;
            }
        } else if let Class::Enum { members } = &self.class {
            visit.call(members)?;
        }
        Ok(())
    }
}

impl WritePlans {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for plan in &self.0 {
            visit.call(&plan.java_type)?;
            match &plan.write {
                Write::Bean { layout, .. } => visit.call(&layout.layout)?,
                Write::Enum { layout, names, .. } => {
                    visit.call(&layout.layout)?;
                    visit.call(names)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
