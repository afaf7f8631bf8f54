//! Whether a transaction that does not end keeps messages from readers.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::error::SqlState;

use super::Finding;
use message_store_client::{
    database::{Blocker, Database},
    error::Result,
};

const CHECK: &str = "horizon";
/// Between two looks, where this role may not see for how long a transaction has been open.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How far readers of a standby may go.
pub(super) async fn check_standby(database: &Database) -> Result<Finding> {
    let horizon = match database.horizon(None).await {
        Ok(horizon) => horizon,
        Err(error) if error.sql_state() == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
            return Ok(Finding::problem(
                CHECK,
                "readers of this standby do not know how far messages are settled",
                "Let an orchestrator run on the primary, or call record_horizons() there; \
                 create_store() first, where the store was made by a version before 0.4.",
            ));
        }
        Err(error) => return Err(error),
    };
    let age = horizon.age.map_or(String::new(), |age| {
        format!(", settled on the primary {:.1} s ago", age.as_secs_f64())
    });
    let finding = format!("readers of this standby go up to {}{age}", horizon.position);
    Ok(Finding::ok(CHECK, finding))
}

pub(super) async fn check(database: &Database, blocked_for: Duration) -> Result<Vec<Finding>> {
    let mut blockers = database.blockers().await?;
    if blockers.iter().any(|blocker| blocker.seconds.is_none()) {
        sleep(LOOK_AGAIN_AFTER).await;
        let still = database.blockers().await?;
        blockers.retain(|blocker| still.iter().any(|other| is_same(blocker, other)));
    }
    let limit = blocked_for.as_secs_f64();
    let findings: Vec<_> = blockers
        .iter()
        .filter(|blocker| blocker.seconds.is_none_or(|seconds| seconds >= limit))
        .map(finding)
        .collect();
    if findings.is_empty() {
        let finding = "no transaction keeps messages from readers for long";
        return Ok(vec![Finding::ok(CHECK, finding)]);
    }
    Ok(findings)
}

fn is_same(one: &Blocker, other: &Blocker) -> bool {
    (one.pid, &one.prepared, one.holds_back_after)
        == (other.pid, &other.prepared, other.holds_back_after)
}

fn finding(blocker: &Blocker) -> Finding {
    let duration = match blocker.seconds {
        Some(seconds) => format!("for {seconds:.0} s"),
        None => "for more than a second".to_owned(),
    };
    let position = blocker.holds_back_after;
    let (who, repair) = match (blocker.pid, &blocker.prepared) {
        (Some(pid), _) => (
            format!("the session {pid}"),
            format!("End its transaction, or SELECT pg_terminate_backend({pid});"),
        ),
        (None, prepared) => {
            let name = prepared.as_deref().unwrap_or("...");
            (
                format!("the prepared transaction {name}"),
                format!("COMMIT PREPARED '{name}'; or ROLLBACK PREPARED '{name}';"),
            )
        }
    };
    let finding = format!("{who} keeps messages behind {position} from readers {duration}");
    match blocker.seconds {
        Some(_) => Finding::problem(CHECK, finding, repair),
        None => Finding::warning(CHECK, finding, repair),
    }
}
