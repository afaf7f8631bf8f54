//! What tests/tests/clients.rs asks of every client, through tokio-postgres.

use std::env;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use uuid::Uuid;

/// The text of a value, as the two protocols bring it.
type Row = Vec<String>;

struct Peer {
    client: Client,
    protocol: String,
    path: String,
}

impl Peer {
    async fn connect(protocol: String, path: String) -> Result<Self> {
        let mut config = Config::new();
        config
            .host(env::var("PGHOST")?)
            .port(env::var("PGPORT")?.parse()?)
            .user(env::var("PGUSER")?)
            .dbname(env::var("PGDATABASE")?);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(Self {
            client,
            protocol,
            path,
        })
    }

    async fn write(&self, stream: &str, number: i64, expected_version: i64) -> Result<i64> {
        let id = Uuid::new_v4().to_string();
        let data = json!({"number": number});
        let rows = self
            .call(
                "SELECT message_store.write_message($1, $2, $3, $4, NULL, $5)",
                &[
                    (&id, Type::VARCHAR),
                    (&stream, Type::VARCHAR),
                    (&"Noted", Type::VARCHAR),
                    (&data, Type::JSONB),
                    (&expected_version, Type::INT8),
                ],
                &[
                    quoted(&id),
                    quoted(stream),
                    quoted("Noted"),
                    quoted(&data.to_string()),
                    expected_version.to_string(),
                ],
            )
            .await?;
        Ok(rows[0][0].parse()?)
    }

    /// Messages of a stream or a category, as `columns` of `function`.
    async fn read(
        &self,
        (columns, function): (&str, &str),
        name: &str,
        position: i64,
        batch_size: i64,
    ) -> Result<Vec<Row>> {
        self.call(
            &format!("SELECT {columns} FROM message_store.{function}($1, $2, $3)"),
            &[
                (&name, Type::VARCHAR),
                (&position, Type::INT8),
                (&batch_size, Type::INT8),
            ],
            &[quoted(name), position.to_string(), batch_size.to_string()],
        )
        .await
    }

    /// `literals` are the values as SQL, for the protocol that has no others.
    async fn call(
        &self,
        sql: &str,
        values: &[(&(dyn ToSql + Sync), Type)],
        literals: &[String],
    ) -> Result<Vec<Row>> {
        if self.protocol == "text" {
            let numbered = literals.iter().enumerate();
            let sql = numbered.fold(sql.to_owned(), |sql, (before, literal)| {
                sql.replace(&format!("${}", before + 1), literal)
            });
            let messages = self.client.simple_query(&sql).await?;
            let rows = messages.iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|number| row.get(number).unwrap_or_default().to_owned())
                        .collect(),
                ),
                _ => None,
            });
            return Ok(rows.collect());
        }
        let rows = if self.path == "transaction" {
            self.client.query_typed(sql, values).await?
        } else {
            let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
            self.client.query(sql, &values).await?
        };
        let text = |row: &tokio_postgres::Row, number: usize| match *row.columns()[number].type_() {
            Type::INT8 => row.get::<_, i64>(number).to_string(),
            _ => row.get(number),
        };
        Ok(rows
            .iter()
            .map(|row| (0..row.len()).map(|number| text(row, number)).collect())
            .collect())
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().context("an argument is missing");
    let (category, protocol, path) = (argument()?, argument()?, argument()?);
    let count: usize = argument()?.parse()?;
    let stream = format!("{category}-1");
    // Simple statements give texts, all others binary values.
    let format = protocol.clone();
    let peer = Peer::connect(protocol, path).await?;

    for number in 0..3 {
        println!("write {}", peer.write(&stream, number, number - 1).await?);
    }

    let columns = ("position, type, data", "get_stream_messages");
    let messages = peer.read(columns, &stream, 0, 1000).await?;
    println!("format {format}");
    for message in messages {
        let data: Value = serde_json::from_str(&message[2])?;
        println!("read {} {} {}", message[0], message[1], data["number"]);
    }

    if let Err(error) = peer.write(&stream, 0, 7).await {
        let error = error.downcast::<tokio_postgres::Error>()?;
        let answer = error.as_db_error().context("not an answer of PostgreSQL")?;
        println!("conflict {} {}", answer.code().code(), answer.message());
    }

    println!("following");
    let (mut seen, mut position) = (0, 0);
    while seen < count {
        let columns = ("global_position", "get_category_messages");
        for message in peer.read(columns, &category, position + 1, 10).await? {
            seen += 1;
            position = message[0].parse()?;
            println!("follow {position}");
        }
    }
    println!("done");
    Ok(())
}
