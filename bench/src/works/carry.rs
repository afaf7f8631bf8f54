//! How many subscriptions a core carries: the processor time of one orchestrator and its sessions, by
//! how many subscriptions there are and for whom somebody writes.

use promises::Cluster;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::line_up::{LineUp, interleave};
use crate::pgbench::{Load, Script};
use crate::series::Series;
use crate::subscribers::{Kind, Subscribers};
use crate::viewing;

/// How many subscriptions there are.
const SIZES: &[usize] = &[10, 100, 1_000];
const QUICK_SIZES: &[usize] = &[1, 2];
/// How many messages a second are written, where some are.
const MESSAGES: f64 = 100.0;
/// What nobody subscribes to.
const FOR_NOBODY: &str = "'logins-' || gen_random_uuid()::varchar";
/// What all of them read.
const FOR_ALL: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let sizes = bench.sized(SIZES, QUICK_SIZES);
    let rate = format!("{MESSAGES} messages a second");
    let settings = [
        ("nothing is written".to_owned(), None),
        (format!("{rate} that none reads"), Some(FOR_NOBODY)),
        (format!("{rate} that all read"), Some(FOR_ALL)),
    ];
    let line_ups = settings.iter().flat_map(|(_, stream)| {
        let cluster = &cluster;
        sizes.iter().map(move |size| {
            let unit = Unit::cost("% of a core");
            let label = format!("{size} subscriptions");
            let percent = || percent(bench, cluster, *size, *stream);
            LineUp::new(&label, unit, orchestrator(), percent)
        })
    });
    let contests = interleave(bench, line_ups.collect());
    let series = std::iter::zip(&settings, contests.chunks(sizes.len()));
    let series = series.map(|((label, _), contests)| {
        let sizes = sizes.iter().map(|size| *size as f64);
        let points = std::iter::zip(sizes, contests.iter().cloned());
        Series::new(label, "subscriptions", points).into()
    });
    series.collect()
}

/// Beside so many subscriptions, while somebody writes to a stream.
fn percent(bench: &Bench, cluster: &Cluster, subscriptions: usize, stream: Option<&str>) -> f64 {
    let seconds = bench.sized(10, 1);
    let subscribers = bench.block_on(Subscribers::start(cluster, Kind::Ours, subscriptions));
    let meter = bench.block_on(subscribers.meter());
    let meter = meter.expect("an orchestrator ticks them");
    match stream {
        Some(stream) => {
            let load = Load {
                clients: 1,
                seconds,
                options: String::new(),
            };
            let script = Script::new(&viewing::write_to(stream));
            script.paced(cluster, &subscribers.database.name, &load, MESSAGES);
        }
        None => {
            let wait = format!("SELECT pg_sleep({seconds})");
            bench.block_on(subscribers.session().run(&wait)).unwrap();
        }
    }
    let percent = bench.block_on(meter.percent());
    bench.block_on(async {
        subscribers.until_handled(subscribers.head().await).await;
        subscribers.stop().await;
    });
    percent
}

fn orchestrator() -> Identity {
    Identity::new(
        "orchestrator",
        "the program and its sessions with the server; handlers that do nothing, exactly once, settled messages only",
    )
}
