//! `orchestrator status`: where each subscription is.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    pipe,
    table::{cut, draw_rows, print_rows_to_reader, print_text_to_reader},
    target_of,
    terminal::{Screen, Size, leave_screen},
    value::print_time,
};
use crate::{
    cli::ListArgs,
    error::{Error, Result},
    shutdown,
};
use message_store_client::{
    connection::Target,
    database::{Database, Shard},
    shards,
};
use printable::printable;

/// The columns people see, those that say that something is wrong first; `--json` has every one.
const COLUMNS: [&str; 11] = [
    "subscriber_id",
    "member",
    "state",
    "lag",
    "last_error",
    "parked",
    "retry_at",
    "rate",
    "position",
    "head",
    "source",
];

/// How long one of several shards may take.
const SHARD_PATIENCE: Duration = Duration::from_secs(5);

const NOTHING: &str = "no subscriptions; `orchestrator up`, `orchestrator run` or \
     `orchestrator subscriptions create` declares them";

pub(super) async fn status(args: ListArgs) -> Result<()> {
    let target = target_of(&args.database)?;
    let database = Database::open(&target, 1)?;
    let Some(seconds) = args.watch else {
        let rows = look(&database, args.json).await?;
        return print(rows, args.json).map(|_| ());
    };
    let every = Duration::from_secs(seconds);
    if args.json || Size::of_output().is_none() {
        let shutdown = shutdown::on_signals(|| {})?;
        return print_again_and_again(&database, args.json, every, &shutdown).await;
    }
    let shutdown = shutdown::on_signals(leave_screen)?;
    let screen = Screen::enter()?;
    let title = format!("{}, every {seconds} s", target.label);
    Watch::on(&screen, title)
        .run(&database, every, &shutdown)
        .await
}

/// Until shutdown, or until nobody reads it; waits for a database that is away.
async fn print_again_and_again(
    database: &Database,
    as_json: bool,
    every: Duration,
    shutdown: &CancellationToken,
) -> Result<()> {
    let mut is_away = false;
    loop {
        let rows = tokio::select! {
            rows = look(database, as_json) => rows,
            () = shutdown.cancelled() => return Ok(()),
        };
        match rows {
            Ok(rows) => {
                is_away = false;
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
            () = pipe::reader_left() => return Ok(()),
        }
        if !as_json && !is_away {
            print_text_to_reader("")?;
        }
    }
}

/// The table on the screen of a terminal, with a title and the time at which it was so.
struct Watch<'a> {
    screen: &'a Screen,
    title: String,
    /// What was read last, and when.
    seen: Option<(OffsetDateTime, Vec<Value>)>,
    /// Why nothing was read since then.
    problem: Option<String>,
}

impl<'a> Watch<'a> {
    fn on(screen: &'a Screen, title: String) -> Self {
        Self {
            screen,
            title,
            seen: None,
            problem: None,
        }
    }

