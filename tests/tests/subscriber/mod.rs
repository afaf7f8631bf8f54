//! What tests of subscriptions share: writing, ticking, and handlers that say what they were given.
#![allow(dead_code, reason = "no test needs all of it")]

use promises::{Cluster, Database, Session, Text};

/// What `tick` answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Tick {
    pub outcome: String,
    pub scanned: i64,
    pub handled: i64,
    pub position: i64,
    pub parked: i64,
    pub retry_at: Text,
    pub sqlstate: Text,
    pub error: Text,
    pub error_details: Text,
}

/// A tick without a failure.
pub fn tick_was(outcome: &str, scanned: i64, handled: i64, position: i64) -> Tick {
    Tick {
        outcome: outcome.to_owned(),
        scanned,
        handled,
        position,
        parked: 0,
        retry_at: None,
        sqlstate: None,
        error: None,
        error_details: None,
    }
}

impl Tick {
    /// What the error of the failure said; fails the test where there was none.
    pub fn error(&self) -> &str {
        self.error
            .as_deref()
            .unwrap_or_else(|| panic!("no failure: {self:?}"))
    }

    /// Its other parts, as JSON; fails the test where there were none.
    pub fn error_details(&self) -> &str {
        self.error_details
            .as_deref()
            .unwrap_or_else(|| panic!("no details: {self:?}"))
    }

    /// Outcome and SQLSTATE of a failure.
    pub fn failed(&self) -> (&str, &str) {
        (
            &self.outcome,
            self.sqlstate.as_deref().unwrap_or("no failure"),
        )
    }
}

/// Calls `tick` with these arguments, as they stand in SQL.
pub async fn tick_with(session: &Session, arguments: &str) -> Tick {
    let sql = format!("SELECT * FROM message_store.tick({arguments})");
    let mut row = session
        .run(&sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
        .remove(0)
        .into_iter();
    let mut next = || row.next().flatten();
    let number = |value: Text| value.unwrap().parse().unwrap();
    Tick {
        outcome: next().unwrap(),
        scanned: number(next()),
        handled: number(next()),
        position: number(next()),
        parked: number(next()),
        retry_at: next(),
        sqlstate: next(),
        error: next(),
        error_details: next(),
    }
}

pub async fn tick(session: &Session, subscriber_id: &str, batch_size: i64) -> Tick {
    tick_with(session, &format!("'{subscriber_id}', {batch_size}")).await
}

/// Ticks until there is nothing to do; returns the last answer.
pub async fn tick_to_the_end(session: &Session, subscriber_id: &str) -> Tick {
    loop {
        let tick = tick(session, subscriber_id, 1000).await;
        if tick.outcome != "progressed" {
            return tick;
        }
    }
}

/// Writes a message; returns its global position.
pub async fn write(session: &Session, stream: &str, message_type: &str) -> i64 {
    write_data(session, stream, message_type, "{\"by\": \"test\"}").await
}

pub async fn write_data(session: &Session, stream: &str, message_type: &str, data: &str) -> i64 {
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', \
         '{message_type}', '{data}', '{{\"m\": 1}}'); \
         SELECT currval('message_store.messages_global_position_seq')"
    );
    let rows = session.run(&sql).await.unwrap();
    rows[1][0].as_deref().unwrap().parse().unwrap()
}

/// Creates a subscription without options.
pub async fn create(session: &Session, subscriber_id: &str, source: &str, handlers: &str) -> Text {
    create_with(session, subscriber_id, source, handlers, "{}").await
}

pub async fn create_with(
    session: &Session,
    subscriber_id: &str,
    source: &str,
    handlers: &str,
    options: &str,
) -> Text {
    let sql = format!(
        "SELECT message_store.create_subscription('{subscriber_id}', '{source}', '{handlers}', \
         '{options}')"
    );
    session.value(&sql).await
}

/// `seen` keeps what handlers were given; `record` takes a message, `record_position` a position.
const RECORDERS: &str = "
    CREATE TABLE public.seen (
      entry bigserial, subscriber varchar, at_position bigint, message message_store.message,
      context message_store.handler_call, by_role name, setting text);
    CREATE FUNCTION public.record(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.seen (subscriber, at_position, message, context, by_role)
      SELECT (c).subscriber_id, (message).global_position, message, c, current_user
        FROM (SELECT message_store.handler_context() AS c) AS context;
    END $$;
    CREATE FUNCTION public.record_position(viewed bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.seen (subscriber, at_position, context, by_role)
      SELECT (c).subscriber_id, viewed, c, current_user
        FROM (SELECT message_store.handler_context() AS c) AS context;
      RETURN NULL;
    END $$;
    CREATE FUNCTION public.record_positions(viewed bigint[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO public.seen (subscriber, at_position, context, by_role)
      SELECT (c).subscriber_id, v, c, current_user
        FROM (SELECT message_store.handler_context() AS c) AS context, unnest(viewed) AS v;
    END $$";

/// A store with `record`, `record_position` and `record_positions`.
pub async fn with_recorders(cluster: &Cluster) -> (Database<'_>, Session) {
    let database = cluster.create_store().await;
    let session = database.connect().await;
    session.run(RECORDERS).await.unwrap();
    (database, session)
}

/// The positions that a subscriber's handlers were given, in order.
pub async fn seen(session: &Session, subscriber_id: &str) -> Vec<i64> {
    let sql = format!(
        "SELECT at_position FROM public.seen WHERE subscriber = '{subscriber_id}' ORDER BY entry"
    );
    bigints(session, &sql).await
}

/// The first column as numbers.
pub async fn bigints(session: &Session, sql: &str) -> Vec<i64> {
    texts(session, sql)
        .await
        .iter()
        .map(|value| value.parse().unwrap())
        .collect()
}

/// Every row as one text, its values parted by spaces; NULL is `-`.
pub async fn texts(session: &Session, sql: &str) -> Vec<String> {
    let rows = session
        .run(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    rows.iter()
        .map(|row| {
            let values: Vec<&str> = row
                .iter()
                .map(|value| value.as_deref().unwrap_or("-"))
                .collect();
            values.join(" ")
        })
        .collect()
}
