//! What a router costs: writes to shards through it, straight to the shards, and to a store that is no
//! shard; and reads of all shards beside those of one.

mod writes;

use std::path::Path;
use std::time::Instant;

use promises::{Cluster, Database, Session, Shards};

use crate::bench::Bench;
use crate::comparison::{Comparison, Identity, Unit};
use crate::line_up::LineUp;
use crate::pgbench::Script;
use crate::viewing;

const SHARDS: [usize; 2] = [2, 4];
const MESSAGES: i64 = 20_000;
const PAGE: i64 = 1_000;
/// Reads of one kind that are timed together.
const READS: u32 = 50;

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let shared = cluster.pg_config_value("--sharedir");
    if !Path::new(&shared)
        .join("extension/plproxy.control")
        .exists()
    {
        eprintln!("Left out: this PostgreSQL does not have PL/Proxy.");
        return Vec::new();
    }
    let mut comparisons = writes::run(bench, &cluster);
    for count in SHARDS {
        comparisons.extend(reads(bench, &cluster, count));
    }
    comparisons
}

/// Reads of all of so many shards, and of one.
fn reads(bench: &Bench, cluster: &Cluster, count: usize) -> [Comparison; 2] {
    let shards = bench.block_on(cluster.create_shards(count));
    let names = Names::of(bench, &shards);
    bench.block_on(fill(&shards, &names));
    let (router, shard) = (
        bench.block_on(shards.client()),
        bench.block_on(shards.shards[0].connect_as("message_store")),
    );
    let end = bench.block_on(router.bigint("SELECT max(drawn) FROM message_store.shard_status"));
    // As a client gets them, as text.
    let read = |session: &Session, from: i64| {
        let sql = format!(
            "SELECT * FROM message_store.get_category_messages('viewings', {from}, {PAGE})"
        );
        let begun = Instant::now();
        for _ in 0..READS {
            bench.block_on(session.simple_query(&sql)).unwrap();
        }
        begun.elapsed().as_secs_f64() * 1_000.0 / f64::from(READS)
    };
    let of_all = || {
        Identity::new(
            &format!("of {count} shards"),
            "in one order, through the router",
        )
    };
    let of_one = || Identity::new("of one shard", "asked straight");
    let full = LineUp::new(
        &format!("1,000 messages of a category, {count} shards"),
        Unit::cost("ms"),
        of_all(),
        || read(&router, 1),
    )
    .against(of_one(), || read(&shard, 1))
    .warmed_up()
    .interleave(bench);
    let idle = LineUp::new(
        &format!("a look that finds nothing, {count} shards"),
        Unit::cost("ms"),
        of_all(),
        || read(&router, end + 1),
    )
    .against(of_one(), || read(&shard, end + 1))
    .warmed_up()
    .interleave(bench);
    [full.into(), idle.into()]
}

/// Names of streams, as SQL.
struct Names {
    own: Vec<Vec<String>>,
}

impl Names {
    fn of(bench: &Bench, shards: &Shards<'_>) -> Self {
        let own = (0..shards.shards.len()).map(|shard| {
            (0..50)
                .map(|nth| bench.block_on(shards.stream_on(shard, "viewings", nth)))
                .collect()
        });
        Self { own: own.collect() }
    }

    /// Writes to streams of both shards in turn.
    fn routed(&self) -> Script {
        script_of(&self.own.concat())
    }

    /// Writes to streams of one.
    fn own(&self, shard: usize) -> Script {
        script_of(&self.own[shard])
    }
}

fn script_of(names: &[String]) -> Script {
    let count = names.len();
    let names = names.join(",");
    Script::new(&viewing::write_to(&format!(
        "('{{{names}}}'::text[])[1 + floor(random() * {count})::int]"
    )))
}

async fn fill(shards: &Shards<'_>, names: &Names) {
    for (shard, own) in shards.shards.iter().zip(&names.own) {
        fill_one(shard, own).await;
    }
}

async fn fill_one(shard: &Database<'_>, names: &[String]) {
    let write = viewing::write_to(&format!(
        "('{{{}}}'::text[])[1 + n % {}]",
        names.join(","),
        names.len()
    ));
    let write = write.trim_end().trim_end_matches(';');
    let sql = format!(
        "SELECT count(w) FROM (SELECT ({write}) AS w FROM generate_series(1, {}) n) s",
        MESSAGES / 2
    );
    shard.connect().await.run(&sql).await.unwrap();
}
