//! Promise: nobody skips a message, however many writers overtake each other.
//!
//! Positions are drawn before commit, so commits become visible out of position order. Sixteen
//! writers make that happen as often as they can, with single writes and with batches; polling
//! readers, each with a position of its own, must still see every message once and in order. A naive
//! poller runs beside them and must fail, or the test would prove nothing.
//!
//! How often messages overtake each other is the machine's business: it is printed, and no test
//! fails for it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{Cluster, Database, Session};
use tokio::sync::watch;

const WRITERS: u64 = 16;
const MESSAGES: u64 = 200_000;
const CATEGORIES: [&str; 4] = ["red", "green", "blue", "grey"];
const SHARED_STREAMS_PER_CATEGORY: u64 = 60;
/// The most streams a transaction writes to.
const STREAMS_PER_TRANSACTION: u64 = 8;
/// Streams of a large batch: more than a batch locks at a time.
const STREAMS_OF_LARGE_BATCH: u64 = 90;
const LONGEST_PAUSE_MICROSECONDS: u64 = 900;
/// How long a poller that found nothing waits before it looks again.
const POLL_EVERY: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_reader_skips_a_message_that_commits_late() {
    let database = Cluster::shared().create_store().await;
    let admin = database.connect().await;
    admin.run(SUBSCRIPTION).await.unwrap();
    let progress = Arc::new(Progress::default());
    let started = Instant::now();

    let mut readers = Vec::new();
    for (scope, batch_size) in [
        (Some("red"), 7),
        (Some("green"), 100),
        (Some("blue"), 1_000),
        (None, 500),
    ] {
        let session = database.connect().await;
        let read = read(session, scope, batch_size, Arc::clone(&progress));
        readers.push((scope, batch_size, tokio::spawn(read)));
    }
    let ticker = tokio::spawn(tick(database.connect().await, Arc::clone(&progress)));
    let (reached, naive_position) = watch::channel(0);
    let naive = poll_naively(database.connect().await, Arc::clone(&progress), reached);
    let naive = tokio::spawn(naive);
    let overtaken = overtake(&database, &admin, naive_position).await;
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let session = database.connect().await;
        writers.push(tokio::spawn(write(session, number, Arc::clone(&progress))));
    }
    let mut tally = Tally::default();
    for writer in writers {
        tally.add(&writer.await.unwrap());
    }
    progress.written.store(true, Ordering::SeqCst);
    let wrote_for = started.elapsed();

    for (scope, batch_size, reader) in readers {
        let (polls, seen) = reader.await.unwrap();
        let stored = positions(&admin, scope).await;
        println!(
            "reader of {} in batches of {batch_size}: {} messages in {polls} polls",
            scope.unwrap_or("every category"),
            seen.len()
        );
        assert_same(&seen, &stored);
    }
    ticker.await.unwrap();
    let handled = numbers(
        &admin,
        "SELECT global_position FROM handled ORDER BY number",
    )
    .await;
    assert_same(&handled, &positions(&admin, Some("grey")).await);

    let stored = positions(&admin, None).await;
    let (naive_polls, naively_seen) = naive.await.unwrap();
    assert!(!naively_seen.contains(&overtaken));
    // The naive poller asks, in one snapshot, for all that lies above the highest position it
    // has seen. So a message that it never saw was invisible in a snapshot that showed a higher
    // one, and is visible now: its commit came later. Each message counts once, and those that
    // were overtaken between two polls do not count at all: the number is a lower bound.
    let skipped = stored.len() - naively_seen.len();
    println!(
        "{tally:?} in {wrote_for:?}; all read after {:?}",
        started.elapsed()
    );
    println!(
        "{} messages, {skipped} of them committed out of position order: \
         skipped by a naive poller in {naive_polls} polls",
        stored.len()
    );
    assert_eq!(stored.len() as u64, 2 + tally.committed);
    assert!(stored.len() as u64 >= MESSAGES);
    assert!(tally.savepoints > 0 && tally.rolled_back > 0 && tally.large_batches > 0);

    // Ordered by global position, the positions of every stream are 0, 1, 2, ...
    let out_of_step = admin
        .bigint(
            "SELECT count(*) FROM (
               SELECT position, row_number() OVER (
                 PARTITION BY stream_name ORDER BY global_position) - 1 AS expected
               FROM message_store.messages) AS numbered
             WHERE position <> expected",
        )
        .await;
    assert_eq!(out_of_step, 0);
}

