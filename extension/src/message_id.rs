//! Ids of messages: read, made anew, or derived from the message that is handled.

use std::borrow::Cow;
use uuid::Uuid;

/// The namespace of ids that are derived in a handler. Part of what is promised: the same
/// subscriber, message and ordinal have the same id in every version.
const DERIVED: Uuid = Uuid::from_u128(0x6d65_7373_6167_5f73_8a1e_b0c4_9f2d_6e37);

/// The UUID that a text spells, in the forms that PostgreSQL reads: 32 hexadecimal digits of
/// either case, a hyphen after any four of them, braces around it all or not.
pub fn parse(text: &[u8]) -> Option<[u8; 16]> {
    let digits = match text {
        [b'{', within @ .., b'}'] => within,
        other => other,
    };
    let mut bytes = [0; 16];
    let mut rest = digits;
    for (number, byte) in bytes.iter_mut().enumerate() {
        let [high, low, behind @ ..] = rest else {
            return None;
        };
        *byte = digit(*high)? << 4 | digit(*low)?;
        rest = match behind {
            [b'-', behind @ ..] if number % 2 == 1 && number < 15 => behind,
            _ => behind,
        };
    }
    rest.is_empty().then_some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        b'A'..=b'F' => Some(character - b'A' + 10),
        _ => None,
    }
}

/// A new id: a UUID of version 7, above all that this session made before, so that ids of one
/// writer lie beside each other in the index.
pub fn new() -> [u8; 16] {
    Uuid::now_v7().into_bytes()
}

/// The id of the how-manieth message (from 0) that a subscriber's handler writes for the message
/// at a global position: a UUID of version 5 over `<global position>/<ordinal>/<subscriber id>`.
pub fn derived(subscriber_id: &str, global_position: i64, ordinal: i64) -> [u8; 16] {
    let name = format!("{global_position}/{ordinal}/{subscriber_id}");
    Uuid::new_v5(&DERIVED, name.as_bytes()).into_bytes()
}

/// An id as PostgreSQL prints it.
pub fn text(id: &[u8; 16]) -> [u8; 36] {
    let mut text = [0; 36];
    Uuid::from_bytes(*id).hyphenated().encode_lower(&mut text);
    text
}

/// The same, for messages to people.
pub fn to_text(id: &[u8; 16]) -> String {
    Uuid::from_bytes(*id).to_string()
}

/// A text of any bytes, cut off where it is longer than a person would read.
pub fn shown(text: &[u8]) -> Cow<'_, str> {
    const MOST: usize = 100;
    String::from_utf8_lossy(&text[..text.len().min(MOST)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_are_read_in_the_forms_that_postgresql_reads() {
        let id = Some(*b"\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11");
        for form in [
            "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
            "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        ] {
            assert_eq!(parse(form.as_bytes()), id, "{form}");
        }
        for form in [
            "",
            "{}",
            "{a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a1",
            "a0eebc999c0b4ef8bb6d6bb9bd380a111",
            "a0e-ebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11-",
            "g0eebc999c0b4ef8bb6d6bb9bd380a11",
            " a0eebc999c0b4ef8bb6d6bb9bd380a11",
        ] {
            assert_eq!(parse(form.as_bytes()), None, "{form}");
        }
    }

    #[test]
    fn derived_ids_are_part_of_the_promise() {
        let id = derived("aggregators:home-page", 42, 0);
        assert_eq!(to_text(&id), "597b8111-8883-5150-81c9-94c2188f019b");
        assert_ne!(id, derived("aggregators:home-page", 42, 1));
        assert_ne!(id, derived("aggregators:home-page", 43, 0));
        assert_ne!(id, derived("aggregators:home", 42, 0));
    }

    #[test]
    fn an_id_is_printed_as_postgresql_prints_it() {
        let id = *b"\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11";
        assert_eq!(&text(&id), b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
        assert_eq!(to_text(&id).as_bytes(), text(&id));
    }

    #[test]
    fn of_a_long_text_the_beginning_is_shown() {
        assert_eq!(shown(b"short"), "short");
        assert_eq!(shown(&[b'x'; 100]).len(), 100);
        assert_eq!(shown(&[b'x'; 101]).len(), 100);
    }

    #[test]
    fn new_ids_rise() {
        let ids: Vec<_> = (0..10_000).map(|_| new()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(id: [u8; 16]) {
            prop_assert_eq!(parse(to_text(&id).as_bytes()), Some(id));
        }

        #[test]
        fn no_text_is_read_in_a_way_of_its_own(text in "[{]?[0-9a-fA-F-]{30,40}[}]?") {
            // What both read, they read alike.
            if let (Some(id), Ok(known)) = (parse(text.as_bytes()), Uuid::parse_str(&text)) {
                prop_assert_eq!(id, known.into_bytes());
            }
        }
    }
}
