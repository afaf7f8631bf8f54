//! What the pages share, and how they stay live.

use std::{sync::Arc, time::Duration};

use message_store_client::{Result, database::Database};
use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{rows::HomePage, video::Video};

/// The least time between two looks at the home page's row for all watchers.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What the pages share. Cheap to clone.
#[derive(Clone)]
pub struct Site {
    pub(crate) database: Database,
    pub(crate) videos: Vec<Video>,
    pub(crate) home_page: watch::Sender<HomePage>,
    /// Held during a look, so that watchers are told of looks in their order.
    turn: Arc<Mutex<()>>,
    pub(crate) shutdown: CancellationToken,
}

impl Site {
    /// A site over a database; serves nothing yet.
    pub fn new(database: Database, videos: Vec<Video>, shutdown: CancellationToken) -> Self {
        Self {
            database,
            videos,
            home_page: watch::Sender::new(HomePage::default()),
            turn: Arc::default(),
            shutdown,
        }
    }

    /// Looks at the home page's row when deliveries progress, for all watchers
    /// at once, and only while there are any.
    pub async fn follow(self, mut progressed: watch::Receiver<u64>) {
        loop {
            let changed = tokio::select! {
                changed = progressed.changed() => changed,
                () = self.shutdown.cancelled() => return,
            };
            if changed.is_err() {
                return self.shutdown.cancelled().await;
            }
            if self.home_page.receiver_count() > 0 {
                if let Err(error) = self.look().await {
                    debug!("{error}");
                }
                sleep(LOOK_INTERVAL).await;
            }
        }
    }

    /// Looks at the page and tells all watchers where it changed.
    pub async fn look(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let page = HomePage::load(&self.database).await?;
        self.home_page.send_if_modified(|known| {
            let is_news = *known != page;
            *known = page;
            is_news
        });
        Ok(())
    }
}
