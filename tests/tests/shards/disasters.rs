//! Four shards, one of which fails over twice and two of which crash again and again: who reads all of them
//! skips nothing, and what was acknowledged is counted once.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use promises::{
    Cluster, DECLARED_HOME_PAGE, Database, Random, Rows, Shards, StopMode, literal, rows_of,
};
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::write;

/// How long a call may take before it is made anew.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until everything works again after a disaster.
const LONGEST: Duration = Duration::from_secs(60);
/// How often the second shard and the idle one crash.
const CRASHES: usize = 4;

/// Shard 0 on the first of three servers, of which each follows the one before it; shard 1 and shard 3, to
/// which nearly nothing is written, on servers that crash and lose what they have not flushed; shard 2 and the
/// router on one that nothing happens to.
struct Servers {
    chain: [Cluster; 3],
    crashing: [Cluster; 2],
    quiet: &'static Cluster,
}

impl Servers {
    async fn start() -> Self {
        let settings = [("synchronous_commit", "on")];
        let first = Cluster::start(&settings);
        // The databases are made before somebody waits for standbys.
        let second = first.start_standby(&settings);
        let third = second.start_standby(&settings);
        Self {
            chain: [first, second, third],
            crashing: [(); 2].map(|()| Cluster::start(&[("wal_writer_delay", "10s")])),
            quiet: Cluster::shared(),
        }
    }

    async fn shards(&self) -> Shards<'_> {
        let mut shards = Vec::new();
        let [busy, idle] = &self.crashing;
        for cluster in [&self.chain[0], busy, self.quiet, idle] {
            shards.push(cluster.create_store().await);
        }
        let router = self.quiet.create_router().await;
        Shards { shards, router }
    }

    /// Where shard 0 is, whichever of the servers has it.
    fn addresses(&self, shards: &Shards<'_>) -> Vec<String> {
        let hosts = self
            .chain
            .each_ref()
            .map(|one| one.socket_dir().display().to_string());
        let mut addresses: Vec<_> = shards.shards.iter().map(Database::address).collect();
        addresses[0] = format!(
            "host={} dbname={} target_session_attrs=read-write",
            hosts.join(","),
            shards.shards[0].name
        );
        addresses
    }

    async fn agree(&self, shards: &Shards<'_>) {
        let addresses = self.addresses(shards);
        let quoted = addresses.iter().map(|address| literal(Some(address)));
        let addresses = format!("ARRAY[{}]", quoted.collect::<Vec<_>>().join(", "));
        for (number, shard) in shards.sessions().await.iter().enumerate() {
            let become_shard =
                format!("SELECT message_store.become_shard({number}, 4, 1, {addresses})");
            shard.run(&become_shard).await.unwrap();
        }
        let tell = format!("SELECT message_store.use_shards({addresses}, 1)");
        shards.router.connect().await.run(&tell).await.unwrap();
        self.wait_for_standby(0).await;
    }

    /// From then on, what is acknowledged there is on the next one too.
    async fn wait_for_standby(&self, server: usize) {
        let primary = self.chain[server].connect("postgres", "postgres").await;
        primary
            .run("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await
            .unwrap();
        primary.run("SELECT pg_reload_conf()").await.unwrap();
        primary
            .wait_until("SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')")
            .await;
    }

    /// The server that has shard 0 is gone, and the next one has it.
    async fn fail_over(&self, from: usize) {
        self.chain[from].stop(StopMode::Immediate);
        let next = &self.chain[from + 1];
        let standby = next.connect("postgres", "postgres").await;
        // The setting came with the data; the last one has nobody to wait for.
        standby
            .run("ALTER SYSTEM RESET synchronous_standby_names")
            .await
            .unwrap();
        standby.run("SELECT pg_reload_conf()").await.unwrap();
        standby.run("SELECT pg_promote()").await.unwrap();
        if from + 2 < self.chain.len() {
            self.wait_for_standby(from + 1).await;
        }
    }
}

/// Why something was not answered.
#[derive(Debug)]
enum Failure {
    /// The connection is gone, or what it leads to.
    Lost,
    /// An answer, of which a client has to make something.
    Refused(String),
}

/// A client that connects anew wherever it has to.
struct Stubborn {
    config: Config,
    client: Option<Client>,
}

impl Stubborn {
    fn to(database: &Database<'_>) -> Self {
        Self::at(&database.address())
    }

