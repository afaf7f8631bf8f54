//! A jsonb value, passed through untouched wherever nobody needs to look inside.

use super::report::Report;
use super::text::Text;

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::marker::PhantomData;

mod output;

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

    fn root(self) -> *mut pg_sys::JsonbContainer {
        // SAFETY: `flat` is a whole Jsonb.
        unsafe { &raw mut (*self.flat()).root }
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        // SAFETY: a container begins with its header.
        unsafe { (*self.root()).header & pg_sys::JB_FOBJECT != 0 }
    }

    /// The elements, where this is an array.
    pub fn array(self) -> Option<Array<'a>> {
        let root = self.root();
        // SAFETY: a container begins with its header; a scalar is stored as an array of its own.
        let header = unsafe { (*root).header };
        let is_array = header & pg_sys::JB_FARRAY != 0 && header & pg_sys::JB_FSCALAR == 0;
        is_array.then_some(Array {
            root,
            length: (header & pg_sys::JB_CMASK) as usize,
            lifetime: PhantomData,
        })
    }

    /// The value that a JSON text spells; error 22P02 where it spells none.
    pub fn parse(text: &Text<'_>) -> Jsonb<'static> {
        // A text value never contains NUL, so nothing is cut off.
        let spelled = std::ffi::CString::new(text.bytes()).unwrap_or_default();
        // SAFETY: jsonb_in reads a NUL-terminated string and returns a palloc'd value or raises.
        unsafe {
            Jsonb::from_datum(pg_sys::OidInputFunctionCall(
                pg_sys::Oid::from(pg_sys::F_JSONB_IN),
                spelled.as_ptr().cast_mut(),
                pg_sys::InvalidOid,
                -1,
            ))
        }
    }

    /// A new object of these keys and values, in the current memory context.
    pub fn object(pairs: &[(&str, Value<'_>)]) -> Jsonb<'static> {
        let mut state = std::ptr::null_mut();
        // SAFETY: the strings outlive the state, whose value JsonbValueToJsonb copies.
        unsafe {
            let (begin, end) = (
                pg_sys::JsonbIteratorToken::WJB_BEGIN_OBJECT,
                pg_sys::JsonbIteratorToken::WJB_END_OBJECT,
            );
            pg_sys::pushJsonbValue(&mut state, begin, std::ptr::null_mut());
            for (key, value) in pairs {
                let mut key = Value::Text(key.as_bytes()).value();
                let mut value = value.value();
                let (is_key, is_value) = (
                    pg_sys::JsonbIteratorToken::WJB_KEY,
                    pg_sys::JsonbIteratorToken::WJB_VALUE,
                );
                pg_sys::pushJsonbValue(&mut state, is_key, &mut key);
                pg_sys::pushJsonbValue(&mut state, is_value, &mut value);
            }
            let whole = pg_sys::pushJsonbValue(&mut state, end, std::ptr::null_mut());
            Jsonb::from_datum(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(whole)))
        }
    }

    /// The operator `=`.
    fn equals(self, other: Jsonb<'_>) -> bool {
        // SAFETY: jsonb = jsonb returns a boolean.
        let equal = unsafe {
            pg_sys::OidFunctionCall2Coll(
                pg_sys::Oid::from(pg_sys::F_JSONB_EQ),
                pg_sys::InvalidOid,
                self.datum,
                other.datum,
            )
        };
        equal.value() as u8 != 0
    }

    /// Whether both are absent, or both there and equal.
    pub fn are_equal(one: Option<Jsonb<'_>>, other: Option<Jsonb<'_>>) -> bool {
        match (one, other) {
            (None, None) => true,
            (Some(one), Some(other)) => one.equals(other),
            _ => false,
        }
    }

    /// The value under `key` of an object, as `->` finds it; `None` where this is no object or the
    /// key is absent.
    pub fn field(self, key: &str) -> Option<Jsonb<'static>> {
        self.item(key).map(|item| item.to_jsonb())
    }

    /// The same without a copy.
    pub fn item(self, key: &str) -> Option<Item<'a>> {
        if !self.is_object() {
            return None;
        }
        let object = Object {
            root: self.root(),
            lifetime: PhantomData,
        };
        object.get(key)
    }

    /// The operator `||`: for two objects all pairs of both, those of `other` where both have one.
    pub fn concat(self, other: Jsonb<'_>) -> Jsonb<'static> {
        // SAFETY: jsonb || jsonb returns a palloc'd jsonb.
        unsafe {
            Jsonb::from_datum(pg_sys::OidFunctionCall2Coll(
                pg_sys::Oid::from(pg_sys::F_JSONB_CONCAT),
                pg_sys::InvalidOid,
                self.datum,
                other.datum,
            ))
        }
    }

    /// The JSON text, in the database's encoding, as `::varchar` prints it.
    pub fn to_text(self) -> Text<'static> {
        let mut text = Vec::new();
        self.print(&mut text);
        Text::copied(&text)
    }

    /// Appends the JSON text. Error 54000 where it is longer than 1 GB.
    pub fn print(self, text: &mut Vec<u8>) {
        // SAFETY: what is flat, with whichever header, is its bytes; a detoasted copy lives for
        // the call.
        let json = unsafe { Text::from_datum(self.datum) };
        if output::append(json.bytes(), text).is_err() {
            Report::new(
                PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                "the JSON text of a value is longer than 1 GB",
            )
            .hint("Select parts of it as jsonb.")
            .raise();
        }
    }
}

