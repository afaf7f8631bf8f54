//! The grammar of stream names: `category-cardinalId+compound`, `category` alone for a category.
//!
//! Pure functions on bytes. `-` and `+` are ASCII, which every database encoding keeps apart
//! from other characters, so these rules hold in all of them.

/// The name of what is every message, where a category or a stream could be named.
pub const ALL: &str = "$all";

/// The part before the first `-`, or the whole name. Message DB's `category`.
pub fn category(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'-').next().unwrap_or(name)
}

/// The part after the first `-`, where there is one. Message DB's `id`.
pub fn id(name: &[u8]) -> Option<&[u8]> {
    let dash = name.iter().position(|byte| *byte == b'-')?;
    Some(&name[dash + 1..])
}

/// The id up to its first `+`. Message DB's `cardinal_id`.
pub fn cardinal_id(name: &[u8]) -> Option<&[u8]> {
    id(name)?.split(|byte| *byte == b'+').next()
}

/// Whether the name has no `-`. Message DB's `is_category`.
pub fn is_category(name: &[u8]) -> bool {
    !name.contains(&b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_splits_at_its_first_dash_and_its_first_plus() {
        assert_eq!(category(b"a:b+c-d-e+f+g"), b"a:b+c");
        assert_eq!(id(b"a:b+c-d-e+f+g"), Some(&b"d-e+f+g"[..]));
        assert_eq!(cardinal_id(b"a:b+c-d-e+f+g"), Some(&b"d-e"[..]));
    }

    #[test]
    fn a_category_has_no_id() {
        assert_eq!(category(b"account"), b"account");
        assert_eq!(id(b"account"), None);
        assert_eq!(cardinal_id(b"account"), None);
        assert!(is_category(b"account"));
        assert!(!is_category(b"-"));
    }

    #[test]
    fn empty_parts_are_parts() {
        assert_eq!(category(b"-b"), b"");
        assert_eq!(id(b"a-"), Some(&b""[..]));
        assert_eq!(cardinal_id(b"a-+b"), Some(&b""[..]));
        assert_eq!(category(b""), b"");
    }

    proptest! {
        #[test]
        fn category_and_id_put_together_are_the_name(name in "\\PC{0,12}(-\\PC{0,12})?") {
            let name = name.as_bytes();
            let together = match id(name) {
                Some(id) => [category(name), b"-", id].concat(),
                None => category(name).to_vec(),
            };
            prop_assert_eq!(&together[..], name);
        }
    }
}
