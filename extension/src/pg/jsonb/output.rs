//! The text of a jsonb value, letter for letter as PostgreSQL prints it.
//!
//! Readers of messages get `data` and `metadata` as text, and printing is most of what a read costs:
//! PostgreSQL walks a value through an iterator, and copies strings byte by byte. This prints from
//! the bytes as they are stored. Their layout is that of PostgreSQL's `utils/jsonb.h` and, for
//! numbers, `utils/adt/numeric.c`; it is part of the data on disk, and the same in 15 to 18.

mod number;
mod room;

use room::{TooLong, make_room};
use std::ops::Range;

/// Marks of a container's header.
mod header {
    pub const COUNT: u32 = 0x0FFF_FFFF;
    pub const SCALAR: u32 = 0x1000_0000;
    pub const OBJECT: u32 = 0x2000_0000;
}

/// Marks of an entry: the length of a child, or where it ends, and its kind.
mod entry {
    pub const LENGTH: u32 = 0x0FFF_FFFF;
    pub const KIND: u32 = 0x7000_0000;
    pub const IS_END: u32 = 0x8000_0000;
    pub const STRING: u32 = 0x0000_0000;
    pub const NUMBER: u32 = 0x1000_0000;
    pub const FALSE: u32 = 0x2000_0000;
    pub const TRUE: u32 = 0x3000_0000;
    pub const NULL: u32 = 0x4000_0000;
}

/// Bytes of a header and of an entry; numbers and containers are aligned to as many.
const WORD: usize = 4;

/// A container whose children are being printed.
struct Level {
    is_object: bool,
    /// Where its entries begin: those of the keys, for an object, then those of the values.
    entries: usize,
    /// Where the bytes of its children begin.
    children: usize,
    /// Elements, or pairs.
    count: usize,
    /// Those printed.
    done: usize,
    /// Where the next key begins, from `children` on.
    key: usize,
    /// Where the next value begins.
    value: usize,
}

/// Appends the text of a value, given the bytes after its varlena header.
pub fn append(json: &[u8], text: &mut Vec<u8>) -> Result<(), TooLong> {
    if word(json, 0) & header::SCALAR != 0 {
        let (kind, bytes) = Level::at(json, 0).next(json);
        return append_scalar(json, kind, bytes, text);
    }
    // A stack of our own: values may be nested deeper than the program's stack is deep.
    let mut outer = Vec::new();
    let mut level = Level::opened(json, 0, text);
    loop {
        if level.done == level.count {
            text.push(if level.is_object { b'}' } else { b']' });
            match outer.pop() {
                Some(next) => level = next,
                None => return Ok(()),
            }
            continue;
        }
        if level.done > 0 {
            text.extend_from_slice(b", ");
        }
        if level.is_object {
            append_string(&json[level.next_key(json)], text)?;
            text.extend_from_slice(b": ");
        }
        let (kind, bytes) = level.next(json);
        if kind > entry::NULL {
            let inner = Level::opened(json, aligned(bytes.start), text);
            outer.push(std::mem::replace(&mut level, inner));
        } else {
            append_scalar(json, kind, bytes, text)?;
        }
    }
}

impl Level {
    fn at(json: &[u8], container: usize) -> Self {
        let header = word(json, container);
        let is_object = header & header::OBJECT != 0;
        let count = (header & header::COUNT) as usize;
        let entries = container + WORD;
        let all = if is_object { 2 * count } else { count };
        let mut level = Self {
            is_object,
            entries,
            children: entries + all * WORD,
            count,
            done: 0,
            key: 0,
            value: 0,
        };
        if is_object {
            level.value = (0..count).fold(0, |start, number| end(level.entry(json, number), start));
        }
        level
    }

    fn opened(json: &[u8], container: usize, text: &mut Vec<u8>) -> Self {
        let level = Self::at(json, container);
        text.push(if level.is_object { b'{' } else { b'[' });
        level
    }

    fn entry(&self, json: &[u8], number: usize) -> u32 {
        word(json, self.entries + number * WORD)
    }

    /// Where the next pair's key lies.
    fn next_key(&mut self, json: &[u8]) -> Range<usize> {
        let start = self.key;
        self.key = end(self.entry(json, self.done), start);
        self.children + start..self.children + self.key
    }

