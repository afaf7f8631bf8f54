//! `orchestrator retain`: how long a category is kept.

use super::{
    table::{print_rows, print_sentence},
    target_of,
};
use crate::{cli::RetainArgs, error::Result};
use message_store_client::database::Database;

/// What people type for no end.
const FOREVER: &str = "forever";

pub(super) async fn retain(args: RetainArgs) -> Result<()> {
    let database = Database::open(&target_of(&args.database)?, 1)?;
    let (Some(category), Some(keep), Some(reason)) = (&args.category, &args.keep, &args.reason)
    else {
        return print_rows(
            database.retention().await?,
            &["category", "keep", "reason", "role", "declared_at"],
            args.json,
            "Every category is kept for ever.",
        );
    };
    let limit = Some(keep.as_str()).filter(|keep| *keep != FOREVER);
    database.retain(category, limit, reason).await?;
    print_sentence(&match limit {
        Some(limit) => {
            format!("{category} is kept for {limit}; orchestrators delete what is older.")
        }
        None => format!("{category} is kept for ever."),
    })
}
