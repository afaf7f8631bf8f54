//! `orchestrator status`: where each subscription is.

use serde_json::Value;

use super::{table::print_rows, target_of};
use crate::{cli::ListArgs, database::Database, error::Result};

/// The columns people see; `--json` has every one.
const COLUMNS: [&str; 11] = [
    "subscriber_id",
    "member",
    "source",
    "state",
    "position",
    "head",
    "lag",
    "rate",
    "parked",
    "retry_at",
    "last_error",
];

const NOTHING: &str = "no subscriptions; `orchestrator up`, `orchestrator run` or \
     `orchestrator subscriptions create` declares them";

pub(super) async fn status(args: ListArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let mut rows = database.subscription_status(None).await?;
    if !args.json {
        rows.iter_mut().for_each(mark_estimate);
    }
    print_rows(rows, &COLUMNS, args.json, NOTHING)
}

/// A lag that was not counted is shown as `~12000`.
fn mark_estimate(row: &mut Value) {
    if row["lag_is_estimate"] == true {
        let lag = format!("~{}", row["lag"]);
        row["lag"] = Value::String(lag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_estimate_is_marked_as_one() {
        let mut rows = [
            json!({"lag": 12_000, "lag_is_estimate": true}),
            json!({"lag": 7, "lag_is_estimate": false}),
            json!({"lag": 7}),
        ];
        rows.iter_mut().for_each(mark_estimate);
        assert_eq!(rows[0]["lag"], "~12000");
        assert_eq!((&rows[1]["lag"], &rows[2]["lag"]), (&json!(7), &json!(7)));
    }
}