/// A value to make an object of.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A string, in the database's encoding.
    Text(&'a [u8]),
    /// A number.
    Bigint(i64),
    /// A part of another value.
    Json(&'a Item<'a>),
}

impl Value<'_> {
    fn value(&self) -> pg_sys::JsonbValue {
        let mut value = pg_sys::JsonbValue::default();
        match self {
            Self::Text(text) => {
                value.type_ = pg_sys::jbvType::jbvString;
                value.val.string.len = text.len() as i32;
                value.val.string.val = text.as_ptr().cast_mut().cast();
            }
            Self::Bigint(number) => {
                value.type_ = pg_sys::jbvType::jbvNumeric;
                // SAFETY: returns a palloc'd number.
                value.val.numeric = unsafe { pg_sys::int64_to_numeric(*number) };
            }
            Self::Json(item) => value = item.value,
        }
        value
    }
}

/// A JSON array, flat in memory.
pub struct Array<'a> {
    root: *mut pg_sys::JsonbContainer,
    length: usize,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Array<'a> {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Element `number`, from 0.
    pub fn get(&self, number: usize) -> Option<Item<'a>> {
        // SAFETY: the container is flat; what is returned is palloc'd and points into it.
        unsafe {
            let found = pg_sys::getIthJsonbValueFromContainer(self.root, number as u32);
            (!found.is_null()).then(|| Item {
                value: *found,
                lifetime: PhantomData,
            })
        }
    }
}

/// A value inside another one.
pub struct Item<'a> {
    value: pg_sys::JsonbValue,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Item<'a> {
    /// Whether it is JSON's null.
    pub fn is_null(&self) -> bool {
        self.value.type_ == pg_sys::jbvType::jbvNull
    }

    /// The text of a string, copied.
    pub fn string(&self) -> Option<Text<'static>> {
        if self.value.type_ != pg_sys::jbvType::jbvString {
            return None;
        }
        // SAFETY: a string's bytes lie in the value that this one is part of.
        unsafe {
            let string = self.value.val.string;
            let bytes = std::slice::from_raw_parts(string.val.cast(), string.len as usize);
            Some(Text::copied(bytes))
        }
    }

    /// The pairs, where it is an object.
    pub fn object(&self) -> Option<Object<'a>> {
        if self.value.type_ != pg_sys::jbvType::jbvBinary {
            return None;
        }
        // SAFETY: a binary value is a container, which begins with its header.
        unsafe {
            let root = self.value.val.binary.data;
            ((*root).header & pg_sys::JB_FOBJECT != 0).then_some(Object {
                root,
                lifetime: PhantomData,
            })
        }
    }

    /// A copy as a value of its own; numbers stay as exact as they are.
    pub fn to_jsonb(&self) -> Jsonb<'static> {
        let mut value = self.value;
        // SAFETY: what the value points at lives for 'a, and is copied here.
        unsafe { Jsonb::from_datum(pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(&mut value))) }
    }
}

/// A JSON object inside another value.
pub struct Object<'a> {
    root: *mut pg_sys::JsonbContainer,
    lifetime: PhantomData<&'a ()>,
}

impl<'a> Object<'a> {
    /// How many pairs it has.
    pub fn len(&self) -> usize {
        // SAFETY: a container begins with its header.
        unsafe { ((*self.root).header & pg_sys::JB_CMASK) as usize }
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<Item<'a>> {
        let mut value = pg_sys::JsonbValue::default();
        // SAFETY: an object's container; the found value points into it.
        let found = unsafe {
            pg_sys::getKeyJsonValueFromContainer(
                self.root,
                key.as_ptr().cast(),
                key.len() as i32,
                &mut value,
            )
        };
        (!found.is_null()).then_some(Item {
            value,
            lifetime: PhantomData,
        })
    }

    /// Its keys, in the order in which jsonb keeps them.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let mut value = pg_sys::JsonbValue::default();
        let skip_nested = true;
        // SAFETY: the iterator is palloc'd, and set to null at the end; a key's bytes are copied.
        unsafe {
            let mut iterator = pg_sys::JsonbIteratorInit(self.root);
            loop {
                match pg_sys::JsonbIteratorNext(&mut iterator, &mut value, skip_nested) {
                    pg_sys::JsonbIteratorToken::WJB_DONE => return keys,
                    pg_sys::JsonbIteratorToken::WJB_KEY => {
                        let string = value.val.string;
                        let bytes =
                            std::slice::from_raw_parts(string.val.cast(), string.len as usize);
                        keys.push(bytes.to_vec());
                    }
                    _ => {}
                }
            }
        }
    }
}