    fn at(address: &str) -> Self {
        let mut config: Config = address.parse().unwrap();
        config.user("postgres").connect_timeout(PATIENCE);
        Self {
            config,
            client: None,
        }
    }

    /// Rows of text.
    async fn run(&mut self, sql: &str) -> Result<Rows, Failure> {
        let answered = timeout(PATIENCE, self.ask(sql)).await;
        let answered = answered.unwrap_or(Err(Failure::Lost));
        if matches!(answered, Err(Failure::Lost)) {
            self.client = None;
        }
        answered
    }

    async fn ask(&mut self, sql: &str) -> Result<Rows, Failure> {
        if self.client.is_none() {
            let Ok((client, connection)) = self.config.connect(NoTls).await else {
                sleep(Duration::from_millis(50)).await;
                return Err(Failure::Lost);
            };
            tokio::spawn(connection);
            self.client = Some(client);
        }
        let client = self.client.as_ref().unwrap();
        let messages = client.simple_query(sql).await.map_err(|error| {
            match error.code().map(|state| state.code().to_owned()) {
                // A server that ends, a standby that is not promoted yet, a router that lost its shard.
                Some(state)
                    if ["57P", "08", "25006", "58"]
                        .iter()
                        .any(|lost| state.starts_with(lost)) =>
                {
                    Failure::Lost
                }
                Some(state) => Failure::Refused(format!("{state}: {error}: {sql}")),
                None => Failure::Lost,
            }
        })?;
        Ok(rows_of(&messages))
    }

    /// The same until it is answered.
    async fn insist(&mut self, sql: &str) -> Rows {
        let began = Instant::now();
        loop {
            match self.run(sql).await {
                Ok(rows) => return rows,
                Err(Failure::Lost) => sleep(Duration::from_millis(10)).await,
                Err(Failure::Refused(error)) => panic!("{error}"),
            }
            assert!(began.elapsed() < LONGEST, "no answer: {sql}");
        }
    }
}

/// Names of streams that live on a shard.
async fn names_on(shards: &Shards<'_>, shard: usize, category: &str) -> Vec<String> {
    let mut names = Vec::new();
    for nth in 0..8 {
        names.push(shards.stream_on(shard, category, nth).await);
    }
    names
}

/// Transactions of some messages with pauses, savepoints, rollbacks and PREPARE, until it is over. Returns the ids
/// of those that were acknowledged.
async fn write_transactions(
    mut session: Stubborn,
    number: u64,
    names: Vec<String>,
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicI64>,
) -> Vec<String> {
    let mut random = Random(number + 1);
    let mut gid = 0;
    let (mut drawn, mut kept) = (0, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        let name = &names[random.below(names.len() as i64) as usize];
        let several = 1 + random.below(8);
        let mut sql = "BEGIN;".to_owned();
        let mut ids = Vec::new();
        for _ in 0..several {
            if random.below(10) == 0 {
                sql.push_str(&format!("SAVEPOINT s; {}; ROLLBACK TO s;", write(name)));
            }
            drawn += 1;
            let id = format!("{number:08x}-0000-4000-8000-{drawn:012x}");
            sql.push_str(&format!(
                "SELECT message_store.write_message('{id}', '{name}', 'T', '{{}}');"
            ));
            ids.push(id);
        }
        if random.below(4) == 0 {
            sql.push_str("SELECT pg_sleep(0.002);");
        }
        gid += 1;
        let prepared = format!("w{number}-{gid}");
        let end = random.below(20);
        sql.push_str(&match end {
            0 | 1 => "ROLLBACK".to_owned(),
            2 => format!("PREPARE TRANSACTION '{prepared}'"),
            _ => "COMMIT".to_owned(),
        });
        match session.run(&sql).await {
            Ok(_) if end < 2 => {}
            Ok(_) => {
                if end == 2 {
                    finish_prepared(&mut session, &prepared).await;
                }
                acknowledged.fetch_add(several, Ordering::Relaxed);
                kept.append(&mut ids);
            }
            Err(Failure::Lost) => {
                if end == 2 {
                    finish_prepared(&mut session, &prepared).await;
                }
            }
            Err(Failure::Refused(error)) => panic!("{error}"),
        }
    }
    kept
}

