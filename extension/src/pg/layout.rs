//! Whether a row has the columns that our code reads and writes.
//!
//! A composite type belongs to whoever made it, and ALTER TYPE changes it under us. What is believed
//! of a row's layout is compared with its descriptor before a byte of it is read or written.

use super::bindings;
use super::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::ffi::CStr;

/// Where `N` columns are in a row: dropped ones lie between them.
pub struct Layout<const N: usize> {
    places: [usize; N],
    columns: usize,
}

impl<const N: usize> Layout<N> {
    /// Finds the columns of `descriptor`, which must be of exactly these types; 55000 otherwise.
    ///
    /// # Safety
    /// `descriptor` must be live.
    pub(super) unsafe fn of(descriptor: pg_sys::TupleDesc, types: &[pg_sys::Oid; N]) -> Self {
        // SAFETY: the caller's; numbers stay below `natts`.
        let (columns, attributes) = unsafe {
            let columns = (*descriptor).natts as usize;
            let attributes = (0..columns)
                .map(|number| (number, &*bindings::TupleDescAttr(descriptor, number)))
                .filter(|(_, attribute)| !attribute.attisdropped);
            (columns, attributes)
        };
        let mut places = [0; N];
        let mut found = 0;
        for (number, attribute) in attributes {
            if types.get(found) != Some(&attribute.atttypid) {
                // SAFETY: the caller's.
                unsafe { refuse(descriptor) }
            }
            places[found] = number;
            found += 1;
        }
        if found < N {
            // SAFETY: the caller's.
            unsafe { refuse(descriptor) }
        }
        Self { places, columns }
    }

    /// Hands `store` the values, and which of them are NULL, as arrays over all columns.
    pub(super) fn spread<T>(
        &self,
        values: [Option<pg_sys::Datum>; N],
        store: impl FnOnce(*mut pg_sys::Datum, *mut bool) -> T,
    ) -> T {
        if self.columns == N {
            let mut nulls = values.map(|value| value.is_none());
            let mut datums = values.map(|value| value.unwrap_or(pg_sys::Datum::null()));
            return store(datums.as_mut_ptr(), nulls.as_mut_ptr());
        }
        let mut nulls = vec![true; self.columns];
        let mut datums = vec![pg_sys::Datum::null(); self.columns];
        for (place, value) in self.places.iter().zip(values) {
            nulls[*place] = value.is_none();
            datums[*place] = value.unwrap_or(pg_sys::Datum::null());
        }
        store(datums.as_mut_ptr(), nulls.as_mut_ptr())
    }

    /// The values among all columns that are these columns'.
    pub(super) fn pick(
        &self,
        datums: &[pg_sys::Datum],
        nulls: &[bool],
    ) -> [Option<pg_sys::Datum>; N] {
        self.places
            .map(|place| (!nulls[place]).then(|| datums[place]))
    }

    /// How many columns there are, dropped ones included.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }
}

/// # Safety
/// `descriptor` must be live.
unsafe fn refuse(descriptor: pg_sys::TupleDesc) -> ! {
    // SAFETY: the caller's.
    let name = type_name(unsafe { (*descriptor).tdtypeid });
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("type {name} does not have the attributes that this library knows"),
    )
    .hint("ALTER TYPE takes back what was changed; the extension's script has it as it must be.")
    .raise()
}

/// A type's name as SQL spells it, whether there is such a type or not.
pub(super) fn type_name(type_oid: pg_sys::Oid) -> String {
    // SAFETY: any oid may be asked about; the name is palloc'd.
    let name = unsafe { CStr::from_ptr(pg_sys::format_type_be(type_oid)) };
    name.to_string_lossy().into_owned()
}
