//! Links that hold any name: quotes, slashes, percent signs, a thousand bytes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What needs no escape in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A path with a query. Names go into the query: a path of dots means another
/// page to a browser, and an empty one none.
pub fn with(path: &str, query: &[(&str, &str)]) -> String {
    let mut link = path.to_owned();
    for (number, (name, value)) in query.iter().enumerate() {
        link.push(if number == 0 { '?' } else { '&' });
        link.push_str(name);
        link.push('=');
        link.extend(utf8_percent_encode(value, PLAIN));
    }
    link
}

/// The page of one subscription.
pub fn subscription(subscriber_id: &str) -> String {
    with("/admin/subscription", &[("id", subscriber_id)])
}

/// The page of one message.
pub fn message(global_position: i64) -> String {
    format!("/admin/messages/{global_position}")
}

/// The messages of a stream, a category or `$all`, newest first.
pub fn browse(source: &str) -> String {
    with("/admin/browse", &[("source", source)])
}

/// The messages of a category that came about through another.
pub fn correlated(category: &str, correlation: &str) -> String {
    with(
        "/admin/browse",
        &[("source", category), ("correlation", correlation)],
    )
}

/// The messages whose metadata has a value under a key, from a position up.
pub fn with_metadata(key: &str, value: &str, from: i64) -> String {
    let above = (from - 1).max(0).to_string();
    let query = [
        ("source", "$all"),
        ("key", key),
        ("value", value),
        ("above", &above),
    ];
    with("/admin/browse", &query)
}

/// The messages of a stream from a position down.
pub fn browse_at(stream_name: &str, position: i64) -> String {
    let position = position.to_string();
    with(
        "/admin/browse",
        &[("source", stream_name), ("at", &position)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out_of_a_link() {
        let link = with("/a", &[("id", "\"a/../b?&=%é"), ("x", "..")]);
        assert_eq!(link, "/a?id=%22a%2F..%2Fb%3F%26%3D%25%C3%A9&x=..");
    }
}