/// Beside many writers somebody always holds a tag from before a reader looked, and that hides what
/// the reader does in the wrong order. Beside few that commit at once there is often none. Such a
/// mistake shows only where writers draw and commit between two steps of the reader; so it is
/// stopped wherever it is, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_pauses_skips_nothing_beside_few_writers_that_commit_at_once() {
    let database = Cluster::shared().create_store().await;
    let admin = database.connect().await;
    admin.run(FEW_WRITERS).await.unwrap();
    let reader = database.connect().await;
    let reader_pid = Pid::from_raw(reader.pid);
    let reading =
        tokio::spawn(async move { numbers(&reader, "SELECT unnest(read_to_the_end())").await });
    let started = Instant::now();
    let mut writers = Vec::new();
    for number in 0..FEW {
        let session = database.connect().await;
        let sql = format!("CALL write_one_by_one({number}, {MESSAGES_OF_EACH})");
        writers.push(tokio::spawn(
            async move { session.run(&sql).await.unwrap() },
        ));
    }

    let written = Arc::new(AtomicBool::new(false));
    let stopping = std::thread::spawn({
        let written = Arc::clone(&written);
        move || stop_again_and_again(reader_pid, &written)
    });
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let stops = stopping.join().unwrap();
    write_one(&admin, "end-1").await;
    let seen = reading.await.unwrap();
    println!(
        "{} messages of {FEW} writers in {:?}, the reader stopped {stops} times",
        seen.len(),
        started.elapsed()
    );
    assert_same(&seen, &positions(&admin, None).await);
}

/// A tick looks at where its subscription is before it holds it. Another one may come in between:
/// so one of the two is stopped wherever it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sessions_that_tick_without_a_pause_hand_over_each_message_once_and_in_order() {
    let database = Cluster::shared().create_store().await;
    let admin = database.connect().await;
    admin.run(SUBSCRIPTION).await.unwrap();
    admin.run(TICKERS).await.unwrap();
    call_beside_one_that_is_stopped(&database, "CALL tick_to_the_end()").await;
    assert_same(&handled(&admin).await, &positions(&admin, None).await);
}

/// A fetch looks at where its subscription is before it holds it, and an application may have leased
/// and acknowledged in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_applications_that_fetch_without_a_pause_handle_each_message_once_and_in_order() {
    let database = Cluster::shared().create_store().await;
    let admin = database.connect().await;
    admin.run(FETCHERS).await.unwrap();
    call_beside_one_that_is_stopped(&database, "CALL fetch_to_the_end()").await;
    assert_same(&handled(&admin).await, &positions(&admin, None).await);
}

/// Two sessions make the same call; one of them is stopped again and again until both are done.
async fn call_beside_one_that_is_stopped(database: &Database<'_>, call: &'static str) {
    let started = Instant::now();
    let stopped = database.connect().await;
    let stopped_pid = Pid::from_raw(stopped.pid);
    let mut callers = Vec::new();
    for session in [stopped, database.connect().await] {
        // Its server process is there for as long as somebody has the session.
        callers.push(tokio::spawn(async move {
            session.run(call).await.unwrap();
            session
        }));
    }
    let are_done = Arc::new(AtomicBool::new(false));
    let stopping = std::thread::spawn({
        let are_done = Arc::clone(&are_done);
        move || stop_again_and_again(stopped_pid, &are_done)
    });
    let mut sessions = Vec::new();
    for caller in callers {
        sessions.push(caller.await.unwrap());
    }
    are_done.store(true, Ordering::SeqCst);
    let stops = stopping.join().unwrap();
    println!(
        "{call} for {:?}, one stopped {stops} times",
        started.elapsed()
    );
}

