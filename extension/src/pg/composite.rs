//! Composite values that we are called with, taken apart.
//!
//! pgrx's `PgHeapTuple` looks for an attribute by its name at each read. Here the layout is compared
//! once, and then all attributes are taken in one pass.

use super::jsonb::Jsonb;
use super::layout::Layout;
use super::row_descriptor::{NO_MODIFIER, RowDescriptor};
use super::spi::Row;
use super::text::Text;
use pgrx::pg_sys;
use std::marker::PhantomData;

/// The attributes of one composite value.
pub struct Composite<'a, const N: usize> {
    values: [Option<pg_sys::Datum>; N],
    lifetime: PhantomData<&'a ()>,
}

impl<'a, const N: usize> Composite<'a, N> {
    /// Attribute `number` (from 0) of a `bigint` type; `None` for NULL.
    pub fn bigint(&self, number: usize) -> Option<i64> {
        self.values[number].map(|datum| datum.value() as i64)
    }

    /// Attribute `number` (from 0) of a text type.
    pub fn text(&self, number: usize) -> Option<Text<'a>> {
        // SAFETY: callers name an attribute that the type declares as text or varchar; the value
        // it is part of lives for 'a.
        self.values[number].map(|datum| unsafe { Text::from_datum(datum) })
    }

    /// All attributes, to be handed on.
    pub fn values(&self) -> [Option<pg_sys::Datum>; N] {
        self.values
    }

    /// Attribute `number` (from 0) of type `jsonb`.
    pub fn jsonb(&self, number: usize) -> Option<Jsonb<'a>> {
        // SAFETY: callers name an attribute that the type declares as jsonb.
        self.values[number].map(|datum| unsafe { Jsonb::from_datum(datum) })
    }
}

/// An array of values of one composite type.
pub struct Composites<'a, const N: usize> {
    elements: Vec<Option<pg_sys::Datum>>,
    dimensions: i32,
    attributes: Attributes<N>,
    lifetime: PhantomData<&'a ()>,
}

impl<'a, const N: usize> Composites<'a, N> {
    /// 55000 where the attributes do not have these types.
    ///
    /// # Safety
    /// `array` must be a non-null array of a composite type that lives for `'a`.
    pub(super) unsafe fn of(array: pg_sys::Datum, types: &[pg_sys::Oid; N]) -> Self {
        let (length, by_value, alignment) = (-1, false, b'd');
        let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        // SAFETY: the caller's; both arrays of `count` are palloc'd for us, and the elements point
        // into the flat array.
        unsafe {
            let array: *mut pg_sys::ArrayType =
                pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast();
            let element = (*array).elemtype;
            pg_sys::deconstruct_array(
                array,
                element,
                length,
                by_value,
                alignment as std::ffi::c_char,
                &mut values,
                &mut nulls,
                &mut count,
            );
            let elements = (0..count as usize)
                .map(|number| (!*nulls.add(number)).then(|| *values.add(number)))
                .collect();
            Self {
                elements,
                dimensions: (*array).ndim,
                attributes: Attributes::of(element, NO_MODIFIER, types),
                lifetime: PhantomData,
            }
        }
    }

    /// How many dimensions the array has; an empty one has none.
    pub fn dimensions(&self) -> i32 {
        self.dimensions
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Element `number` (from 0); `None` for NULL.
    pub fn get(&mut self, number: usize) -> Option<Composite<'a, N>> {
        let element = self.elements[number]?;
        // SAFETY: the element is a value of the type that `attributes` describes.
        Some(unsafe { self.attributes.read(element) })
    }
}

/// The value of a composite parameter; 55000 where its attributes do not have these types.
///
/// # Safety
/// `value` must be a non-null composite that lives for `'a`.
pub(super) unsafe fn read<'a, const N: usize>(
    value: pg_sys::Datum,
    types: &[pg_sys::Oid; N],
) -> Composite<'a, N> {
    // SAFETY: the caller's; a composite datum carries its type.
    unsafe {
        let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast();
        let kind = (*header).t_choice.t_datum;
        Attributes::of(kind.datum_typeid, kind.datum_typmod, types).read(value)
    }
}

/// The values of column `number` (from 0), which must be of a composite type whose attributes have these
/// types (else 55000), in all rows of a result where it is not NULL.
pub fn column<'a, const N: usize>(
    rows: &'a [Row],
    number: usize,
    types: &[pg_sys::Oid; N],
) -> Vec<Composite<'a, N>> {
    let Some(type_oid) = rows.first().map(|row| row.type_of(number)) else {
        return Vec::new();
    };
    let mut attributes = Attributes::of(type_oid, NO_MODIFIER, types);
    let values = rows.iter().filter_map(|row| row.value(number, type_oid));
    // SAFETY: the values are of the type that `attributes` describes, and live as long as their rows.
    values
        .map(|value| unsafe { attributes.read(value) })
        .collect()
}

/// A composite type's descriptor, and room to take a value of it apart.
struct Attributes<const N: usize> {
    descriptor: RowDescriptor,
    layout: Layout<N>,
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl<const N: usize> Attributes<N> {
    fn of(type_oid: pg_sys::Oid, modifier: i32, types: &[pg_sys::Oid; N]) -> Self {
        let descriptor = RowDescriptor::of(type_oid, modifier);
        // SAFETY: the descriptor is pinned.
        let layout = unsafe { Layout::of(descriptor.as_ptr(), types) };
        Self {
            descriptor,
            values: vec![pg_sys::Datum::null(); layout.columns()],
            nulls: vec![true; layout.columns()],
            layout,
        }
    }

    /// # Safety
    /// `value` must be a non-null value of this type that lives for `'a`.
    unsafe fn read<'a>(&mut self, value: pg_sys::Datum) -> Composite<'a, N> {
        // SAFETY: the tuple lies in the flat value, whose length is in its varlena header; the
        // arrays have room for all attributes.
        unsafe {
            let header: pg_sys::HeapTupleHeader =
                pg_sys::pg_detoast_datum(value.cast_mut_ptr()).cast();
            let mut tuple = pg_sys::HeapTupleData {
                t_len: pgrx::varlena::varsize_any(header.cast()) as u32,
                t_data: header,
                ..Default::default()
            };
            pg_sys::heap_deform_tuple(
                &mut tuple,
                self.descriptor.as_ptr(),
                self.values.as_mut_ptr(),
                self.nulls.as_mut_ptr(),
            );
        }
        Composite {
            values: self.layout.pick(&self.values, &self.nulls),
            lifetime: PhantomData,
        }
    }
}
