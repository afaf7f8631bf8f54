//! Writers on all shards, and readers of all of them: nothing is skipped. The same with each step of the read
//! done wrongly, which has to be noticed.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use promises::{Cluster, Random, Session, Shards, SqlError};
use tokio::time::sleep;

use crate::{positions, write};

/// What came of it.
struct Outcome {
    written: usize,
    /// By each reader.
    skipped: Vec<usize>,
    /// Whether each read what was written, in order, and nothing twice.
    is_in_order: bool,
    /// What a writer was refused.
    refusal: Option<SqlError>,
}

impl Outcome {
    fn is_right(&self) -> bool {
        self.refusal.is_none()
            && self.skipped.iter().all(|skipped| *skipped == 0)
            && self.is_in_order
    }
}

/// Pauses, savepoints, rollbacks and prepared transactions, until it is over.
async fn write_transactions(
    session: Session,
    number: i64,
    names: Vec<String>,
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
) -> Result<(), SqlError> {
    let mut random = Random(number.unsigned_abs() + 1);
    let mut gid = 0;
    while !is_over.load(Ordering::Relaxed) {
        let name = &names[random.below(names.len() as i64) as usize];
        session.run("BEGIN").await?;
        let mut written = 0;
        for _ in 0..1 + random.below(3) {
            if random.below(10) == 0 {
                let sql = format!("SAVEPOINT s; {}; ROLLBACK TO s", write(name));
                session.run(&sql).await?;
            }
            session.run(&write(name)).await?;
            written += 1;
            sleep(Duration::from_micros(random.below(3_000).unsigned_abs())).await;
        }
        let prepared = format!("stress-{}-{gid}", session.pid);
        let end = match random.below(20) {
            0 | 1 => "ROLLBACK".to_owned(),
            2 => format!("PREPARE TRANSACTION '{prepared}'"),
            _ => "COMMIT".to_owned(),
        };
        session.run(&end).await?;
        if end != "ROLLBACK" {
            acknowledged.fetch_add(written, Ordering::Relaxed);
        }
        if end.starts_with("PREPARE") {
            gid += 1;
            sleep(Duration::from_micros(random.below(20_000).unsigned_abs())).await;
            session
                .run(&format!("COMMIT PREPARED '{prepared}'"))
                .await?;
        }
    }
    Ok(())
}

