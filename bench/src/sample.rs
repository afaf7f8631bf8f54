//! What the unit tests compare: made-up runs.

use crate::comparison::{Contest, Contestant, Identity, Unit};
use crate::machine::Machine;
use crate::record::Record;
use crate::series::Series;
use crate::server::ServerFacts;

/// The runs of ours in every contest.
pub(crate) const OURS: [f64; 3] = [10.0, 20.0, 30.0];

pub(crate) fn contestant(name: &str, runs: &[f64]) -> Contestant {
    Contestant {
        identity: Identity::new(name, "everything"),
        goal: None,
        runs: runs.to_vec(),
    }
}

/// Ours beside one other.
pub(crate) fn contest(unit: Unit, theirs: [f64; 3], goal: Option<f64>) -> Contest {
    let mut other = contestant("Peer & <Co>", &theirs);
    other.identity = other.identity.version("1.3");
    other.goal = goal;
    Contest {
        label: "1 client".to_owned(),
        unit,
        ours: contestant("ours", &OURS),
        others: vec![other],
        held_to: None,
    }
}

/// Three sizes, given out of order.
pub(crate) fn series() -> Series {
    let point = |x: f64, label: &str, ours: f64, theirs: f64| {
        let contest = Contest {
            label: label.to_owned(),
            unit: Unit::cost("ms"),
            ours: contestant("ours", &[ours]),
            others: vec![contestant("a full scan", &[theirs])],
            held_to: None,
        };
        (x, contest)
    };
    Series::new(
        "a tick",
        "messages in the store",
        [
            point(20_000_000.0, "20 million", 20.0, 80.0),
            point(10_000.0, "10,000", 10.0, 20.0),
            point(1_000_000.0, "1 million", 30.0, 40.0),
        ],
    )
}

/// A work that found both a contest and a series.
pub(crate) fn record() -> Record {
    let unit = Unit::rate("messages a second");
    Record {
        work: "write".to_owned(),
        title: "Writes".to_owned(),
        rounds: 3,
        quick: false,
        commit: Some("0123456789ab".to_owned()),
        machine: Machine {
            cores: 2,
            cpu: "A CPU".to_owned(),
            memory_mb: 16_000,
            kernel: "6.1".to_owned(),
        },
        servers: vec![ServerFacts {
            postgresql: "15.1".to_owned(),
            message_store: "0.2.0".to_owned(),
            settings: [("fsync".to_owned(), "on".to_owned())].into(),
        }],
        comparisons: vec![
            contest(unit, [5.0, 10.0, 30.0], Some(25.0)).into(),
            series().growth_within(3.0).into(),
        ],
    }
}
