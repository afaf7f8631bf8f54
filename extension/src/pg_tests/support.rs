//! Short ways to ask PostgreSQL something in a test.

use pgrx::datum::{FromDatum, IntoDatum};
use pgrx::spi::Spi;

/// A store, for as long as the test's transaction.
pub fn create_store() {
    run("SELECT message_store.create_store()");
}

/// Runs statements.
pub fn run(sql: &str) {
    Spi::run(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// The value of a query's one row and column; `None` for NULL.
pub fn value<T: FromDatum + IntoDatum>(sql: &str) -> Option<T> {
    Spi::get_one(sql).unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// A number that an expression has.
pub fn number(expression: &str) -> i64 {
    let sql = format!("SELECT ({expression})::bigint");
    value(&sql).unwrap_or_else(|| panic!("NULL: {sql}"))
}

/// An expression as text; `-` for NULL.
pub fn text(expression: &str) -> String {
    value(&format!("SELECT ({expression})::text")).unwrap_or_else(|| "-".to_owned())
}

/// The rows of a query, a line each, their columns parted by spaces; `-` for NULL.
pub fn rows(query: &str) -> Vec<String> {
    let lines = format!(
        "SELECT array_agg(line ORDER BY number) FROM (
           SELECT row_number() OVER () AS number, (
             SELECT string_agg(coalesce(value, '-'), ' ' ORDER BY place)
             FROM json_each_text(row_to_json(q)) WITH ORDINALITY c (name, value, place)) AS line
           FROM ({query}) q) numbered"
    );
    value::<Vec<String>>(&lines).unwrap_or_default()
}

/// The SQLSTATE that statements fail with; `00000` where they succeed.
pub fn sqlstate(sql: &str) -> String {
    run(
        "CREATE OR REPLACE FUNCTION pg_temp.sqlstate(statements text) RETURNS text
         LANGUAGE plpgsql AS $$
         BEGIN EXECUTE statements; RETURN '00000';
         EXCEPTION WHEN OTHERS OR assert_failure THEN RETURN SQLSTATE; END $$",
    );
    text(&format!("pg_temp.sqlstate($statements${sql}$statements$)"))
}

/// Writes a message; returns its position in the stream.
pub fn write(stream: &str, message_type: &str) -> i64 {
    write_data(stream, message_type, "{}")
}

/// The same, with data.
pub fn write_data(stream: &str, message_type: &str, data: &str) -> i64 {
    number(&format!(
        "message_store.write_message(gen_random_uuid()::varchar, '{stream}', '{message_type}', '{data}')"
    ))
}

/// Ticks once; returns the outcome, what was handled, and the position.
pub fn tick(subscriber: &str) -> String {
    text(&format!(
        "SELECT concat_ws(' ', outcome, handled, position) FROM message_store.tick('{subscriber}')"
    ))
}

/// A table `handled` in the schema `app`, and handlers of each shape that record in it what they
/// are given; `failing` fails where the data says so and the table `app.broken` is not empty.
pub fn create_handlers() {
    run("
        CREATE SCHEMA app;
        CREATE TABLE app.handled (entry bigserial PRIMARY KEY, position bigint, type text);
        CREATE TABLE app.broken ();
        ALTER TABLE app.broken ADD COLUMN since timestamptz DEFAULT now();
        CREATE FUNCTION app.message(message message_store.message) RETURNS void LANGUAGE sql AS
          'INSERT INTO app.handled (position, type) VALUES (message.global_position, message.type)';
        CREATE FUNCTION app.messages(messages message_store.message[]) RETURNS void LANGUAGE sql AS
          'INSERT INTO app.handled (position, type) SELECT global_position, type FROM unnest(messages)';
        CREATE FUNCTION app.position(viewed bigint) RETURNS void LANGUAGE sql AS
          'INSERT INTO app.handled (position) VALUES (viewed)';
        CREATE FUNCTION app.positions(viewed bigint[]) RETURNS void LANGUAGE sql AS
          'INSERT INTO app.handled (position) SELECT unnest(viewed)';
        CREATE FUNCTION app.failing(message message_store.message) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM app.message(message);
          IF message.type = 'Bad' AND EXISTS (SELECT FROM app.broken) THEN
            RAISE EXCEPTION 'cannot' USING ERRCODE = 'ZZ001';
          END IF;
        END $$;
        INSERT INTO app.broken DEFAULT VALUES");
}

/// Declares a subscription.
pub fn subscribe(subscriber: &str, source: &str, handlers: &str, options: &str) {
    run(&format!(
        "SELECT message_store.create_subscription('{subscriber}', '{source}', '{handlers}', '{options}')"
    ));
}

/// The positions that handlers were given, in order.
pub fn handled() -> Vec<String> {
    rows("SELECT position FROM app.handled ORDER BY entry")
}