    /// Until shutdown; waits for a database that is away.
    async fn run(
        mut self,
        database: &Database,
        every: Duration,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let resized = signal(SignalKind::window_change());
        let mut resized = resized.map_err(Error::io("listen for signals"))?;
        loop {
            let rows = tokio::select! {
                rows = look(database, false) => rows,
                () = shutdown.cancelled() => return Ok(()),
            };
            match rows {
                Ok(rows) => {
                    self.seen = Some((OffsetDateTime::now_utc(), rows));
                    self.problem = None;
                }
                Err(error) if error.is_connection_loss() => {
                    self.problem = Some(format!("{error}; will try again until it works"));
                }
                Err(error) => return Err(error),
            }
            let until = sleep(every);
            tokio::pin!(until);
            loop {
                self.draw()?;
                tokio::select! {
                    () = &mut until => break,
                    Some(()) = resized.recv() => {}
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
    }

    fn draw(&self) -> Result<()> {
        let Some(size) = Size::of_output() else {
            return Ok(());
        };
        self.screen.show(&self.lines(size))
    }

    fn lines(&self, size: Size) -> Vec<String> {
        let mut lines = vec![];
        let mut put = |line: &str| lines.push(cut(&printable(line), size.columns));
        let title = format!("status of {}", self.title);
        match &self.seen {
            Some((at, _)) => {
                let time = print_time(*at);
                let blanks = size.columns.saturating_sub(time.len() + 1);
                put(&format!("{:blanks$} {time}", cut(&title, blanks)));
            }
            None => put(&title),
        }
        put(self.problem.as_deref().unwrap_or_default());
        match &self.seen {
            Some((_, rows)) if rows.is_empty() => put(NOTHING),
            Some((_, rows)) => draw_rows(rows, &columns(rows), size.columns)
                .lines()
                .for_each(put),
            None => {}
        }
        let hidden = lines.len().saturating_sub(size.lines);
        if hidden > 0 {
            lines.truncate(size.lines.saturating_sub(1));
            let line = format!(
                "… and {} more, for which this terminal is too low",
                hidden + 1
            );
            lines.push(cut(&line, size.columns));
        }
        lines
    }
}

async fn look(database: &Database, as_json: bool) -> Result<Vec<Value>> {
    let mut rows = match database.shard().await? {
        Some(map) if map.is_router() => look_at_shards(&map, database.target()).await?,
        _ => database.subscription_status(None).await?,
    };
    if !as_json {
        rows.iter_mut().for_each(judge);
    }
    if !as_json && Size::of_output().is_some() {
        rows.iter_mut().for_each(forget_only_member);
    }
    Ok(rows)
}

/// The rows of each shard, with its number; of one that does not answer, a row that says so.
async fn look_at_shards(map: &Shard, router: &Target) -> Result<Vec<Value>> {
    let targets = shards::addresses_of(map, router)?;
    let looks = targets.iter().enumerate().map(async |(number, target)| {
        let looked = async {
            let shard = Database::open(target, 1)?;
            let looking = shard.subscription_status(None);
            shard.within(SHARD_PATIENCE, looking).await
        };
        let mut rows = looked.await.unwrap_or_else(|error| {
            vec![json!({"state": "unknown", "last_error": error.to_string(), "attempts": 1})]
        });
        for row in &mut rows {
            row["shard"] = number.into();
        }
        rows
    });
    Ok(join_all(looks).await.into_iter().flatten().collect())
}

/// The columns people see of these rows: the shard's, where they are of several.
fn columns(rows: &[Value]) -> Vec<&'static str> {
    let is_of_shards = rows.iter().any(|row| row.get("shard").is_some());
    is_of_shards
        .then_some("shard")
        .into_iter()
        .chain(COLUMNS)
        .collect()
}

fn print(rows: Vec<Value>, as_json: bool) -> Result<bool> {
    let columns = columns(&rows);
    print_rows_to_reader(rows, &columns, as_json, NOTHING)
}

/// A lag that was not counted is shown as `~12000`.
pub(super) fn mark_estimate(row: &mut Value) {
    if row["lag_is_estimate"] == true {
        let lag = format!("~{}", row["lag"]);
        row["lag"] = Value::String(lag);
    }
}

/// What a person is shown: an error that it got past is none.
fn judge(row: &mut Value) {
    mark_estimate(row);
    if !fails(row) {
        row["last_error"] = Value::Null;
    }
}

/// Whether the last error of a row of `subscription_status` is still in its way.
pub(super) fn fails(row: &Value) -> bool {
    !row["failing_position"].is_null() || row["attempts"].as_i64().is_some_and(|count| count > 0)
}

fn forget_only_member(row: &mut Value) {
    if row["group_size"] == 1 && row["member"] == 0 {
        row["member"] = Value::Null;
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
        rows.iter_mut().for_each(judge);
        assert_eq!(rows[0]["lag"], "~12000");
        assert_eq!((&rows[1]["lag"], &rows[2]["lag"]), (&json!(7), &json!(7)));
    }

    #[test]
    fn an_error_is_shown_while_it_stands_in_the_way() {
        let shown = |mut row: Value| {
            judge(&mut row);
            row["last_error"].clone()
        };
        let failing = json!({"last_error": "no", "attempts": 1, "failing_position": 7});
        assert_eq!(shown(failing), "no");
        let healthy = json!({"last_error": "no", "attempts": 0, "failing_position": null});
        assert_eq!(shown(healthy), Value::Null);
    }
}