/// Commits what was prepared, if it is there, or somebody who was given up still prepares it.
async fn finish_prepared(session: &mut Stubborn, prepared: &str) {
    let is_there = format!(
        "SELECT FROM pg_prepared_xacts WHERE gid = '{prepared}' UNION ALL \
         SELECT FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() \
            AND query LIKE '%PREPARE TRANSACTION ''{prepared}''%'"
    );
    let began = Instant::now();
    loop {
        if session.insist(&is_there).await.is_empty() {
            return;
        }
        let _ = session.run(&format!("COMMIT PREPARED '{prepared}'")).await;
        assert!(began.elapsed() < LONGEST, "{prepared} cannot be committed");
    }
}

/// Reads all shards by the router, page by page, until nothing is written any more.
async fn read_all(mut session: Stubborn, page: i64, is_complete: Arc<AtomicBool>) -> Vec<i64> {
    let (mut read, mut from) = (Vec::new(), 1);
    loop {
        let is_last = is_complete.load(Ordering::SeqCst);
        let sql = format!(
            "SELECT global_position FROM message_store.get_category_messages('shelf', {from}, {page})"
        );
        let found: Vec<i64> = session
            .insist(&sql)
            .await
            .iter()
            .map(|row| row[0].as_deref().unwrap().parse().unwrap())
            .collect();
        match found.last() {
            Some(last) => from = last + 1,
            None if is_last => return read,
            None => sleep(Duration::from_millis(1)).await,
        }
        read.extend(found);
    }
}

