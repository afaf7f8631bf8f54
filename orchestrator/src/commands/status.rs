//! `orchestrator status`: where each subscription is.

use comfy_table::{Table, presets};
use serde_json::Value;

use super::target_of;
use crate::{cli::StatusArgs, database::Database, error::Result};

/// The columns people see; `--json` has every one.
const COLUMNS: [&str; 7] = [
    "subscriber_id",
    "category",
    "state",
    "position",
    "head",
    "lag",
    "updated_at",
];

pub(super) async fn status(args: StatusArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let rows = database.subscription_status().await?;
    if args.json {
        return super::read::print_line(&Value::Array(rows)).map(|_| ());
    }
    if rows.is_empty() {
        println!("no subscriptions; `orchestrator up` or `orchestrator run` declares them");
        return Ok(());
    }
    println!("{}", table(&rows));
    Ok(())
}

fn table(rows: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(COLUMNS);
    for row in rows {
        table.add_row(COLUMNS.map(|column| match row.get(column) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_column_the_database_lacks_is_empty_and_a_new_one_does_no_harm() {
        let row = json!({"subscriber_id": "a:b", "position": 7, "lag": null, "brand_new": 1});
        let text = table(&[row]).to_string();
        assert!(text.contains("a:b") && text.contains('7'), "{text}");
        assert!(
            !text.contains("null") && !text.contains("brand_new"),
            "{text}"
        );
    }
}
