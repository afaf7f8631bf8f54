//! One-dimensional arrays for the functions we call, and the bigints of one we are called with.
//!
//! pgrx makes an array from a `Vec` of datums, which PostgreSQL copies once more, and reads one element by
//! element. Here the elements of a run of messages are written where they stay, and read as the slice
//! that they are.

use super::routine;
use pgrx::pg_sys;

/// PostgreSQL's MAXALIGN.
const ALIGNMENT: usize = 8;
/// Bytes before the elements of an array of one dimension without NULLs.
const FLAT_HEADER: usize = size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>();

/// A `bigint[]` of these values, in the current memory context.
pub fn of_bigints(values: impl ExactSizeIterator<Item = i64>) -> pg_sys::Datum {
    let count = values.len();
    if count == 0 {
        // SAFETY: any type has an empty array.
        return pg_sys::Datum::from(unsafe { pg_sys::construct_empty_array(pg_sys::INT8OID) });
    }
    let size = FLAT_HEADER + count * size_of::<i64>();
    // SAFETY: the header of one dimension without NULLs, and its elements, fill the palloc'd room,
    // which is aligned for both. An array over 1 GB is refused with an error.
    unsafe {
        let array = pg_sys::palloc(size).cast::<pg_sys::ArrayType>();
        pgrx::varlena::set_varsize_4b(array.cast(), size as i32);
        (*array).ndim = 1;
        (*array).dataoffset = 0;
        (*array).elemtype = pg_sys::INT8OID;
        let [dimension, lower_bound] = [0, 1].map(|number| array.add(1).cast::<i32>().add(number));
        *dimension = count as i32;
        *lower_bound = 1;
        let elements = array.cast::<u8>().add(FLAT_HEADER).cast::<i64>();
        let mut written = 0;
        for value in values.take(count) {
            *elements.add(written) = value;
            written += 1;
        }
        assert_eq!(written, count, "an iterator that knows its length");
        pg_sys::Datum::from(array)
    }
}

/// An array of composite values of one type, in the current memory context.
pub fn of_composites(values: &[pg_sys::Datum], type_oid: pg_sys::Oid) -> pg_sys::Datum {
    debug_assert!(routine::array_of(type_oid) != pg_sys::InvalidOid);
    let (length, by_value, alignment) = (-1, false, b'd');
    construct(values, type_oid, length, by_value, alignment)
}

/// A `text[]`, in the current memory context.
pub fn of_texts(values: &[pg_sys::Datum]) -> pg_sys::Datum {
    let (length, by_value, alignment) = (-1, false, b'i');
    construct(values, pg_sys::TEXTOID, length, by_value, alignment)
}

fn construct(
    values: &[pg_sys::Datum],
    type_oid: pg_sys::Oid,
    length: i32,
    by_value: bool,
    alignment: u8,
) -> pg_sys::Datum {
    let mut values = values.to_vec();
    // SAFETY: the values are of the given type and passing mode; they are copied. An array over
    // 1 GB is refused with an error.
    let array = unsafe {
        pg_sys::construct_array(
            values.as_mut_ptr(),
            values.len() as i32,
            type_oid,
            length,
            by_value,
            alignment as std::ffi::c_char,
        )
    };
    pg_sys::Datum::from(array)
}

/// The elements of a `bigint[]`; `None` where one is NULL.
///
/// # Safety
/// `array` must be a non-null `bigint[]` that lives for `'a`.
pub(super) unsafe fn bigints<'a>(array: pg_sys::Datum) -> Option<&'a [i64]> {
    // SAFETY: the caller's; a flat array's elements lie behind its header, aligned, with nothing
    // between them where none is NULL.
    unsafe {
        let array: *mut pg_sys::ArrayType = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast();
        if pg_sys::array_contains_nulls(array) {
            return None;
        }
        let dimensions = (*array).ndim;
        let count = pg_sys::ArrayGetNItems(dimensions, array.add(1).cast());
        let header = match (*array).dataoffset {
            0 => size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>() * dimensions as usize,
            offset => offset as usize,
        };
        let elements = array.cast::<u8>().add(header.next_multiple_of(ALIGNMENT));
        Some(std::slice::from_raw_parts(elements.cast(), count as usize))
    }
}
