//! A text value as PostgreSQL holds it: bytes in the database's encoding, borrowed, not copied.

use pgrx::pg_sys;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A `text` or `varchar` whose bytes lie flat in memory (detoasted where it had to be).
#[derive(Clone, Copy)]
pub struct Text<'a> {
    varlena: *mut pg_sys::varlena,
    lifetime: PhantomData<&'a [u8]>,
}

impl<'a> Text<'a> {
    /// Borrows a text datum, detoasting it into the current memory context where needed.
    ///
    /// # Safety
    /// `datum` must be a non-null text or varchar that lives for `'a`.
    pub unsafe fn from_datum(datum: pg_sys::Datum) -> Self {
        let given = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller vouches for the datum's type. What is flat already needs no call.
        let varlena = unsafe {
            let is_flat = pgrx::varlena::varatt_is_4b_u(given)
                || (pgrx::varlena::varatt_is_1b(given) && !pgrx::varlena::varatt_is_1b_e(given));
            if is_flat {
                given
            } else {
                pg_sys::pg_detoast_datum_packed(given)
            }
        };
        Self {
            varlena,
            lifetime: PhantomData,
        }
    }

    /// A new text of these bytes in the current memory context.
    pub fn copied(bytes: &[u8]) -> Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        // SAFETY: the bytes are copied before the call returns; a length over 1 GB is refused by
        // PostgreSQL's allocator with an error.
        let varlena = unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), length) };
        Self {
            varlena: varlena.cast(),
            lifetime: PhantomData,
        }
    }

    /// The bytes, in the database's encoding. Every encoding a database may have keeps ASCII
    /// bytes to themselves, so looking for `-`, `:` or `+` in them is exact.
    pub fn bytes(&self) -> &'a [u8] {
        // SAFETY: `varlena` is flat, by construction, and lives for `'a`.
        unsafe {
            let data = pgrx::varlena::vardata_any(self.varlena);
            let length = pgrx::varlena::varsize_any_exhdr(self.varlena);
            std::slice::from_raw_parts(data.cast(), length)
        }
    }

    /// The same value as a datum; no copy.
    pub fn datum(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(self.varlena)
    }

    /// For messages to people and for names of SQL objects.
    pub fn to_str(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }
}

/// Room for one text after another, which nobody has to free.
pub struct TextBuffer(Vec<u8>);

/// PostgreSQL's `MaxAllocSize`: the most bytes of a value.
const MAX_ALLOC_SIZE: usize = 0x3FFF_FFFF;
/// A buffer that grew beyond this shrinks again.
const BUFFER_KEPT: usize = 1 << 20;

impl TextBuffer {
    /// Empty.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The text whose bytes `write` appends; good until the next one.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> pg_sys::Datum {
        self.0.clear();
        self.0.shrink_to(BUFFER_KEPT);
        self.0.extend_from_slice(&[0; pg_sys::VARHDRSZ]);
        write(&mut self.0);
        // Whoever writes keeps to what a value may have; beyond it, this is refused.
        let length = self.0.len();
        if length > MAX_ALLOC_SIZE {
            return Text::copied(&self.0).datum();
        }
        let varlena = self.0.as_mut_ptr().cast::<pg_sys::varlena>();
        debug_assert!(varlena.cast::<u32>().is_aligned());
        // SAFETY: the first bytes are the header's; the allocator aligns blocks to 8 bytes or more.
        unsafe { pgrx::varlena::set_varsize_4b(varlena, length as i32) };
        pg_sys::Datum::from(varlena)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_str())
    }
}
