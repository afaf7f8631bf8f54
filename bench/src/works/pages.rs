//! How long pages take over a long log with many subscriptions, and what the dashboard's own
//! queries cost while somebody looks at it.

use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use promises::{Cluster, Database, HOME_PAGE, Running};
use tokio::time::sleep;

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Identity, Unit};
use crate::delays::Delays;
use crate::filled::{FILLING, filled_store};
use crate::line_up::LineUp;
use crate::processor::Meter;
use crate::subscribers::HANDLER;

const MESSAGES: i64 = 20_000_000;
const STREAMS: i64 = 1_000;
const SUBSCRIPTIONS: i64 = 100;
/// 99 of 100 requests are to be answered within, in milliseconds.
const PROMPT: f64 = 100.0;
/// Per cent of a core.
const CHEAP: f64 = 1.0;

/// A subscription whose handler refuses every message, each in a stream of its own, and how many
/// there are.
const CHOOSY: &str = "choosy";
const PARKED: i64 = 1_000;

/// The role the dashboard connects as, so that its sessions are known.
const ROLE: &str = "bench_operator";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(FILLING);
    let messages = bench.sized(MESSAGES, 10_000);
    let streams = bench.sized(STREAMS, 100);
    let house = bench.block_on(House::build(&cluster, messages, streams));
    let middle = messages / 2;
    let pages = [
        ("home page", house.home_page.clone()),
        ("overview", house.admin("")),
        ("subscriptions", house.admin("/subscriptions")),
        ("one subscription", house.admin("/subscription?id=see:50")),
        ("parked messages", house.admin("/parked")),
        (
            "parked messages of one",
            house.admin(&format!("/parked?id={CHOOSY}")),
        ),
        (
            "a retry, asked about",
            house.admin(&format!("/parked/confirm?id={CHOOSY}&do=retry&all=1")),
        ),
        ("categories", house.admin("/categories")),
        ("a category, newest", house.admin("/browse?source=viewings")),
        (
            "a category, from the middle",
            house.admin(&format!("/browse?source=viewings&at={middle}")),
        ),
        (
            "a category, a type that is not there",
            house.admin("/browse?source=viewings&type=Nothing"),
        ),
        ("a stream", house.admin("/browse?source=viewings-50")),
        ("every message", house.admin("/browse")),
        (
            "every message, upwards from the middle",
            house.admin(&format!("/browse?source=%24all&above={middle}")),
        ),
        ("a search", house.admin("/search?q=viewings-50")),
        ("a message", house.admin(&format!("/messages/{middle}"))),
        (
            "a message's data",
            house.admin(&format!("/messages/{middle}/data")),
        ),
        ("read models", house.admin("/read-models")),
        ("a read model", house.admin("/read-model?name=home")),
    ];
    let mut comparisons: Vec<Comparison> = pages
        .iter()
        .map(|(label, url)| page(bench, label, url).into())
        .collect();
    comparisons.push(cost(bench, &house, "the overview is open", "?view=overview").into());
    let one = "?view=subscription&id=see:50";
    comparisons.push(cost(bench, &house, "a subscription is open", one).into());
    comparisons
}

fn page(bench: &Bench, label: &str, url: &str) -> Contest {
    let requests = bench.sized(1_000, 20);
    let who = Identity::new(
        "p99 of 1,000 requests",
        "to the last byte, one after the other",
    );
    let agent = ureq::agent();
    let request = || {
        let begun = Instant::now();
        let mut answer = agent.get(url).call().unwrap();
        answer.body_mut().read_to_vec().unwrap();
        begun.elapsed()
    };
    let measure = || Delays::new((0..requests).map(|_| request())).p99_ms();
    let line_up = LineUp::new(label, Unit::cost("ms"), who, measure);
    line_up.interleave(bench).under(PROMPT)
}

/// The processor time of the dashboard's sessions while a browser follows a page.
fn cost(bench: &Bench, house: &House<'_>, label: &str, view: &str) -> Contest {
    let who = Identity::new(
        "the dashboard's sessions",
        "in the server, beside the ticks",
    );
    let seconds = bench.sized(40, 2);
    let url = house.admin(&format!("/events{view}"));
    let measure = || {
        let follower = thread::spawn({
            let url = url.clone();
            move || follow(&url, Duration::from_secs(seconds))
        });
        let percent = bench.block_on(async {
            let session = house.database.connect().await;
            let meter = Meter::start_for_role(&session, ROLE).await;
            sleep(Duration::from_secs(seconds)).await;
            meter.percent().await
        });
        follower.join().unwrap();
        // The kernel may have counted nothing, of which there would be no ratio.
        percent.max(0.001)
    };
    let line_up = LineUp::new(label, Unit::cost("% of a core"), who, measure);
    line_up.interleave(bench).under(CHEAP)
}

/// Reads events as a browser does, for so long.
fn follow(url: &str, patience: Duration) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(patience))
        .build()
        .into();
    let mut events = agent.get(url).call().unwrap();
    // It ends by the time that is up.
    let _ = events.body_mut().as_reader().read_to_end(&mut Vec::new());
}

/// A store, its orchestrator, and the dashboard.
struct House<'a> {
    database: Database<'a>,
    home_page: String,
    dashboard: String,
    _running: Running,
}

impl<'a> House<'a> {
    async fn build(cluster: &'a Cluster, messages: i64, streams: i64) -> Self {
        let database = filled_store(cluster, messages, streams).await;
        let session = database.connect().await;
        let create = format!(
            "{HANDLER};
             CREATE ROLE {ROLE} LOGIN IN ROLE message_store_admin, message_store_viewer;
             SELECT message_store.create_subscription(id, 'viewings',
                      '{{\"VideoViewed\": \"public.see\"}}', '{{\"start_from\": \"now\"}}'),
                    message_store.start(id)
             FROM (SELECT 'see:' || n AS id FROM generate_series(1, {SUBSCRIPTIONS} - 2) n) AS ids;
             CREATE FUNCTION public.refuse(message message_store.message) RETURNS void
             LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
             SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'odd-' || n, 'Odd',
                      '{{\"why\": \"to be parked\"}}')) FROM generate_series(1, {PARKED}) n;
             SELECT message_store.create_subscription('{CHOOSY}', 'odd',
                      '{{\"Odd\": \"public.refuse\"}}', '{{\"on_failure\": \"park\", \"retries\": 0}}'),
                    message_store.start('{CHOOSY}')"
        );
        session.run(&create).await.unwrap();
        let url = database.url(ROLE);
        let dashboard = format!(
            "{HOME_PAGE}start_from = \"now\"\n[dashboard]\nenabled = true\n\
             listen = '127.0.0.1:0'\nurl = '{url}'\n"
        );
        let running = database.deploy(&dashboard).start();
        let parked = format!(
            "SELECT count(*) = {PARKED} FROM message_store.parked_messages WHERE status = 'failed'"
        );
        session.wait_until(&parked).await;
        Self {
            home_page: running.home_page(),
            dashboard: running.dashboard(),
            database,
            _running: running,
        }
    }

    fn admin(&self, path: &str) -> String {
        format!("{}/admin{path}", self.dashboard)
    }
}
