//! What subscriptions cost the writers: 8 of them write as fast as they can while one orchestrator
//! ticks subscriptions that all read what they write.

use std::cell::RefCell;
use std::time::Instant;

use promises::Cluster;

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Contestant, Identity, Unit};
use crate::line_up::{LineUp, interleave};
use crate::pgbench::{Load, Script};
use crate::series::Series;
use crate::subscribers::{Kind, Subscribers, alone, beside_plain};
use crate::viewing;

/// How many subscriptions there are.
const SIZES: &[usize] = &[1, 10, 100];
/// How much of the writers' rate beside one subscription must be left beside the most.
const LEFT: f64 = 0.95;
/// All in one category, to a stream each.
const STREAM: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let writers = Writers {
        bench,
        cluster: &cluster,
        script: Script::new(&viewing::write_to(STREAM)),
        load: Load {
            clients: 8,
            seconds: bench.sized(5, 1),
            options: String::new(),
        },
    };
    let found: Vec<Found> = SIZES.iter().map(|_| Found::default()).collect();
    let line_ups = std::iter::zip(SIZES, &found).map(|(size, found)| {
        let unit = Unit::rate("messages a second");
        LineUp::new(&counted(*size), unit, ours(), || {
            writers.beside(Kind::Ours, *size, found)
        })
        .against(alone(), || writers.beside(Kind::Ours, 0, &Found::default()))
        .against(beside_plain(), || {
            writers.beside(Kind::Plain, *size, &Found::default())
        })
    });
    let contests = interleave(bench, line_ups.collect());

    let goal = beside_one("8 writers", &contests, |contest| &contest.ours, Some(LEFT));
    let floor = beside_one("8 writers, plain SQL", &contests, plain, None);
    let behind = found.iter().map(|found| found.behind_ms.take());
    let behind = of_ours(&contests, &last_subscription(), "ms", behind);
    let processor = found.iter().map(|found| found.processor_percent.take());
    let processor = of_ours(&contests, &who_ticks(), "% of a core", processor);
    let series = |label, contests: Vec<Contest>| {
        let sizes = SIZES.iter().map(|size| *size as f64);
        Series::new(label, "subscriptions", std::iter::zip(sizes, contests)).into()
    };
    vec![
        goal.into(),
        floor.into(),
        series("8 writers", contests),
        series("from the writers' end until all is handled", behind),
        series("processor beside 8 writers", processor),
    ]
}

/// What runs find beside the writers' rate.
#[derive(Default)]
struct Found {
    behind_ms: RefCell<Vec<f64>>,
    processor_percent: RefCell<Vec<f64>>,
}

struct Writers<'a> {
    bench: &'a Bench,
    cluster: &'a Cluster,
    script: Script,
    load: Load,
}

impl Writers<'_> {
    /// The writers' rate beside so many subscriptions.
    fn beside(&self, kind: Kind, subscriptions: usize, found: &Found) -> f64 {
        let bench = self.bench;
        let subscribers = bench.block_on(Subscribers::start(self.cluster, kind, subscriptions));
        let meter = bench.block_on(subscribers.meter());
        let name = &subscribers.database.name;
        let rate = self.script.rate(self.cluster, name, &self.load);
        let ended = Instant::now();
        if let Some(meter) = meter {
            let percent = bench.block_on(meter.percent());
            found.processor_percent.borrow_mut().push(percent);
        }
        bench.block_on(async {
            subscribers.until_handled(subscribers.head().await).await;
            let behind = ended.elapsed();
            found
                .behind_ms
                .borrow_mut()
                .push(behind.as_secs_f64() * 1e3);
            subscribers.stop().await;
        });
        rate
    }
}

/// Whom plain SQL ticks beside.
fn plain(contest: &Contest) -> &Contestant {
    let found = contest
        .others
        .iter()
        .find(|other| other.identity == beside_plain());
    found.expect("every size has it")
}

/// The writers' rate beside the most subscriptions to that beside one, round by round.
fn beside_one(
    label: &str,
    contests: &[Contest],
    whose: impl Fn(&Contest) -> &Contestant,
    goal: Option<f64>,
) -> Contest {
    let contestant = |contest: &Contest, goal| Contestant {
        identity: Identity::new(
            &format!("beside {}", contest.label),
            "the writers, with what is ticked beside them",
        ),
        goal,
        runs: whose(contest).runs.clone(),
    };
    let [first, .., last] = contests else {
        panic!("one size has no other to be compared with");
    };
    Contest {
        label: label.to_owned(),
        unit: last.unit.clone(),
        ours: contestant(last, None),
        others: vec![contestant(first, goal)],
        held_to: None,
    }
}

/// Another figure of the same runs, which only ours has.
fn of_ours(
    contests: &[Contest],
    whose: &Identity,
    unit: &str,
    runs: impl Iterator<Item = Vec<f64>>,
) -> Vec<Contest> {
    let also = |(contest, runs): (&Contest, Vec<f64>)| {
        let mut also = contest.also(&contest.label, Unit::cost(unit), [runs]);
        also.ours.identity = whose.clone();
        also
    };
    std::iter::zip(contests, runs).map(also).collect()
}

fn counted(subscriptions: usize) -> String {
    match subscriptions {
        1 => "1 subscription".to_owned(),
        _ => format!("{subscriptions} subscriptions"),
    }
}

fn ours() -> Identity {
    Identity::new(
        "writers beside subscriptions",
        "one orchestrator ticks a handler that does nothing, exactly once, settled messages only",
    )
}

fn last_subscription() -> Identity {
    Identity::new(
        "the last subscription",
        "as late as the one that is furthest behind",
    )
}

fn who_ticks() -> Identity {
    Identity::new(
        "orchestrator",
        "the program and its sessions with the server",
    )
}
