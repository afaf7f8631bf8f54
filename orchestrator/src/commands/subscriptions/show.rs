//! `subscriptions show`: all there is to know of one.

use serde_json::{Value, json};

use super::open;
use crate::{
    cli::ShowArgs,
    commands::{
        read::print_line,
        table::{print_rows, print_text},
    },
    error::{Error, Result},
};
use printable::printable;

pub(super) async fn show(args: ShowArgs) -> Result<()> {
    let id = args.subscriber_id.as_str();
    let database = open(&args.database)?;
    let status = database.subscription_status(Some(id)).await?;
    if status.is_empty() {
        return Err(Error::Missing {
            what: format!("there is no subscription {id} that this role may see"),
        });
    }
    let history = database.subscription_history(id, args.history).await?;
    if args.json {
        return print_line(&json!({ "status": status, "history": history })).map(|_| ());
    }
    for member in &status {
        print_text(&lines(member))?;
    }
    let columns = ["at", "role", "actor", "action", "position", "reason"];
    print_rows(history, &columns, args.json, "nothing was done to it yet")
}

/// Every column with its value, a line each.
fn lines(row: &Value) -> String {
    let mut text = String::new();
    for (name, value) in row.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => String::new(),
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        let value = printable(&value);
        text.push_str(&format!("{name:<20} {value}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_has_its_line() {
        let text = lines(&json!({"state": "started", "lag": 7, "last_error": null}));
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("state                started"), "{text}");
        assert!(!text.contains("null"), "{text}");
    }
}
