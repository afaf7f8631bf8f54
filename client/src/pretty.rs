//! JSON over several lines, for people: at a cost that does not depend on what it holds.

/// Levels that are indented; what lies deeper stands in a row.
const INDENTED: usize = 16;

/// The JSON text with a line for each member and element, cut off after `most` bytes. It may be
/// only the beginning of a JSON text.
pub fn pretty(json: &str, most: usize) -> String {
    let mut text = String::new();
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if text.len() > most {
            text.push('…');
            break;
        }
        text.push(character);
        if in_string {
            in_string = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            if in_string {
                continue;
            }
        } else if character == '"' {
            in_string = true;
        }
        let next = characters.peek().copied();
        match character {
            '{' | '[' => {
                depth += 1;
                if !matches!(next, Some('}' | ']')) {
                    break_line(&mut text, depth);
                }
            }
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' => {
                while characters.next_if_eq(&' ').is_some() {}
                break_line(&mut text, depth);
            }
            _ => {}
        }
        let is_empty = matches!(character, '{' | '[');
        if !in_string && !is_empty && matches!(next, Some('}' | ']')) {
            break_line(&mut text, depth.saturating_sub(1));
        }
    }
    text
}

fn break_line(text: &mut String, depth: usize) {
    if depth > INDENTED {
        return;
    }
    text.push('\n');
    for _ in 0..depth {
        text.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_stand_on_lines_of_their_own() {
        let text = r#"{"a": [1, {"b, c": "x\"}"}], "d": {}, "e": []}"#;
        let lines = "{\n  \"a\": [\n    1,\n    {\n      \"b, c\": \"x\\\"}\"\n    }\n  ],\n  \"d\": {},\n  \"e\": []\n}";
        assert_eq!(pretty(text, 1000), lines);
        for whole in ["1", "\"x\"", "null", "[]", "{}"] {
            assert_eq!(pretty(whole, 10), whole);
        }
    }

    #[test]
    fn it_is_the_same_value() {
        let value = json!({"a": [1.5, "\\", "\"", ["x, y", {}]], "größe": null});
        let read: serde_json::Value =
            serde_json::from_str(&pretty(&value.to_string(), 1000)).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn what_is_deep_or_long_costs_no_more_than_it_may() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(pretty(&deep, 100_000).len() < 70_000);
        let long = format!("[{}1]", "1, ".repeat(100_000));
        let text = pretty(&long, 1000);
        assert!(text.len() < 1100 && text.ends_with('…'), "{}", text.len());
    }
}
