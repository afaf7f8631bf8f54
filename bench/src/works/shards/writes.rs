//! Writes to one, two and four shards on one server: what a hop costs, in messages a second and in processor
//! time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use message_store_client::Shards as ClientShards;
use message_store_client::connection::Target;
use message_store_client::database::NewMessage;
use promises::{Cluster, PgBouncer, Shards};
use serde_json::value::RawValue;

use super::Names;
use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Identity, Unit};
use crate::line_up::LineUp;
use crate::pgbench::Load;
use crate::processor;
use crate::viewing;

const CLIENTS: u32 = 8;
const COUNTS: [usize; 3] = [1, 2, 4];

/// Measures it.
pub fn run(bench: &Bench, cluster: &Cluster) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for &count in bench.sized(&COUNTS[..], &COUNTS[1..2]) {
        let (rates, costs) = with(bench, cluster, count);
        comparisons.extend([rates.into(), costs.into()]);
    }
    comparisons
}

/// With so many shards: messages a second, and the machine's processor time for each.
fn with(bench: &Bench, cluster: &Cluster, count: usize) -> (Contest, Contest) {
    let shards = bench.block_on(cluster.create_shards(count));
    let store = bench.block_on(cluster.create_store());
    let names = Names::of(bench, &shards);
    let pooler = PgBouncer::start(cluster, CLIENTS);
    let behind = bench.block_on(router_by(&pooler, cluster, &shards));
    let load = |clients| Load {
        clients,
        seconds: bench.sized(10, 1),
        options: String::new(),
    };
    let costs = RefCell::new(HashMap::<&str, Vec<f64>>::new());
    let metered = |name: &'static str, run: &dyn Fn() -> f64| {
        let (before, began) = (processor::busy_seconds(), Instant::now());
        let rate = run();
        let messages = rate * began.elapsed().as_secs_f64();
        let cost = (processor::busy_seconds() - before) / messages * 1e6;
        // A run of a second may use less than the kernel counts in.
        costs
            .borrow_mut()
            .entry(name)
            .or_default()
            .push(cost.max(0.001));
        rate
    };
    let routed = |database: &str| names.routed().rate(cluster, database, &load(CLIENTS));
    let straight = || {
        thread::scope(|scope| {
            let rates = (0..count).map(|shard| {
                let script = names.own(shard);
                let (load, name) = (load(CLIENTS / count as u32), &shards.shards[shard].name);
                scope.spawn(move || script.rate(cluster, name, &load))
            });
            let running: Vec<_> = rates.collect();
            running.into_iter().map(|rate| rate.join().unwrap()).sum()
        })
    };
    let of_crate = || bench.block_on(by_crate(&shards, &names, load(1).seconds));
    let rates = LineUp::new(
        &format!(
            "{CLIENTS} clients, {} on one server",
            match count {
                1 => "1 shard".to_owned(),
                several => format!("{several} shards"),
            }
        ),
        Unit::rate("messages a second"),
        Identity::new(ROUTER, "PL/Proxy in a database of the same server"),
        || metered(ROUTER, &|| routed(&shards.router.name)),
    )
    .against(
        Identity::new(POOLED, "between router and shards, in transaction mode"),
        || metered(POOLED, &|| routed(&behind.name)),
    )
    .against(
        Identity::new(
            CRATE,
            "8 tasks of one program write by Shards::write_message",
        ),
        || metered(CRATE, &of_crate),
    )
    .against(
        Identity::new(
            STRAIGHT,
            "the clients divided among them, each knows its shard",
        ),
        || metered(STRAIGHT, &straight),
    )
    .against(Identity::new(STORE, "which is no shard"), || {
        metered(STORE, &|| routed(&store.name))
    })
    .interleave(bench);
    let costs = costs.into_inner();
    let mut spent = rates.clone();
    spent.label = format!("the same, {}", rates.label);
    spent.unit = Unit::cost("µs of processor time a message, of all processes");
    for contestant in std::iter::once(&mut spent.ours).chain(&mut spent.others) {
        contestant.runs = costs[contestant.identity.name.as_str()].clone();
    }
    (rates, spent)
}

const ROUTER: &str = "through a router";
const POOLED: &str = "through a router and pgbouncer";
const CRATE: &str = "by the client crate";
const STRAIGHT: &str = "straight to the shards";
const STORE: &str = "to a store";

/// A router that reaches the shards by a pooler.
async fn router_by<'a>(
    pooler: &PgBouncer,
    cluster: &'a Cluster,
    shards: &Shards<'_>,
) -> promises::Database<'a> {
    let router = cluster.create_router().await;
    let addresses = shards
        .shards
        .iter()
        .map(|shard| format!("'{}'", pooler.address(shard)));
    let addresses: Vec<_> = addresses.collect();
    let tell = format!(
        "SELECT message_store.use_shards(ARRAY[{}], 1)",
        addresses.join(", ")
    );
    router.connect().await.run(&tell).await.unwrap();
    router
}

/// Messages a second of as many tasks as others have clients.
async fn by_crate(shards: &Shards<'_>, names: &Names, seconds: u32) -> f64 {
    let target = Target::parse(&shards.router.url("message_store"), "of the bench").unwrap();
    let client = ClientShards::find(&target, CLIENTS as usize).await.unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let end = began + Duration::from_secs(u64::from(seconds));
    let names = Arc::new(names.own.concat());
    let tasks: Vec<_> = (0..CLIENTS as usize)
        .map(|task| {
            let (client, written, names) = (client.clone(), written.clone(), names.clone());
            tokio::spawn(async move {
                let json = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
                let mut nth = task;
                while Instant::now() < end {
                    let message = NewMessage {
                        id: uuid::Uuid::new_v4().to_string(),
                        stream: names[nth % names.len()].clone(),
                        message_type: viewing::TYPE.to_owned(),
                        data: Some(json(viewing::DATA)),
                        metadata: Some(json(viewing::METADATA)),
                        expected_version: None,
                    };
                    client.write_message(&message).await.unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    nth += 7;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    written.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}
