//! Whether messages may have been lost, and nobody has said that they were not.

use super::Finding;
use message_store_client::{database::Database, error::Result};

const CHECK: &str = "epochs";

pub(super) async fn check(database: &Database) -> Result<Option<Finding>> {
    let doubted = database.unconfirmed_epoch().await?;
    Ok(doubted.map(|epoch| {
        Finding::warning(
            CHECK,
            format!(
                "{} at {}: messages after position {} may have been lost then",
                epoch.reason, epoch.began_at, epoch.settled_up_to
            ),
            format!(
                "Let readers that keep positions themselves ask check_position(). Where nothing was lost: \
                 SELECT message_store.confirm_epoch('{}', 'how you know');",
                epoch.epoch
            ),
        )
    }))
}