/// Two fail-overs of shard 0 and some crashes of shards 1 and 3, spread over what is acknowledged. After each
/// crash, `to_idle` is what shard 3 is told.
async fn let_it_happen(
    servers: &Servers,
    acknowledged: &AtomicI64,
    messages: i64,
    (idle, to_idle): (&str, &str),
) {
    let mut idle = Stubborn::at(idle);
    let reached = async |share: i64| {
        while acknowledged.load(Ordering::Relaxed) < messages * share / 100 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    for disaster in 0..CRASHES {
        reached(10 + 20 * disaster as i64).await;
        let [busy_one, idle_one] = &servers.crashing;
        tokio::task::block_in_place(|| busy_one.restart(StopMode::Immediate));
        // Before any router has asked it again.
        idle_one.stop(StopMode::Immediate);
        let rules = idle_one.data_dir().join("pg_hba.conf");
        let before = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("local all message_store reject\n{before}")).unwrap();
        tokio::task::block_in_place(|| idle_one.start_again());
        idle.insist(to_idle).await;
        std::fs::write(&rules, before).unwrap();
        idle.insist("SELECT pg_reload_conf()").await;
        if disaster < 2 {
            reached(20 + 20 * disaster as i64).await;
            let began = Instant::now();
            servers.fail_over(disaster).await;
            println!("failed over in {:.1?}", began.elapsed());
        }
    }
    reached(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_all_shards_skips_nothing_through_crashes_and_fail_overs() {
    let messages: i64 =
        std::env::var("PROMISES_MESSAGES").map_or(6_000, |text| text.parse().unwrap());
    let servers = Servers::start().await;
    let shards = servers.shards().await;
    servers.agree(&shards).await;
    let addresses = servers.addresses(&shards);

    let (is_over, is_complete) = (Arc::default(), Arc::default());
    let acknowledged = Arc::new(AtomicI64::new(0));
    let mut writers = Vec::new();
    for number in 0..6_u64 {
        let shard = (number % 3) as usize;
        let names = names_on(&shards, shard, "shelf").await;
        writers.push(tokio::spawn(write_transactions(
            Stubborn::at(&addresses[shard]),
            number,
            names,
            Arc::clone(&is_over),
            Arc::clone(&acknowledged),
        )));
    }
    let readers: Vec<_> = [500, 5, 50]
        .map(|page| {
            let session = Stubborn::to(&shards.router);
            tokio::spawn(read_all(session, page, Arc::clone(&is_complete)))
        })
        .into();
    let to_idle = write(&shards.stream_on(3, "shelf", 0).await);
    let_it_happen(&servers, &acknowledged, messages, (&addresses[3], &to_idle)).await;
    is_over.store(true, Ordering::SeqCst);
    let mut kept = Vec::new();
    for writer in writers {
        kept.extend(writer.await.unwrap());
    }
    is_complete.store(true, Ordering::SeqCst);

    let (mut written, mut ids) = (BTreeSet::new(), HashSet::new());
    let mut twice = 0;
    for address in &addresses {
        let all = "SELECT global_position, id FROM message_store.messages";
        for mut row in Stubborn::at(address).insist(all).await {
            twice +=
                usize::from(!written.insert(row[0].as_deref().unwrap().parse::<i64>().unwrap()));
            ids.extend(row[1].take());
        }
    }
    assert_eq!(twice, 0, "positions on two shards");
    let lost = kept.iter().filter(|id| !ids.contains(*id)).count();
    assert_eq!(lost, 0, "acknowledged and lost, of {}", kept.len());
    let written: Vec<_> = written.into_iter().collect();
    for reader in readers {
        let read = reader.await.unwrap();
        let seen: HashSet<_> = read.iter().collect();
        let skipped = written.iter().filter(|position| !seen.contains(position));
        assert_eq!(skipped.count(), 0, "skipped of {}", written.len());
        assert_eq!(read, written);
    }
    println!(
        "0 skipped of {} in three readers, {CRASHES} crashes, 2 fail-overs",
        written.len()
    );
}

/// Viewings of one stream that are written at once.
const BATCH: i64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chapters_page_counts_each_viewing_while_a_shard_fails_over_twice() {
    let viewings: i64 =
        std::env::var("PROMISES_VIEWINGS").map_or(6_000, |text| text.parse().unwrap());
    let servers = Servers::start().await;
    let shards = servers.shards().await;
    for shard in shards.sessions().await {
        shard
            .run("GRANT CREATE ON SCHEMA public TO message_store")
            .await
            .unwrap();
    }
    servers.agree(&shards).await;
    let addresses = servers.addresses(&shards);
    let router = shards.router.connect().await;
    // As the page says.
    router
        .run(
            "CREATE FUNCTION public.videos_watched_on_each() RETURNS SETOF bigint LANGUAGE message_store_router AS $$
               CLUSTER 'message_store_shards'; RUN ON ALL;
               SELECT (page_data->>'videosWatched')::bigint FROM message_store.read_model_pages WHERE page_name = 'home'; $$",
        )
        .await
        .unwrap();
    let running = shards.router.deploy(DECLARED_HOME_PAGE).start();

    let acknowledged = Arc::new(AtomicI64::new(0));
    let next = Arc::new(AtomicI64::new(0));
    let mut writers = Vec::new();
    for (shard, address) in addresses.iter().enumerate() {
        let names = names_on(&shards, shard, "viewings").await;
        let mut session = Stubborn::at(address);
        let (next, acknowledged) = (Arc::clone(&next), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            loop {
                let first = next.fetch_add(BATCH, Ordering::SeqCst);
                if first >= viewings {
                    return;
                }
                let last = (first + BATCH).min(viewings);
                let name = &names[(first / BATCH % 8) as usize];
                // Asked again it is not written again.
                let sql = format!(
                    "SELECT count(*) FROM message_store.write_messages((
                       SELECT array_agg(ROW('{name}', 'VideoViewed', '{{}}', NULL, md5('viewing ' || n)::uuid::text, NULL)
                                ::message_store.new_message ORDER BY n)
                         FROM generate_series({first}, {last} - 1) n), 'ignore')"
                );
                session.insist(&sql).await;
                acknowledged.fetch_add(last - first, Ordering::SeqCst);
            }
        }));
    }
    let_it_happen(
        &servers,
        &acknowledged,
        viewings,
        (&addresses[3], "SELECT 1"),
    )
    .await;
    for writer in writers {
        writer.await.unwrap();
    }
    let sum = "SELECT coalesce(sum(videos_watched_on_each), 0)::bigint FROM public.videos_watched_on_each()";
    let mut page = Stubborn::to(&shards.router);
    let began = Instant::now();
    loop {
        let counted = page.insist(sum).await;
        let counted: i64 = counted[0][0].as_deref().unwrap().parse().unwrap();
        assert!(counted <= viewings, "{counted} of {viewings}");
        if counted == viewings {
            break;
        }
        assert!(began.elapsed() < LONGEST * 3, "{counted} of {viewings}");
        sleep(Duration::from_millis(50)).await;
    }
    running.stop();
    for address in &addresses {
        let differs = "SELECT count(*) FROM message_store.verify('aggregators:home-page')";
        let differs = Stubborn::at(address).insist(differs).await;
        assert_eq!(differs[0][0].as_deref(), Some("0"), "{address}");
    }
    println!("{viewings} viewings counted on 4 shards, {CRASHES} crashes, 2 fail-overs");
}
