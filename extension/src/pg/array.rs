//! One-dimensional arrays for the functions we call, and the bigints of one we are called with.

use super::routine;
use pgrx::pg_sys;

/// A `bigint[]` of these datums, in the current memory context.
pub fn of_bigints(values: &[pg_sys::Datum]) -> pg_sys::Datum {
    let (length, by_value, alignment) = (8, true, b'd');
    construct(values, pg_sys::INT8OID, length, by_value, alignment)
}

/// An array of composite values of one type, in the current memory context.
pub fn of_composites(values: &[pg_sys::Datum], type_oid: pg_sys::Oid) -> pg_sys::Datum {
    debug_assert!(routine::array_of(type_oid) != pg_sys::InvalidOid);
    let (length, by_value, alignment) = (-1, false, b'd');
    construct(values, type_oid, length, by_value, alignment)
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

/// The elements of a `bigint[]`, NULLs as `None`.
///
/// # Safety
/// `array` must be a non-null `bigint[]`.
pub(super) unsafe fn bigints(array: pg_sys::Datum) -> Vec<Option<i64>> {
    let (length, by_value, alignment) = (8, true, b'd');
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the caller's; both arrays of `count` are palloc'd for us.
    unsafe {
        pg_sys::deconstruct_array(
            pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast(),
            pg_sys::INT8OID,
            length,
            by_value,
            alignment as std::ffi::c_char,
            &mut values,
            &mut nulls,
            &mut count,
        );
        (0..count as usize)
            .map(|number| (!*nulls.add(number)).then(|| (*values.add(number)).value() as i64))
            .collect()
    }
}