/// What handlers or applications have handled, in their order.
async fn handled(session: &Session) -> Vec<i64> {
    let handled = "SELECT global_position FROM handled ORDER BY number";
    numbers(session, handled).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_transaction_over_100_000_streams_of_32_categories_disturbs_nobody() {
    let database = Cluster::shared().create_store().await;
    let other = database.connect().await;
    let locks = other.value("SHOW max_locks_per_transaction").await;
    assert_eq!(locks.as_deref(), Some("64"), "the default is what must do");
    write_one(&other, "c1-0").await;
    write_one(&other, "elsewhere-1").await;

    let wide = Arc::new(database.connect().await);
    wide.run("BEGIN").await.unwrap();
    let writing = tokio::spawn({
        let wide = Arc::clone(&wide);
        let sql = "SELECT count(message_store.write_message(
                     gen_random_uuid()::varchar, 'c' || n % 32 || '-' || n, 'Wide', '{}'))
                   FROM generate_series(1, 100000) n";
        async move { wide.bigint(sql).await }
    });
    let drawn = "SELECT last_value > 1000 FROM message_store.messages_global_position_seq";
    other.wait_until(drawn).await;
    let mut elsewhere = 1;
    loop {
        let was_writing = !writing.is_finished();
        write_one(&other, "elsewhere-1").await;
        elsewhere += 1;
        assert_eq!(settled(&other, "elsewhere").await, elsewhere);
        assert_eq!(settled(&other, "c1").await, 1);
        if !was_writing {
            break;
        }
    }
    assert_eq!(writing.await.unwrap(), 100_000);

    // Written, not committed: a lock for each category, none for streams.
    let held = format!("SELECT count(*) FROM pg_locks WHERE pid = {}", wide.pid);
    let held = other.bigint(&held).await;
    println!("{held} locks for 100,000 streams; {elsewhere} writes elsewhere meanwhile");
    assert!((32..64).contains(&held), "{held} locks");
    write_one(&other, "c1-0").await;
    assert_eq!(settled(&other, "c1").await, 1);
    wide.run("COMMIT").await.unwrap();
    assert_eq!(settled(&other, "c1").await, 2 + 100_000 / 32);
    assert_eq!(settled(&other, "elsewhere").await, elsewhere);
    let all = "SELECT count(*) FROM message_store.get_all_messages(1, -1)";
    assert_eq!(other.bigint(all).await, 2 + elsewhere + 100_000);
}

async fn write_one(session: &Session, stream: &str) {
    session
        .run(&format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', 'T', '{{}}')"
        ))
        .await
        .unwrap();
}

async fn settled(session: &Session, category: &str) -> i64 {
    session
        .bigint(&format!(
            "SELECT count(*) FROM message_store.get_category_messages('{category}', 1, -1)"
        ))
        .await
}

/// A fifth consumer inside the database.
const SUBSCRIPTION: &str = "
    CREATE TABLE handled (number bigserial, global_position bigint);
    CREATE FUNCTION handle(global_position bigint) RETURNS void LANGUAGE sql
    BEGIN ATOMIC
      INSERT INTO handled (global_position) VALUES (global_position);
    END;
    SELECT message_store.create_subscription('stress', 'grey', '{\"$any\": \"public.handle\"}')";

const FEW: u64 = 2;
const MESSAGES_OF_EACH: u64 = 80_000;
/// How long the reader beside few writers stands still, and how long it then runs.
const STANDSTILL: Duration = Duration::from_micros(50);

/// Writers and a reader that run in the server: nothing lies between a commit and the next write, nor
/// between two looks.
const FEW_WRITERS: &str = "
    CREATE PROCEDURE write_one_by_one(writer bigint, messages bigint) LANGUAGE plpgsql AS $$
    BEGIN
      FOR n IN 1..messages LOOP
        PERFORM message_store.write_message(
          gen_random_uuid()::varchar, 'few-' || writer, 'Written', '{}');
        COMMIT;
      END LOOP;
    END $$;
    CREATE FUNCTION read_to_the_end() RETURNS bigint[] LANGUAGE plpgsql AS $$
    DECLARE
      seen bigint[] := '{}';
      next bigint := 1;
      message message_store.message;
    BEGIN
      LOOP
        FOR message IN SELECT * FROM message_store.get_all_messages(next) LOOP
          seen := array_append(seen, message.global_position);
          next := message.global_position + 1;
        END LOOP;
        EXIT WHEN message.stream_name = 'end-1';
      END LOOP;
      RETURN seen;
    END $$";