    /// Goes past the next element or value; returns its kind and where it lies.
    fn next(&mut self, json: &[u8]) -> (u32, Range<usize>) {
        let number = if self.is_object {
            self.count + self.done
        } else {
            self.done
        };
        let (entry, start) = (self.entry(json, number), self.value);
        self.value = end(entry, start);
        self.done += 1;
        let bytes = self.children + start..self.children + self.value;
        (entry & entry::KIND, bytes)
    }
}

fn append_scalar(
    json: &[u8],
    kind: u32,
    bytes: Range<usize>,
    text: &mut Vec<u8>,
) -> Result<(), TooLong> {
    match kind {
        entry::STRING => return append_string(&json[bytes], text),
        entry::NUMBER => return number::append(&json[aligned(bytes.start)..bytes.end], text),
        _ => make_room(text, 0)?,
    }
    match kind {
        entry::FALSE => text.extend_from_slice(b"false"),
        entry::TRUE => text.extend_from_slice(b"true"),
        _ => text.extend_from_slice(b"null"),
    }
    Ok(())
}

fn append_string(string: &[u8], text: &mut Vec<u8>) -> Result<(), TooLong> {
    let mut rest = string;
    make_room(text, rest.len())?;
    text.push(b'"');
    loop {
        let plain = plain_length(rest);
        text.extend_from_slice(&rest[..plain]);
        let Some(special) = rest.get(plain) else {
            break;
        };
        append_escaped(*special, text);
        rest = &rest[plain + 1..];
        make_room(text, rest.len())?;
    }
    text.push(b'"');
    Ok(())
}

fn append_escaped(byte: u8, text: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
        0x08 => text.extend_from_slice(b"\\b"),
        0x0C => text.extend_from_slice(b"\\f"),
        b'\n' => text.extend_from_slice(b"\\n"),
        b'\r' => text.extend_from_slice(b"\\r"),
        b'\t' => text.extend_from_slice(b"\\t"),
        _ => {
            text.extend_from_slice(b"\\u00");
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

/// How many bytes stand before the first that must be escaped. No encoding of a database has such
/// bytes within other characters.
fn plain_length(string: &[u8]) -> usize {
    let mut length = 0;
    for eight in string.chunks_exact(8) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(eight);
        if has_special(u64::from_le_bytes(bytes)) {
            break;
        }
        length += 8;
    }
    let tail = &string[length..];
    length
        + tail
            .iter()
            .position(|byte| is_special(*byte))
            .unwrap_or(tail.len())
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// [`is_special`] of any of eight bytes at once.
fn has_special(bytes: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below =
        |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & HIGHS;
    let equals = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
    below(bytes, b' ') | equals(b'"') | equals(b'\\') != 0
}

/// Where a child ends that begins at `start`, from the first child on.
fn end(entry: u32, start: usize) -> usize {
    let length = (entry & entry::LENGTH) as usize;
    if entry & entry::IS_END != 0 {
        length
    } else {
        start + length
    }
}

/// Where the next word begins. The value itself begins at one.
fn aligned(offset: usize) -> usize {
    offset.next_multiple_of(WORD)
}

fn word(json: &[u8], at: usize) -> u32 {
    let mut bytes = [0; WORD];
    bytes.copy_from_slice(&json[at..at + WORD]);
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(string: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        append_string(string, &mut text).expect("short enough");
        text
    }

    #[test]
    fn control_characters_quotes_and_backslashes_are_escaped() {
        assert_eq!(string(b"a\"b\\c\n\r\t\x08\x0c"), br#""a\"b\\c\n\r\t\b\f""#);
        assert_eq!(string(b"\x01\x1f\x7f"), b"\"\\u0001\\u001f\x7f\"");
    }

    proptest! {
        #[test]
        fn eight_bytes_at_once_are_judged_as_one_by_one(bytes: [u8; 8]) {
            let one_by_one = bytes.iter().any(|byte| is_special(*byte));
            prop_assert_eq!(has_special(u64::from_le_bytes(bytes)), one_by_one);
        }

        #[test]
        fn a_string_is_printed_as_json_has_it(given in "\\PC{0,40}[\"\\\\\n]?\\PC{0,9}") {
            let read: String = serde_json::from_slice(&string(given.as_bytes())).expect("JSON");
            prop_assert_eq!(read, given);
        }
    }
}
