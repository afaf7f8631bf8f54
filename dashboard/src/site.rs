//! What the pages share.

use std::sync::Arc;

use message_store_client::{Result, connection::Target, database::Database, samples::Samples};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    access::Access,
    identity::{Identity, Role},
    notices::Notices,
    sessions::Sessions,
};

/// Connections of the pages, apart from those of the ticks and of the home page.
const CONNECTIONS: usize = 4;

/// Those of operators, of viewers, and the one that takes the samples.
pub const ALL_CONNECTIONS: usize = 2 * CONNECTIONS + 1;

/// Answers of a whole column of a message at a time: each may wait in memory for its visitor.
const WHOLE_COLUMNS: usize = 2;

/// The databases as people of each role see them.
pub struct Visitors {
    /// With which the samples are taken: no page keeps them waiting.
    pub sampler: Database,
    /// With which operators act.
    pub operators: Database,
    /// With which viewers look.
    pub viewers: Database,
}

impl Visitors {
    /// Pools that connect at the first use.
    ///
    /// # Errors
    /// [`Error::Config`](message_store_client::Error::Config) where a pool refuses its settings.
    pub fn open(operators: &Target, viewers: &Target) -> Result<Self> {
        Ok(Self {
            sampler: Database::open_for_pages(operators, 1)?,
            operators: Database::open_for_pages(operators, CONNECTIONS)?,
            viewers: Database::open_for_pages(viewers, CONNECTIONS)?,
        })
    }
}

/// What the pages share.
pub struct Site {
    pub(crate) operators: Database,
    pub(crate) viewers: Database,
    pub(crate) samples: Samples,
    pub(crate) access: Access,
    pub(crate) sessions: Sessions,
    pub(crate) notices: Notices,
    /// Answers of a whole column of a message at a time.
    pub(crate) whole_columns: Arc<Semaphore>,
    pub(crate) shutdown: CancellationToken,
}

impl Site {
    /// With nobody signed in.
    pub fn new(
        visitors: Visitors,
        samples: Samples,
        access: Access,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            operators: visitors.operators,
            viewers: visitors.viewers,
            samples,
            access,
            sessions: Sessions::default(),
            notices: Notices::default(),
            whole_columns: Arc::new(Semaphore::new(WHOLE_COLUMNS)),
            shutdown,
        }
    }

    /// The connections for who asks.
    pub fn database(&self, identity: &Identity) -> &Database {
        match identity.role {
            Role::Operator => &self.operators,
            Role::Viewer => &self.viewers,
        }
    }
}