/// Messages of `grey`, and a session that ticks until they are handled.
const TICKERS: &str = "
    SELECT count(message_store.write_message(
      gen_random_uuid()::varchar, 'grey-' || n % 7, 'Written', '{}'))
    FROM generate_series(1, 4000) n;
    CREATE PROCEDURE tick_to_the_end() LANGUAGE plpgsql AS $$
    BEGIN
      LOOP
        EXIT WHEN (SELECT t.outcome FROM message_store.tick('stress', 1) AS t) = 'idle';
        COMMIT;
      END LOOP;
    END $$";

/// Messages of `grey`, and an application that fetches and acknowledges until they are handled: by
/// turns in one transaction, and in two.
const FETCHERS: &str = "
    CREATE TABLE handled (number bigserial, global_position bigint);
    SELECT message_store.create_subscription('outside', 'grey', '{}');
    SELECT count(message_store.write_message(
      gen_random_uuid()::varchar, 'grey-' || n % 7, 'Written', '{}'))
    FROM generate_series(1, 4000) n;
    CREATE PROCEDURE fetch_to_the_end() LANGUAGE plpgsql AS $$
    DECLARE
      last bigint := (SELECT max(global_position) FROM message_store.messages);
      found message_store.fetched_message;
    BEGIN
      LOOP
        SELECT * INTO found FROM message_store.fetch('outside', 1, '1 h');
        IF found IS NULL THEN
          EXIT WHEN (SELECT position FROM message_store.subscription_progress) = last;
        ELSE
          IF found.global_position % 2 = 0 THEN
            COMMIT;
          END IF;
          INSERT INTO handled (global_position) VALUES (found.global_position);
          PERFORM message_store.ack('outside', found.global_position, found.lease);
        END IF;
        COMMIT;
      END LOOP;
    END $$";

/// Stops a server process and lets it go on; returns how often.
fn stop_again_and_again(pid: Pid, is_over: &AtomicBool) -> u64 {
    let mut stops = 0;
    while !is_over.load(Ordering::SeqCst) {
        kill(pid, Signal::SIGSTOP).unwrap();
        std::thread::sleep(STANDSTILL);
        kill(pid, Signal::SIGCONT).unwrap();
        std::thread::sleep(STANDSTILL);
        stops += 1;
    }
    stops
}

/// Lets one message overtake another before the eyes of the naive poller; returns the position of
/// the one that came late.
async fn overtake(
    database: &Database<'_>,
    fast: &Session,
    mut naive_position: watch::Receiver<i64>,
) -> i64 {
    let slow = database.connect().await;
    slow.run("BEGIN").await.unwrap();
    write_one(&slow, "red-slow").await;
    write_one(fast, "red-fast").await;
    let [overtaken, overtaking] = [1, 2];
    naive_position
        .wait_for(|position| *position == overtaking)
        .await
        .unwrap();
    slow.run("COMMIT").await.unwrap();
    overtaken
}

#[derive(Default)]
struct Progress {
    committed: AtomicU64,
    written: AtomicBool,
}

#[derive(Debug, Default)]
struct Tally {
    committed: u64,
    transactions: u64,
    rolled_back: u64,
    savepoints: u64,
    batches: u64,
    large_batches: u64,
    wrong_version: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.committed += other.committed;
        self.transactions += other.transactions;
        self.rolled_back += other.rolled_back;
        self.savepoints += other.savepoints;
        self.batches += other.batches;
        self.large_batches += other.large_batches;
        self.wrong_version += other.wrong_version;
    }
}

/// SplitMix64: the same choices in every run, though not the same interleaving.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// Writes transactions until all writers together have committed enough.
async fn write(session: Session, number: u64, progress: Arc<Progress>) -> Tally {
    let mut dice = Dice(number);
    let mut tally = Tally::default();
    let mut own_version = -1;
    while progress.committed.load(Ordering::Relaxed) < MESSAGES {
        let transaction = Transaction::random(&mut dice, number, own_version);
        tally.transactions += 1;
        tally.savepoints += transaction.savepoints;
        tally.batches += transaction.batches;
        tally.large_batches += transaction.large_batches;
        match session.run(&transaction.sql).await {
            Ok(_) if transaction.commits => {
                own_version = transaction.own_version;
                tally.committed += transaction.messages;
                let messages = transaction.messages;
                progress.committed.fetch_add(messages, Ordering::Relaxed);
            }
            Ok(_) => tally.rolled_back += 1,
            Err(error) => {
                assert_eq!(error.sqlstate, "P0001", "{error:?}");
                assert!(error.message.starts_with("Wrong expected version"));
                // Nobody else writes to the writer's own stream.
                assert!(!error.message.contains("-own"), "{error:?}");
                tally.wrong_version += 1;
                session.run("ROLLBACK").await.unwrap();
            }
        }
    }
    tally
}

