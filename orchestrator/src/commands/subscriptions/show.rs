//! `subscriptions show`: all there is to know of one.

use serde_json::{Value, json};

use super::open;
use crate::{
    cli::ShowArgs,
    commands::{
        fields::Fields,
        read::print_line,
        status::{fails, mark_estimate},
        subscriber::look_for,
        table::{print_rows, print_text},
    },
    error::Result,
};

/// What it is.
const NATURE: [&str; 4] = ["subscriber_id", "source", "owner", "copy_of"];
/// Which member.
const MEMBER: [&str; 3] = ["member", "group_size", "drains_until"];
/// How it is.
const STATE: [&str; 14] = [
    "state",
    "state_reason",
    "lag",
    "lag_seconds",
    "parked",
    "position",
    "head",
    "rate",
    "handled",
    "updated_at",
    "holder",
    "ticking_since",
    "replay_target",
    "replay_eta_seconds",
];
/// What is wrong.
const FAILURE: [&str; 3] = ["failing_position", "attempts", "retry_at"];
/// What is wrong, or was.
const ERROR: [&str; 3] = ["last_error", "last_sqlstate", "last_error_at"];
/// What the error said besides.
const DETAILS: &str = "last_error_details";
/// What was declared.
const DECLARATION: [&str; 4] = ["handlers", "options", "search_path", "created_at"];

pub(super) async fn show(args: ShowArgs) -> Result<()> {
    let id = args.subscriber_id.as_str();
    let database = open(&args.database)?;
    let mut status = database.subscription_status(Some(id)).await?;
    if status.is_empty() {
        look_for(&database, id).await?;
    }
    let history = database.subscription_history(id, args.history).await?;
    if args.json {
        return print_line(&json!({ "status": status, "history": history })).map(|_| ());
    }
    status.iter_mut().for_each(mark_estimate);
    fields(&status).print()?;
    print_text("")?;
    let columns = ["at", "action", "position", "reason", "actor", "role"];
    print_rows(history, &columns, args.json, "nothing was done to it yet")
}

/// Whether one text is the beginning of another: the reason of a stop goes on with the details.
fn begins_with(text: &Value, beginning: &Value) -> bool {
    let pair = text.as_str().zip(beginning.as_str());
    pair.is_some_and(|(text, beginning)| text.starts_with(beginning))
}

/// What it is, how each member is and what is wrong with it, what was declared; last what it got past.
fn fields(members: &[Value]) -> Fields {
    let mut fields = Fields::default();
    let Some(first) = members.first() else {
        return fields;
    };
    fields.add_columns(first, &NATURE);
    for row in members {
        if row["group_size"] != 1 || row["member"] != 0 {
            fields.add_columns(row, &MEMBER);
        }
        let is_told_as_error = fails(row) && begins_with(&row["state_reason"], &row["last_error"]);
        fields.begin_group();
        for column in STATE {
            if column != "state_reason" || !is_told_as_error {
                fields.add_column(column, row.get(column));
            }
        }
        if fails(row) {
            fields.add_columns(row, &ERROR);
            fields.add_error_details(&row[DETAILS]);
            for column in FAILURE {
                fields.add_column(column, row.get(column));
            }
        }
    }
    fields.add_columns(first, &DECLARATION);
    let elsewhere = ["lag_is_estimate", DETAILS];
    let known = [
        &NATURE[..],
        &MEMBER,
        &STATE,
        &elsewhere,
        &FAILURE,
        &ERROR,
        &DECLARATION,
    ];
    for row in members {
        fields.add_others(row, &known);
        if !fails(row) {
            for column in ERROR {
                fields.add_named(&format!("{column} (past)"), column, row.get(column));
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(row: Value) -> String {
        fields(&[row]).text(None)
    }

    #[test]
    fn what_is_wrong_comes_before_what_was_declared() {
        let text = shown(json!({
            "options": {}, "handlers": {"T": "f"}, "last_error": "no such table", "attempts": 2,
            "member": 0, "group_size": 1, "lag": 7, "state": "started", "subscriber_id": "a",
            "failing_position": 3, "rate": 56.068265293001815, "retry_at": null, "new": 1,
        }));
        let names = [
            "subscriber_id",
            "state",
            "lag",
            "last_error",
            "failing_position",
            "handlers",
            "new",
        ];
        let places = names.map(|name| text.find(&format!("{name} ")));
        assert!(places.is_sorted() && places[0] == Some(0), "{text}");
        assert!(text.contains("56.07") && !text.contains("member"), "{text}");
    }

    #[test]
    fn what_it_got_past_is_called_so() {
        let row = json!({"state": "started", "last_error": "no such table", "attempts": 0,
                         "failing_position": null, "handlers": {}});
        let text = shown(row);
        assert!(
            text.ends_with("\n\nlast_error (past)    no such table"),
            "{text}"
        );
    }
}
