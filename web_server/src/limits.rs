//! How many may be connected, and how long a client may take.

use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::warn;

use crate::seats::STANDING;

/// Descriptors for whatever is no connection of ours: files, libraries, programs.
const OTHERS: usize = 48;

/// The limits of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Those of one client address.
    pub connections_per_client: usize,
    /// How long a client may take to send a request, be silent between two of them, or take no
    /// byte of an answer.
    pub client_timeout: Duration,
}

impl Limits {
    /// Those of the listener of metrics: scrapers are few.
    pub fn of_metrics(client_timeout: Duration) -> Self {
        Self {
            connections: 64,
            connections_per_client: 32,
            client_timeout,
        }
    }
}

/// Lowers the connections of listeners to what the process may open beside its `own` connections:
/// one that can take no more would keep out all, from every listener. Says so where it does.
pub fn fit(listeners: &mut [Limits], own: usize) {
    fit_into(listeners, own, descriptors());
}

fn fit_into(listeners: &mut [Limits], own: usize, open: usize) {
    let standing = STANDING * listeners.len();
    let spare = open.saturating_sub(own + OTHERS + standing);
    let wanted: usize = listeners.iter().map(|one| one.connections).sum();
    if wanted <= spare {
        return;
    }
    for limits in listeners {
        limits.connections = (limits.connections * spare / wanted).max(1);
        limits.connections_per_client = limits.connections_per_client.min(limits.connections);
    }
    warn!(
        "the process may open {open} files (ulimit -n), too few for {wanted} connections of \
         clients: fewer are taken"
    );
}

/// How many files the process may open; as many as it may give itself.
fn descriptors() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return usize::MAX;
    };
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    let open = if raised.is_ok() { hard } else { soft };
    usize::try_from(open).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize) -> Limits {
        Limits {
            connections,
            connections_per_client: 100,
            client_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn listeners_share_what_the_process_may_open() {
        let wanted = [limits(1000), limits(200), limits(64)];
        let mut fitted = wanted;
        fit_into(&mut fitted, 20, 20_000);
        assert_eq!(fitted, wanted);
        fit_into(&mut fitted, 20, 256);
        let open: usize = fitted.iter().map(|one| one.connections + STANDING).sum();
        assert!(open + 20 + OTHERS <= 256, "{fitted:?}");
        assert!(fitted[0].connections > fitted[1].connections, "{fitted:?}");
        assert!(fitted[0].connections_per_client <= fitted[0].connections);
    }
}
