//! Sends a mail for each message of the category order, once. See ../README.md.

use std::{env, time::Duration};

use message_store_client::{
    Consumer, Failure,
    connection::Target,
    database::{Database, FetchedMessage},
};

/// The table stands for the mail service. Like most, it takes a key: a mail of the same message is
/// not sent again.
async fn send_mail(database: Database, fetched: FetchedMessage) -> Result<(), Failure> {
    const SEND: &str = "INSERT INTO public.mails (message_id, recipient, subject) \
                        VALUES ($1, $2, $3) ON CONFLICT (message_id) DO NOTHING RETURNING number";
    let order: serde_json::Value = fetched.data()?;
    let email = order["email"].as_str();
    let email = email.ok_or(Failure::Park("the order has no email".to_owned()))?;
    let message = fetched.message;
    let sent = database
        .query(
            "send a mail",
            SEND,
            &[&message.id, &email, &message.message_type],
        )
        .await?;
    let said = if sent.is_empty() {
        "mailed before"
    } else {
        "mailed"
    };
    println!("{said} {}", message.global_position);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let lease_s = env::var("LEASE_S").map_or(Ok(30), |seconds| seconds.parse())?;
    let target = Target::parse(&env::var("DATABASE_URL")?, "DATABASE_URL")?;
    let database = Database::open(&target, 2)?;
    let mailer = Consumer::new(&database, "services:mailer").lease(Duration::from_secs(lease_s));
    mailer
        .run(|fetched| send_mail(database.clone(), fetched))
        .await?;
    Ok(())
}
