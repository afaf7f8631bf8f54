//! The subscription that a command was given, and those that were probably meant where it is not there.

use message_store_client::database::Database;
use tokio_postgres::error::SqlState;

use crate::error::{Error, Result};

/// How alike two names must be for one to be meant by the other, of 1.
const ALIKE: f64 = 0.7;
/// How much less alike than the nearest another one may be to be proposed too.
const NEARLY: f64 = 0.05;
/// How many names are proposed.
const PROPOSED: usize = 3;

/// The answer of a function that was given this subscription. Where there is none, the error says which
/// ones are near.
///
/// # Errors
/// That of the answer, or [`Error::Missing`].
pub(super) async fn expect<T>(
    database: &Database,
    subscriber_id: &str,
    answer: message_store_client::Result<T>,
) -> Result<T> {
    match answer {
        Err(error) if error.sql_state() == Some(&SqlState::UNDEFINED_OBJECT) => {
            let missing = look_for(database, subscriber_id).await;
            Err(missing.err().unwrap_or_else(|| error.into()))
        }
        answer => Ok(answer?),
    }
}

/// Fails where there is no such subscription that this role may see, and says which ones are near.
///
/// # Errors
/// [`Error::Missing`].
pub(super) async fn look_for(database: &Database, subscriber_id: &str) -> Result<()> {
    // Who cannot be asked proposes none.
    let known = database.subscriber_ids().await.unwrap_or_default();
    if known.iter().any(|known| known == subscriber_id) {
        return Ok(());
    }
    Err(missing(subscriber_id, &known))
}

fn missing(subscriber_id: &str, known: &[String]) -> Error {
    let proposed = match nearest(subscriber_id, known).as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [others @ .., last] => format!("; did you mean {} or {last}?", others.join(", ")),
    };
    Error::Missing {
        what: format!(
            "there is no subscription {subscriber_id} that this role may see{proposed} \
             (`orchestrator subscriptions list` has them all)"
        ),
    }
}

/// The nearest first.
fn nearest<'a>(name: &str, known: &'a [String]) -> Vec<&'a str> {
    let alike = |known: &str| {
        // Many begin alike, such as aggregators:, and that may be what was left out.
        let own = known.rsplit(':').next().unwrap_or(known);
        let own_name = name.rsplit(':').next().unwrap_or(name);
        strsim::jaro(name, known).max(strsim::jaro(own_name, own))
    };
    let mut near: Vec<_> = known
        .iter()
        .map(|known| (alike(known), known.as_str()))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    let best = near.first().map_or(0.0, |(alike, _)| *alike);
    near.into_iter()
        .take_while(|(alike, _)| best - alike < NEARLY)
        .map(|(_, known)| known)
        .take(PROPOSED)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_proposed_and_nothing_that_is_far() {
        let known = [
            "aggregators:home-page",
            "aggregators:most-watched",
            "services:mail",
        ];
        let known = known.map(str::to_owned);
        let first = |name| nearest(name, &known).first().copied();
        assert_eq!(
            first("aggregators:home-pgae"),
            Some("aggregators:home-page")
        );
        assert_eq!(first("home-page"), Some("aggregators:home-page"));
        assert_eq!(
            first("agregators:mostwatched"),
            Some("aggregators:most-watched")
        );
        assert_eq!(first("xyzzy"), None);
        let text = missing("service:mail", &known).to_string();
        assert!(text.contains("did you mean services:mail"), "{text}");
        let text = missing("xyzzy", &[]).to_string();
        assert!(!text.contains("did you mean"), "{text}");
        assert!(text.contains("subscriptions list"), "{text}");
    }
}
