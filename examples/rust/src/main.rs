//! Sends a mail for each message of the category order, once. See ../README.md.

use anyhow::{Context, Result};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, Row};

const SUBSCRIBER: &str = "services:mailer";
const BATCH_SIZE: i64 = 10;
const LEASE_LOST: SqlState = SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE;

/// The table stands for the mail service. Like most, it takes a key: a mail of the same message
/// is not sent again. Returns why a message cannot be mailed.
async fn send_mail(database: &Client, message: &Row) -> Result<Option<&'static str>> {
    let order: Value = serde_json::from_str(message.get("data"))?;
    let Some(email) = order["email"].as_str() else {
        return Ok(Some("the order has no email"));
    };
    let sent = database
        .execute(
            "INSERT INTO public.mails (message_id, recipient, subject)
             VALUES ($1, $2, $3) ON CONFLICT (message_id) DO NOTHING",
            &[
                &message.get::<_, &str>("id"),
                &email,
                &message.get::<_, &str>("type"),
            ],
        )
        .await?;
    let said = if sent > 0 { "mailed" } else { "mailed before" };
    println!("{said} {}", message.get::<_, i64>("global_position"));
    Ok(None)
}

async fn handle_next(database: &Client, lease_time: &str) -> Result<usize> {
    let messages = database
        .query(
            "SELECT * FROM message_store.fetch($1, $2, $3::text::interval)",
            &[&SUBSCRIBER, &BATCH_SIZE, &lease_time],
        )
        .await?;
    for message in &messages {
        let global_position: i64 = message.get("global_position");
        let lease: i64 = message.get("lease");
        if let Some(error) = send_mail(database, message).await? {
            database
                .execute(
                    "SELECT message_store.park($1, $2, $3, $4)",
                    &[&SUBSCRIBER, &global_position, &error, &lease],
                )
                .await?;
            println!("parked {global_position}");
            break; // the lease has ended: what is left comes again
        }
        database
            .execute(
                "SELECT message_store.ack($1, $2, $3)",
                &[&SUBSCRIBER, &global_position, &lease],
            )
            .await?;
    }
    Ok(messages.len())
}

fn is_lease_lost(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<tokio_postgres::Error>();
    error.and_then(tokio_postgres::Error::code) == Some(&LEASE_LOST)
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL names no database")?;
    let lease_time = std::env::var("LEASE").unwrap_or_else(|_| "30 s".to_owned());
    let (database, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    let mut last_drawn = 0_i64;
    loop {
        match handle_next(&database, &lease_time).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) if is_lease_lost(&error) => {
                println!("too slow: somebody else may have these messages now");
                continue;
            }
            Err(error) => return Err(error),
        }
        let waited = database
            .query_one(
                "CALL message_store.wait_for_messages($1, '500 ms', NULL)",
                &[&last_drawn],
            )
            .await?;
        last_drawn = waited.get("last");
    }
}
