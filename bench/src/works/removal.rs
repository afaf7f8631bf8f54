//! Messages are deleted in bounded calls, beside writers that leave some room: what a write then takes,
//! and how fast the log gets shorter.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use promises::{Cluster, Database};
use tokio::runtime;

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::delays::Delays;
use crate::filled::filled_store;
use crate::line_up::LineUp;
use crate::pgbench::{Load, Script};
use crate::viewing;

const CLIENTS: u32 = 8;
/// The log, of which the beginning is deleted.
const MESSAGES: i64 = 10_000_000;
const QUICK_MESSAGES: i64 = 20_000;
const STREAMS: i64 = 100_000;
/// Messages that one call deletes, as orchestrators do.
const BATCH: i64 = 5_000;
/// How often as long as a call took it then rests, as orchestrators do.
const REST: u32 = 4;
/// How much of the writers' highest rate is asked for.
const SHARE_OF_PEAK: f64 = 0.8;
/// In the category that is deleted from, to a stream each.
const STREAM: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[("shared_buffers", "2GB"), ("max_wal_size", "8GB")]);
    let messages = bench.sized(MESSAGES, QUICK_MESSAGES);
    let database = bench.block_on(filled_store(&cluster, messages, STREAMS.min(messages / 10)));
    let writers = Writers {
        cluster: &cluster,
        database: &database,
        script: Script::new(&viewing::write_to(STREAM)),
        load: Load {
            clients: CLIENTS,
            seconds: bench.sized(30, 1),
            options: String::new(),
        },
    };
    let rate = SHARE_OF_PEAK * writers.peak();
    let deleted = RefCell::new(Vec::new());
    let label = format!(
        "p99, 8 writers, {:.0}% of their peak",
        SHARE_OF_PEAK * 100.0
    );
    let waits = LineUp::new(&label, Unit::cost("ms"), beside_a_deletion(), || {
        let (p99, per_second) = writers.beside_a_deletion(rate, messages);
        deleted.borrow_mut().push(per_second);
        p99
    })
    .against(alone(), || writers.alone(rate))
    .interleave(bench);
    let mut speed = waits.also(
        "messages deleted meanwhile",
        Unit::rate("messages a second"),
        [deleted.take()],
    );
    speed.ours.identity = deletion();
    speed.others.clear();
    vec![waits.into(), speed.into()]
}

struct Writers<'a> {
    cluster: &'a Cluster,
    database: &'a Database<'a>,
    script: Script,
    load: Load,
}

impl Writers<'_> {
    /// The rate of writers that nobody holds back. The first run only warms up.
    fn peak(&self) -> f64 {
        let rate = || {
            self.script
                .rate(self.cluster, &self.database.name, &self.load)
        };
        rate();
        rate()
    }

    /// Milliseconds of all writes but one in a hundred.
    fn alone(&self, rate: f64) -> f64 {
        let paced = self
            .script
            .paced(self.cluster, &self.database.name, &self.load, rate);
        Delays::new(paced.transactions.iter().map(|one| one.took)).p99_ms()
    }

    /// The same while another session deletes, and how many messages that deletes a second.
    fn beside_a_deletion(&self, rate: f64, before: i64) -> (f64, f64) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (database, is_over) = (self.database, &is_over);
            let deletion = scope.spawn(move || delete_until(database, before, is_over));
            let p99 = self.alone(rate);
            is_over.store(true, Ordering::Relaxed);
            (p99, deletion.join().unwrap())
        })
    }
}

/// Deletes until it is over; how many messages a second.
fn delete_until(database: &Database<'_>, before: i64, is_over: &AtomicBool) -> f64 {
    let begun = Instant::now();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let deleted = runtime.unwrap().block_on(async {
        let session = database.connect().await;
        let call = format!(
            "SELECT message_store.delete_category_before('viewings', 'measured', \
             before_position => {before}, max_messages => {BATCH})"
        );
        let mut deleted = 0;
        while !is_over.load(Ordering::Relaxed) {
            let called = Instant::now();
            let now = session.bigint(&call).await;
            deleted += now;
            if now < BATCH {
                break;
            }
            tokio::time::sleep(called.elapsed() * REST).await;
        }
        deleted
    });
    deleted as f64 / begun.elapsed().as_secs_f64()
}

fn beside_a_deletion() -> Identity {
    Identity::new(
        "a write beside a deletion",
        "another session deletes the category's oldest messages, 5,000 a transaction, and rests four times as long after each, as orchestrators do",
    )
}

fn alone() -> Identity {
    Identity::new("a write beside nothing", "the same rate in the same store")
}

fn deletion() -> Identity {
    Identity::new(
        "delete_category_before",
        "of a log of ten million messages, with its four indexes",
    )
}