/// One transaction, sent as one text so that its pauses are the server's.
struct Transaction {
    sql: String,
    commits: bool,
    messages: u64,
    savepoints: u64,
    batches: u64,
    large_batches: u64,
    own_version: i64,
}

impl Transaction {
    fn random(dice: &mut Dice, writer: u64, own_version: i64) -> Self {
        let mut transaction = Self {
            sql: "BEGIN;".to_owned(),
            commits: !dice.one_in(12),
            messages: 0,
            savepoints: 0,
            batches: 0,
            large_batches: 0,
            own_version,
        };
        if dice.one_in(400) {
            transaction.large_batches += 1;
            let streams = some_streams(dice, STREAMS_OF_LARGE_BATCH);
            transaction.write_batch(dice, &streams);
        } else {
            transaction.write_to_some_streams(dice);
        }
        if dice.one_in(4) {
            let own = format!("{}-own{writer}", CATEGORIES[writer as usize % 4]);
            transaction.write(&own, &own_version.to_string());
            transaction.own_version += 1;
        }
        transaction.pause(dice);
        transaction.add(if transaction.commits {
            "COMMIT"
        } else {
            "ROLLBACK"
        });
        transaction
    }

    /// Single writes, and the last of them now and then as a batch.
    fn write_to_some_streams(&mut self, dice: &mut Dice) {
        let count = 1 + dice.below(STREAMS_PER_TRANSACTION);
        let streams = some_streams(dice, count);
        let mut single = streams.len();
        if dice.one_in(3) {
            single = dice.below(count) as usize;
        }
        for stream in &streams[..single] {
            self.pause(dice);
            if dice.one_in(5) {
                self.savepoints += 1;
                let counted = self.messages;
                self.add("SAVEPOINT s;");
                self.write(stream, "NULL");
                self.pause(dice);
                if dice.one_in(4) {
                    self.add("RELEASE s;");
                } else {
                    self.add("ROLLBACK TO s;");
                    self.messages = counted;
                    self.pause(dice);
                }
            }
            // Judged by what was committed before, while others may be about to commit.
            let seen = format!("coalesce(message_store.stream_version('{stream}'), -1)");
            let expected = if dice.one_in(20) { &seen } else { "NULL" };
            self.write(stream, expected);
        }
        if single < streams.len() {
            self.pause(dice);
            self.write_batch(dice, &streams[single..]);
        }
    }

    fn add(&mut self, statement: &str) {
        self.sql.push_str(statement);
    }

    fn pause(&mut self, dice: &mut Dice) {
        if dice.one_in(2) {
            let microseconds = dice.below(LONGEST_PAUSE_MICROSECONDS);
            self.add(&format!("SELECT pg_sleep({microseconds} / 1e6);"));
        }
    }

    /// One or two messages a stream, some with ids of their own, in an order that is not the
    /// streams'.
    fn write_batch(&mut self, dice: &mut Dice, streams: &[String]) {
        self.batches += 1;
        let mut elements = Vec::new();
        for stream in streams {
            for _ in 0..=dice.below(2) {
                let id = if dice.one_in(3) {
                    "gen_random_uuid()::varchar"
                } else {
                    "NULL"
                };
                let at = dice.below(1 + elements.len() as u64) as usize;
                let element = format!("ROW('{stream}', 'Written', '{{}}', NULL, {id}, NULL)");
                elements.insert(at, element);
            }
        }
        self.messages += elements.len() as u64;
        self.add(&format!(
            "SELECT count(*) FROM message_store.write_messages(
               ARRAY[{}]::message_store.new_message[]);",
            elements.join(", ")
        ));
    }

    fn write(&mut self, stream: &str, expected_version: &str) {
        self.messages += 1;
        self.add(&format!(
            "SELECT message_store.write_message(
               gen_random_uuid()::varchar, '{stream}', 'Written', '{{}}', NULL, {expected_version});"
        ));
    }
}