/// One message after the other, by the router.
async fn write_by_router(
    client: Session,
    names: Vec<String>,
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
) -> Result<(), SqlError> {
    let mut random = Random(99);
    while !is_over.load(Ordering::Relaxed) {
        let name = &names[random.below(names.len() as i64) as usize];
        client.run(&write(name)).await?;
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Each look waits until `rest` more messages are acknowledged: who is behind fills pages.
async fn read_all(
    client: Session,
    (page, rest): (i64, i64),
    acknowledged: Arc<AtomicI64>,
    is_complete: Arc<AtomicBool>,
) -> Vec<i64> {
    let (mut read, mut from) = (Vec::new(), 1);
    loop {
        let enough = acknowledged.load(Ordering::Relaxed) + rest;
        while acknowledged.load(Ordering::Relaxed) < enough && !is_complete.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        let is_last = is_complete.load(Ordering::SeqCst);
        let sql = format!(
            "SELECT global_position FROM message_store.get_category_messages('shelf', {from}, {page})"
        );
        let found = positions(&client, &sql).await;
        if let Some(last) = found.last() {
            from = last + 1;
        } else if is_last {
            return read;
        }
        read.extend(found);
    }
}

/// Until so many messages are acknowledged, or a writer is refused. To the last of the shards, nearly nothing
/// is written.
async fn stress(shards: &Shards<'_>, messages: i64) -> Outcome {
    let mut names: Vec<Vec<String>> = Vec::new();
    for shard in 0..shards.shards.len() {
        let mut own = Vec::new();
        for nth in 0..8 {
            own.push(shards.stream_on(shard, "shelf", nth).await);
        }
        names.push(own);
    }
    let (is_over, is_complete) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let acknowledged = Arc::<AtomicI64>::default();
    let mut writers = Vec::new();
    let busy = shards.shards.len() - 1;
    for number in 0..5 {
        let shard = number % busy;
        writers.push(tokio::spawn(write_transactions(
            shards.shards[shard].connect_as("postgres").await,
            number as i64,
            names[shard].clone(),
            Arc::clone(&is_over),
            Arc::clone(&acknowledged),
        )));
    }
    writers.push(tokio::spawn(write_by_router(
        shards.client().await,
        names.concat(),
        Arc::clone(&is_over),
        Arc::clone(&acknowledged),
    )));
    let mut readers = Vec::new();
    // The last one is behind by more than a page, whose parts are unequal.
    for page in [(500, 0), (5, 0), (50, 0), (1_000, 1_500)] {
        let client = shards.client().await;
        readers.push(tokio::spawn(read_all(
            client,
            page,
            Arc::clone(&acknowledged),
            Arc::clone(&is_complete),
        )));
    }
    while acknowledged.load(Ordering::Relaxed) < messages
        && !writers.iter().any(tokio::task::JoinHandle::is_finished)
    {
        sleep(Duration::from_millis(20)).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let mut refusal = None;
    for writer in writers {
        refusal = writer.await.unwrap().err().or(refusal);
    }
    is_complete.store(true, Ordering::SeqCst);
    let mut written = BTreeSet::new();
    for shard in shards.sessions().await {
        written
            .extend(positions(&shard, "SELECT global_position FROM message_store.messages").await);
    }
    let (mut skipped, mut is_in_order) = (Vec::new(), true);
    for reader in readers {
        let read = reader.await.unwrap();
        let seen: HashSet<_> = read.iter().collect();
        skipped.push(written.iter().filter(|one| !seen.contains(one)).count());
        is_in_order &= read.is_sorted_by(|one, next| one < next);
    }
    Outcome {
        written: written.len(),
        skipped,
        is_in_order,
        refusal,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_all_shards_skips_nothing() {
    let messages = std::env::var("PROMISES_MESSAGES").map_or(6_000, |text| text.parse().unwrap());
    let shards = Cluster::shared().create_shards(4).await;
    let outcome = stress(&shards, messages).await;
    assert!(outcome.refusal.is_none(), "{:?}", outcome.refusal);
    assert_eq!(outcome.skipped, [0; 4], "of {}", outcome.written);
    assert!(outcome.is_in_order);
    println!("0 skipped of {} in four readers", outcome.written);
}

/// The router's look at all shards as it must not be: a name, what it does before, the horizon, the rows.
const WRONG: [(&str, &str, &str, &str); 4] = [
    (
        "rows up to each shard's own horizon",
        "",
        "9223372036854775807",
        "furthest",
    ),
    (
        "no advance",
        "",
        "(SELECT min(h.global_position) FROM unnest(found) h WHERE h.stream_name IS NULL)",
        "0",
    ),
    (
        "the horizon of a later look",
        "",
        "(SELECT min(h.global_position) FROM message_store_router.get_settled_messages($1, $2, 0, $4, $5, $6,
            (SELECT max(p) FROM message_store_router.advance_position(0) p), known[2]) h)",
        "furthest",
    ),
    (
        "setval after a comparison",
        "PERFORM count(*) FROM public.wrong_advance(furthest);",
        "(SELECT min(h.global_position) FROM unnest(found) h WHERE h.stream_name IS NULL)",
        "0",
    ),
];

/// On each shard: between the comparison and setval others draw.
const WRONG_ADVANCE: &str = "
    CREATE FUNCTION public.wrong_advance(target bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
      own bigint := (SELECT number FROM message_store.shard);
    BEGIN
      IF (SELECT last_value FROM message_store.messages_global_position_seq) < target THEN
        PERFORM pg_sleep(0.001);
        RETURN setval('message_store.messages_global_position_seq', target - target % 1024 + own);
      END IF;
      RETURN 0;
    END $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_stress_notices_each_wrong_way() {
    for (name, before, least, at_least) in WRONG {
        let shards = Cluster::shared().create_shards(4).await;
        for shard in shards.sessions().await {
            shard.run(WRONG_ADVANCE).await.unwrap();
        }
        let wrong = format!(
            "CREATE FUNCTION public.wrong_advance(target bigint) RETURNS SETOF bigint LANGUAGE plproxy AS
               $$ CLUSTER 'message_store_shards'; RUN ON ALL; $$;
             CREATE OR REPLACE FUNCTION message_store_router.merged(
               category varchar, \"position\" bigint, batch_size bigint, correlation varchar,
               consumer_group_member bigint, consumer_group_size bigint
             ) RETURNS SETOF message_store.message LANGUAGE plpgsql AS $$
             #variable_conflict use_column
             DECLARE
               known constant bigint[] := message_store_router.known();
               furthest constant bigint := (SELECT max(p) FROM message_store_router.advance_position(0) p);
               found message_store.message[];
               least bigint;
             BEGIN
               {before}
               found := ARRAY(SELECT a FROM message_store_router.get_settled_messages(
                 $1, $2, $3, $4, $5, $6, {at_least}, known[2]) a);
               least := {least};
               RETURN QUERY SELECT a.* FROM unnest(found) a
                WHERE a.stream_name IS NOT NULL AND a.global_position <= least
                ORDER BY a.global_position LIMIT $3;
             END $$"
        );
        shards.router.connect().await.run(&wrong).await.unwrap();
        let outcome = stress(&shards, 2_000).await;
        assert!(!outcome.is_right(), "{name} is not noticed");
        println!(
            "{name}: {:?} of {} skipped, a writer was refused: {:?}",
            outcome.skipped,
            outcome.written,
            outcome.refusal.map(|refusal| refusal.message)
        );
    }
}
