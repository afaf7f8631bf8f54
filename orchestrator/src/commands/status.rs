//! `orchestrator status`: where each subscription is.

use std::{
    io::{IsTerminal, Write, stdout},
    time::Duration,
};

use serde_json::Value;
use tokio::time::sleep;

use super::{
    table::{print_rows_to_reader, print_text_to_reader},
    target_of,
};
use crate::{
    cli::ListArgs,
    error::{Error, Result},
    shutdown,
};
use message_store_client::database::Database;

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
    match args.watch {
        None => print(look(&database, args.json).await?, args.json).map(|_| ()),
        Some(seconds) => watch(&database, args.json, Duration::from_secs(seconds)).await,
    }
}

/// Prints again and again until shutdown, or until nobody reads it; waits for a database that is away.
async fn watch(database: &Database, as_json: bool, every: Duration) -> Result<()> {
    let shutdown = shutdown::on_signals(|| {})?;
    let is_terminal = stdout().is_terminal();
    let mut is_away = false;
    loop {
        let rows = tokio::select! {
            rows = look(database, as_json) => rows,
            () = shutdown.cancelled() => return Ok(()),
        };
        match rows {
            Ok(rows) => {
                is_away = false;
                if is_terminal {
                    clear_terminal()?;
                }
                if !print(rows, as_json)? {
                    return Ok(());
                }
            }
            Err(error) if error.is_connection_loss() => {
                if !is_away {
                    super::say_that_it_is_tried_again(&error);
                }
                is_away = true;
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = sleep(every) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        if !is_terminal && !as_json && !is_away {
            print_text_to_reader("")?;
        }
    }
}

async fn look(database: &Database, as_json: bool) -> Result<Vec<Value>> {
    let mut rows = database.subscription_status(None).await?;
    if !as_json {
        rows.iter_mut().for_each(mark_estimate);
    }
    Ok(rows)
}

fn print(rows: Vec<Value>, as_json: bool) -> Result<bool> {
    print_rows_to_reader(rows, &COLUMNS, as_json, NOTHING)
}

/// What is printed next takes the place of what stands on the terminal.
fn clear_terminal() -> Result<()> {
    const TO_THE_TOP_AND_CLEAR: &str = "\x1b[H\x1b[2J";
    let mut terminal = stdout();
    terminal
        .write_all(TO_THE_TOP_AND_CLEAR.as_bytes())
        .and_then(|()| terminal.flush())
        .map_err(Error::io("write to standard output"))
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
