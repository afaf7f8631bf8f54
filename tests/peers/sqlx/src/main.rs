//! What tests/tests/clients.rs asks of every client, through sqlx.

use std::env;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgValueFormat};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Postgres, Row as _};
use uuid::Uuid;

const WRITE: &str = "SELECT message_store.write_message($1, $2, $3, $4::jsonb, NULL, $5)";
const READ: &str = "SELECT position, type, data FROM message_store.get_stream_messages($1, $2, $3)";
const FOLLOW: &str = "SELECT global_position FROM message_store.get_category_messages($1, $2, $3)";

struct Peer {
    connection: PgConnection,
    is_text: bool,
    is_in_transaction_mode: bool,
}

/// A value of a call.
enum Argument {
    Text(String),
    Bigint(i64),
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Bigint(number)
    }
}

impl Argument {
    fn literal(&self) -> String {
        match self {
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Bigint(number) => number.to_string(),
        }
    }
}

impl Peer {
    async fn connect(is_text: bool, path: &str) -> Result<Self> {
        let is_in_transaction_mode = path == "transaction";
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&env::var("PGHOST")?)
            .port(env::var("PGPORT")?.parse()?)
            .username(&env::var("PGUSER")?)
            .database(&env::var("PGDATABASE")?);
        if path != "direct" {
            options = options.extra_float_digits(None);
        }
        if is_in_transaction_mode {
            options = options.statement_cache_capacity(0);
        }
        let connection = options.connect().await?;
        Ok(Self {
            connection,
            is_text,
            is_in_transaction_mode,
        })
    }

    async fn write(&mut self, stream: &str, number: i64, expected_version: i64) -> Result<i64> {
        let arguments = [
            Argument::from(Uuid::new_v4().to_string().as_str()),
            stream.into(),
            "Noted".into(),
            json!({"number": number}).to_string().as_str().into(),
            expected_version.into(),
        ];
        bigint(&self.call(WRITE, &arguments).await?[0], 0)
    }

    async fn call(&mut self, sql: &'static str, arguments: &[Argument]) -> Result<Vec<PgRow>> {
        if self.is_text {
            let numbered = arguments.iter().enumerate();
            let sql = numbered.fold(sql.to_owned(), |sql, (before, argument)| {
                sql.replace(&format!("${}", before + 1), &argument.literal())
            });
            let simple = sqlx::raw_sql(AssertSqlSafe(sql));
            return Ok(simple.fetch_all(&mut self.connection).await?);
        }
        let query = bind(sqlx::query(sql), arguments);
        if !self.is_in_transaction_mode {
            return Ok(query.fetch_all(&mut self.connection).await?);
        }
        // sqlx parses in one round trip and executes in the next: only a transaction keeps both in one
        // session of the server.
        let mut transaction = self.connection.begin().await?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }
}

fn bind<'a>(
    query: Query<'a, Postgres, PgArguments>,
    arguments: &[Argument],
) -> Query<'a, Postgres, PgArguments> {
    arguments
        .iter()
        .fold(query, |query, argument| match argument {
            Argument::Text(text) => query.bind(text.clone()),
            Argument::Bigint(number) => query.bind(*number),
        })
}

fn bigint(row: &PgRow, column: usize) -> Result<i64> {
    Ok(row.try_get(column)?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().context("an argument is missing");
    let (category, protocol, path) = (argument()?, argument()?, argument()?);
    let count: usize = argument()?.parse()?;
    let stream = format!("{category}-1");
    let mut peer = Peer::connect(protocol == "text", &path).await?;

    for number in 0..3 {
        let position = peer.write(&stream, number, number - 1).await?;
        println!("write {position}");
    }

    let rows = peer
        .call(READ, &[stream.as_str().into(), 0.into(), 1000.into()])
        .await?;
    match rows[0].try_get_raw(0)?.format() {
        PgValueFormat::Text => println!("format text"),
        PgValueFormat::Binary => println!("format binary"),
    }
    for row in &rows {
        let data: Value = serde_json::from_str(row.try_get(2)?)?;
        let kind: &str = row.try_get(1)?;
        println!("read {} {kind} {}", bigint(row, 0)?, data["number"]);
    }

    if let Err(error) = peer.write(&stream, 0, 7).await {
        let error = error.downcast::<sqlx::Error>()?;
        let answer = error.as_database_error();
        let answer = answer.context("not an answer of PostgreSQL")?;
        let sqlstate = answer.code().unwrap_or_default();
        println!("conflict {sqlstate} {}", answer.message());
    }

    println!("following");
    let (mut seen, mut position) = (0, 0);
    while seen < count {
        let arguments = [category.as_str().into(), (position + 1).into(), 10.into()];
        for row in peer.call(FOLLOW, &arguments).await? {
            seen += 1;
            position = bigint(&row, 0)?;
            println!("follow {position}");
        }
    }
    println!("done");
    Ok(())
}
