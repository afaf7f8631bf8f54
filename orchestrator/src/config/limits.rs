//! How many may be connected to a listener, and how long a client may take.

use std::time::Duration;

use super::file::Checked;
use web_server::Limits;

/// The limits of a listener unless told otherwise.
pub(super) const DEFAULT: Limits = Limits {
    connections: 512,
    connections_per_client: 128,
    client_timeout: Duration::from_secs(20),
};
/// The most connections a configuration may ask for: a guard against a typing error.
const MOST: usize = 100_000;

/// What a table says, else the default.
pub(super) fn check(
    table: &str,
    connections: Option<usize>,
    connections_per_client: Option<usize>,
) -> Checked<Limits> {
    let number = |key: &str, given: Option<usize>, default: usize| match given {
        Some(number) if !(1..=MOST).contains(&number) => Err(format!(
            "[{table}] {key} is {number}; it must be 1 to {MOST}"
        )),
        given => Ok(given.unwrap_or(default)),
    };
    Ok(Limits {
        connections: number("connections", connections, DEFAULT.connections)?,
        connections_per_client: number(
            "connections_per_client",
            connections_per_client,
            DEFAULT.connections_per_client,
        )?,
        ..DEFAULT
    })
}

/// A time that a client may take.
pub(super) fn check_timeout(given: Option<u64>) -> Checked<Duration> {
    match given {
        None => Ok(DEFAULT.client_timeout),
        Some(ms @ 1..=3_600_000) => Ok(Duration::from_millis(ms)),
        Some(ms) => Err(format!(
            "[web] client_timeout_ms is {ms}; it must be 1 ms to an hour"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn limits_have_defaults_and_bounds() {
        let config = Config::parse("[web]\nconnections = 7\nclient_timeout_ms = 5").unwrap();
        let timeout = Duration::from_millis(5);
        assert_eq!(config.limits.connections, 7);
        assert_eq!(config.limits.connections_per_client, 128);
        assert_eq!(config.limits.client_timeout, timeout);
        // A client takes as long here as there.
        assert_eq!(config.dashboard.limits.client_timeout, timeout);
        assert_eq!(Config::parse("").unwrap().limits, DEFAULT);
        for text in [
            "[web]\nconnections = 0",
            "[dashboard]\nconnections_per_client = 100001",
            "[web]\nclient_timeout_ms = 0",
        ] {
            let key = text.split(['\n', ' ']).nth(1).unwrap_or_default();
            let problem = Config::parse(text).unwrap_err();
            assert!(problem.contains(key), "{problem}");
        }
    }
}