/// So many streams at most, sorted: writers of the same streams wait for each other, in opposite
/// order for ever.
fn some_streams(dice: &mut Dice, count: u64) -> Vec<String> {
    let mut streams: Vec<String> = (0..count)
        .map(|_| {
            let category = CATEGORIES[dice.below(4) as usize];
            let stream = dice.below(SHARED_STREAMS_PER_CATEGORY);
            format!("{category}-{stream}")
        })
        .collect();
    streams.sort();
    streams
}

/// Reads as a consumer does: what lies after the last message it has seen.
async fn read(
    session: Session,
    category: Option<&'static str>,
    batch_size: i64,
    progress: Arc<Progress>,
) -> (u64, Vec<i64>) {
    let select = match category {
        Some(name) => format!(
            "SELECT global_position FROM message_store.get_category_messages('{name}', $1, $2)"
        ),
        None => "SELECT global_position FROM message_store.get_all_messages($1, $2)".to_owned(),
    };
    let select = session.prepare(&select).await.unwrap();
    let (mut polls, mut seen) = (0, Vec::<i64>::new());
    loop {
        let written_before = progress.written.load(Ordering::SeqCst);
        let next = seen.last().map_or(1, |last| last + 1);
        let batch = session.query(&select, &[&next, &batch_size]).await.unwrap();
        polls += 1;
        let returned = batch.len() as i64;
        assert!(returned <= batch_size);
        seen.extend(batch.iter().map(|row| row.get::<_, i64>(0)));
        if returned == 0 && written_before {
            return (polls, seen);
        }
        if returned < batch_size {
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

/// The bug this product exists to prevent: a plain SELECT from the last position on.
async fn poll_naively(
    session: Session,
    progress: Arc<Progress>,
    reached: watch::Sender<i64>,
) -> (u64, Vec<i64>) {
    // The table has no statistics; by its index the poller is as quick as it can be.
    session
        .run("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
        .await
        .unwrap();
    let select = "SELECT global_position FROM message_store.messages
                  WHERE global_position > $1 ORDER BY global_position";
    let select = session.prepare(select).await.unwrap();
    let (mut polls, mut seen) = (0, Vec::<i64>::new());
    loop {
        let written_before = progress.written.load(Ordering::SeqCst);
        let last = seen.last().copied().unwrap_or(0);
        let rows = session.query(&select, &[&last]).await.unwrap();
        polls += 1;
        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
        reached.send_replace(seen.last().copied().unwrap_or(0));
        if rows.is_empty() && written_before {
            return (polls, seen);
        }
    }
}

/// Ticks as the orchestrator does, until a tick proves that nothing is left.
async fn tick(session: Session, progress: Arc<Progress>) {
    loop {
        let written_before = progress.written.load(Ordering::SeqCst);
        let outcome = session
            .value("SELECT outcome FROM message_store.tick('stress', 50)")
            .await;
        match outcome.as_deref() {
            Some("progressed") => {}
            Some("idle") if written_before => return,
            Some("idle" | "held_back") => tokio::time::sleep(POLL_EVERY).await,
            other => panic!("{other:?}"),
        }
    }
}

async fn positions(session: &Session, category: Option<&str>) -> Vec<i64> {
    let condition = category.map_or("true".to_owned(), |name| {
        format!("split_part(stream_name, '-', 1) = '{name}'")
    });
    numbers(
        session,
        &format!(
            "SELECT global_position FROM message_store.messages
             WHERE {condition} ORDER BY global_position"
        ),
    )
    .await
}

async fn numbers(session: &Session, sql: &str) -> Vec<i64> {
    let rows = session.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Equal means: none skipped, none twice, none out of order.
fn assert_same(seen: &[i64], stored: &[i64]) {
    let first = seen
        .iter()
        .zip(stored)
        .position(|(seen, stored)| seen != stored);
    assert!(
        seen == stored,
        "{} seen, {} stored; they part at {first:?}: {:?} and {:?}",
        seen.len(),
        stored.len(),
        first.map(|at| seen[at]),
        first.map(|at| stored[at]),
    );
}
