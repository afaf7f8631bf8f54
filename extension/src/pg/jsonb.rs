//! A jsonb value, passed through untouched wherever nobody needs to look inside.

use super::text::Text;
use pgrx::pg_sys;
use std::marker::PhantomData;

/// A non-null jsonb datum, possibly still toasted.
#[derive(Clone, Copy)]
pub struct Jsonb<'a> {
    datum: pg_sys::Datum,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Jsonb<'a> {
    /// Borrows a jsonb datum.
    ///
    /// # Safety
    /// `datum` must be a non-null jsonb that lives for `'a`.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Self {
        Self {
            datum,
            lifetime: PhantomData,
        }
    }

    /// The same value as a datum; no copy.
    pub fn datum(&self) -> pg_sys::Datum {
        self.datum
    }

    /// Bytes of the flat value, without reading it from its toast table.
    pub fn size(&self) -> usize {
        // SAFETY: a jsonb datum is a varlena.
        unsafe { pg_sys::toast_raw_datum_size(self.datum) }
    }

    fn flat(self) -> *mut pg_sys::Jsonb {
        // SAFETY: a jsonb datum is a varlena whose flat form is a Jsonb.
        unsafe { pg_sys::pg_detoast_datum(self.datum.cast_mut_ptr()).cast() }
    }

    /// The string under `key` of an object, as `->>` finds it; `None` where this is no object,
    /// the key is absent, or the value is not a string.
    pub fn string_field(&self, key: &str) -> Option<Vec<u8>> {
        let flat = self.flat();
        // SAFETY: `flat` is a whole Jsonb; the found value points into it and is copied here.
        unsafe {
            let root = &raw mut (*flat).root;
            if (*root).header & pg_sys::JB_FOBJECT == 0 {
                return None;
            }
            let mut found = pg_sys::JsonbValue::default();
            let hit = pg_sys::getKeyJsonValueFromContainer(
                root,
                key.as_ptr().cast(),
                key.len() as i32,
                &mut found,
            );
            if hit.is_null() || found.type_ != pg_sys::jbvType::jbvString {
                return None;
            }
            let string = found.val.string;
            Some(std::slice::from_raw_parts(string.val.cast(), string.len as usize).to_vec())
        }
    }

    /// The JSON text, in the database's encoding, as `::varchar` prints it.
    pub fn to_text(self) -> Text<'static> {
        let flat = self.flat();
        // SAFETY: JsonbToCString reads the whole flat value and appends to the buffer, which begins
        // with room for the header of a text.
        unsafe {
            let size = pgrx::varlena::varsize_any_exhdr(flat.cast());
            let root = &raw mut (*flat).root;
            // The text is rarely longer than the value it is of.
            let room = size + 2 * pg_sys::VARHDRSZ;
            let mut buffer = pg_sys::StringInfoData {
                data: pg_sys::palloc(room).cast(),
                len: pg_sys::VARHDRSZ as i32,
                maxlen: room as i32,
                cursor: 0,
            };
            pg_sys::JsonbToCString(&mut buffer, root, size as i32);
            Text::of_buffer(&buffer)
        }
    }
}
