//! Applies what `retain()` has declared, so that nobody else has to.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::complaint::Complaint;

use message_store_client::{
    Result,
    database::{Applied, Database},
};

/// How often it is looked for messages that are too old.
const INTERVAL: Duration = Duration::from_secs(60);
/// How many messages of a category one transaction deletes: few enough that nobody waits for it.
const BATCH_SIZE: i64 = 5_000;
/// After each it rests so many times as long as that took: nobody is in a hurry to delete.
const REST: u32 = 4;
/// How long the database may take for one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Deletes what is too old.
pub struct Retention {
    /// Where to.
    pub database: Database,
    /// Ends it, between two transactions.
    pub shutdown: CancellationToken,
}

impl Retention {
    /// Applies it once a minute until shutdown. A failure is logged, once for each cause, and tried again
    /// with the next minute.
    pub async fn run(self) {
        let mut rounds = interval(INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = Complaint::that("nothing is deleted by retention");
        let mut held_back = HashMap::new();
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                _ = rounds.tick() => {}
            }
            match self.apply().await {
                Ok(deleted) => {
                    complaint.settle();
                    tell(&deleted, &mut held_back);
                }
                Err(error) => complaint.tell(&error),
            }
        }
    }

    /// Deletes until no category has more; returns what was deleted of each.
    async fn apply(&self) -> Result<Vec<Applied>> {
        let mut total: Vec<Applied> = Vec::new();
        loop {
            let begun = Instant::now();
            let applying = self.database.apply_retention(BATCH_SIZE);
            let round = self.database.within(PATIENCE, applying).await?;
            let has_more = round.iter().any(|applied| applied.deleted == BATCH_SIZE);
            for applied in round {
                match total
                    .iter_mut()
                    .find(|known| known.category == applied.category)
                {
                    Some(known) => {
                        known.deleted += applied.deleted;
                        known.held_back_by = applied.held_back_by;
                    }
                    None => total.push(applied),
                }
            }
            if !has_more {
                return Ok(total);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(total),
                () = sleep(begun.elapsed() * REST) => {}
            }
        }
    }
}

/// Logs what was deleted, and once who is in the way.
fn tell(applied: &[Applied], held_back: &mut HashMap<String, String>) {
    for Applied {
        category,
        deleted,
        held_back_by,
    } in applied
    {
        if *deleted > 0 {
            info!(category, deleted, "deleted by retention");
        }
        match held_back_by {
            None => {
                held_back.remove(category);
            }
            Some(by) => {
                let told = held_back.insert(category.clone(), by.clone());
                if told.as_ref() != Some(by) {
                    warn!(
                        category,
                        held_back_by = by,
                        "messages are kept longer than declared"
                    );
                }
            }
        }
    }
}
