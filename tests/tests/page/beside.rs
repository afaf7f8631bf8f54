//! A store of `orchestrator up`, which ticks whatever is started in it while somebody reads.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use promises::{GuardedFolder, Running, Session, find_pg_config, orchestrator};

/// Whether the orchestrator has nothing left to do. A copy goes no further than the subscription
/// that it is a copy of, which may not be started.
const IS_IDLE: &str = "SELECT NOT EXISTS ( \
     SELECT FROM message_store.subscription_status s \
     WHERE state = 'started' AND handlers <> '{}' AND ( \
       CASE WHEN copy_of IS NULL THEN lag > 0 ELSE replay_target IS NOT NULL END \
       OR retry_at IS NOT NULL OR member < 0 OR EXISTS ( \
         SELECT FROM message_store.parked_messages p \
         WHERE p.subscriber_id = s.subscriber_id AND p.status = 'retry')))";

/// Whether the orchestrator has started the three subscriptions of its demo.
const IS_DECLARED: &str = "SELECT count(*) = 3 FROM message_store.subscription_status \
     WHERE state = 'started'";

/// It, running. Dropping it ends it.
pub struct Up {
    /// The address of its database, the superuser's.
    pub url: String,
    session: Session,
    _running: Running,
    // Dropped last: ends the server that `up` leaves behind when it is killed.
    _folder: GuardedFolder,
}

impl Up {
    /// Starts one with the demo, in a folder of its own.
    pub async fn start() -> Self {
        let folder = GuardedFolder::new("store/cluster/postmaster.pid");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let data_dir = folder.path().join("store");
        let mut command = orchestrator();
        command.args(["up", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(&data_dir).env("PG_CONFIG", find_pg_config());
        let running = Running::start(&mut command);
        running.home_page();
        let url = fs::read_to_string(data_dir.join("url")).unwrap();
        let url = url.trim().to_owned();
        let session = Session::open(&url.parse().unwrap()).await;
        // While it declares them, nothing can be deleted.
        session.wait_until(IS_DECLARED).await;
        Self {
            session,
            url,
            _running: running,
            _folder: folder,
        }
    }

    /// Whether the server has the extension pgcrypto.
    pub async fn has_pgcrypto(&self) -> bool {
        let there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'pgcrypto'";
        self.session.bigint(there).await == 1
    }

    /// Waits as a slow reader does: until everything that is started has handled everything.
    pub async fn wait_until_idle(&self) {
        self.session.wait_until(IS_IDLE).await;
    }
}
