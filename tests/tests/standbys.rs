//! Promise: a standby answers readers of categories and of all messages, as far as was proven on the
//! primary; and who reads there skips nothing, whatever becomes of either of the two.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use promises::{Cluster, Database, Session, StopMode};
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

const RECORD: &str = "SELECT message_store.record_horizons()";
async fn write(session: &Session, stream: &str) {
    let write = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', 'T', '{{}}', \
         '{{\"correlationStreamName\": \"cause-1\"}}')"
    );
    session.run(&write).await.unwrap();
}

/// Returns when the standby has replayed all that is on the primary.
async fn catch_up(primary: &Session, standby: &Session) {
    let end = primary
        .value("SELECT pg_current_wal_insert_lsn()")
        .await
        .unwrap();
    // What no commit waited for is sent with the next that does.
    primary.run("SELECT pg_switch_wal()").await.unwrap();
    let caught_up = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
    standby.wait_until(&caught_up).await;
}

async fn numbers(session: &Session, sql: &str) -> Vec<i64> {
    let rows = session.run(sql).await.unwrap();
    rows.iter()
        .map(|row| row[0].as_deref().unwrap().parse().unwrap())
        .collect()
}

async fn positions_in(session: &Session, source: &str) -> Vec<i64> {
    numbers(
        session,
        &format!("SELECT global_position FROM message_store.{source}"),
    )
    .await
}

#[tokio::test]
async fn a_standby_reads_as_far_as_was_recorded_and_says_how_old_that_is() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let primary = store.connect().await;
    let standby_cluster = cluster.start_standby(&[]);
    let standby = store.on(&standby_cluster).connect().await;

    // An empty store has nothing to say, and that is known.
    let empty = "SELECT count(*) FROM message_store.get_all_messages()";
    assert_eq!(standby.bigint(empty).await, 0);

    write(&primary, "shelf-1").await;
    catch_up(&primary, &standby).await;
    for read in [
        "get_category_messages('shelf')",
        "get_all_messages()",
        "horizon()",
    ] {
        let refusal = standby
            .error(&format!("SELECT * FROM message_store.{read}"))
            .await;
        assert_eq!(refusal.sqlstate, "55000", "{read}");
        assert!(
            refusal.message.contains("does not know how far"),
            "{}",
            refusal.message
        );
        assert!(
            refusal.hint.contains("record_horizons()"),
            "{}",
            refusal.hint
        );
    }
    // Streams need no horizon.
    assert_eq!(
        positions_in(&standby, "get_stream_messages('shelf-1')").await,
        [1]
    );

    assert!(primary.record_horizons().await);
    write(&primary, "shelf-2").await;
    write(&primary, "cellar-1").await;
    catch_up(&primary, &standby).await;
    assert_eq!(
        positions_in(&standby, "get_category_messages('shelf')").await,
        [1]
    );
    assert_eq!(positions_in(&standby, "get_all_messages()").await, [1]);
    // On the primary nobody needs what was recorded.
    assert_eq!(
        positions_in(&primary, "get_all_messages()").await,
        [1, 2, 3]
    );
    assert_eq!(
        primary
            .bigint("SELECT position FROM message_store.horizon()")
            .await,
        3
    );

    let age = "SELECT (clock_timestamp() - proven_at BETWEEN '0' AND '1 min')::int \
               FROM message_store.horizon('shelf')";
    assert!(primary.record_horizons().await);
    catch_up(&primary, &standby).await;
    assert_eq!(standby.bigint(age).await, 1);
    assert_eq!(
        standby
            .bigint("SELECT position FROM message_store.horizon('shelf')")
            .await,
        3
    );
    let read = "get_category_messages('shelf', 1, 1000, 'cause', 0, 1)";
    assert_eq!(positions_in(&standby, read).await, [1, 2]);
    standby
        .run("SET message_store.sql_condition = on")
        .await
        .unwrap();
    let read = "get_category_messages('shelf', condition => 'global_position > 1')";
    assert_eq!(positions_in(&standby, read).await, [2]);
    // A transaction that keeps one snapshot reads what was recorded in that one.
    standby
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await
        .unwrap();
    assert_eq!(
        positions_in(&standby, "get_all_messages()").await,
        [1, 2, 3]
    );
    write(&primary, "shelf-3").await;
    assert!(primary.record_horizons().await);
    let other = store.on(&standby_cluster).connect().await;
    catch_up(&primary, &other).await;
    assert_eq!(
        positions_in(&standby, "get_all_messages()").await,
        [1, 2, 3]
    );
    standby.run("COMMIT").await.unwrap();
    assert_eq!(
        positions_in(&standby, "get_all_messages()").await,
        [1, 2, 3, 4]
    );
}

#[tokio::test]
async fn who_waits_on_a_standby_is_woken_by_what_was_recorded() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let primary = store.connect().await;
    write(&primary, "shelf-1").await;
    primary.record_horizons().await;
    let standby_cluster = cluster.start_standby(&[]);
    let waiter = store.on(&standby_cluster).connect().await;
    let waiter_pid = waiter.pid;
    let waiting = tokio::spawn(async move {
        waiter
            .bigint("CALL message_store.wait_for_messages(1, '10 min')")
            .await
    });
    let standby = store.on(&standby_cluster).connect().await;
    let is_waiting = format!(
        "SELECT wait_event_type = 'Extension' AND backend_xmin IS NULL \
         FROM pg_stat_activity WHERE pid = {waiter_pid}"
    );
    standby.wait_until(&is_waiting).await;
    write(&primary, "shelf-1").await;
    assert!(!waiting.is_finished());
    primary.record_horizons().await;
    assert_eq!(waiting.await.unwrap(), 2);
}

#[tokio::test]
async fn an_idle_store_writes_nothing_and_a_log_that_was_emptied_is_known() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let primary = store.connect().await;
    let rows = "SELECT count(*) FROM message_store.horizons";
    assert!(primary.record_horizons().await);
    assert_eq!(primary.bigint(rows).await, 0, "nothing was drawn");
    for stream in ["shelf-1", "shelf-1", "shelf-1"] {
        write(&primary, stream).await;
    }
    assert!(primary.record_horizons().await);
    // No transaction id was given out: nothing was written.
    let next = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint";
    let before = primary.bigint(next).await;
    for _ in 0..10 {
        assert_eq!(primary.value(RECORD).await.as_deref(), Some("t"));
    }
    assert_eq!(primary.bigint(next).await, before);

    primary
        .run("TRUNCATE message_store.messages RESTART IDENTITY")
        .await
        .unwrap();
    write(&primary, "shelf-1").await;
    assert_eq!(primary.value(RECORD).await.as_deref(), Some("f"));
    assert_eq!(primary.bigint(rows).await, 0);
    assert!(primary.record_horizons().await);
    let position = "SELECT position FROM message_store.horizons";
    assert_eq!(primary.bigint(position).await, 1);
}

#[tokio::test]
async fn what_writes_is_refused_on_a_standby_and_what_looks_is_not() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let primary = store.connect().await;
    primary.run(DECLARED).await.unwrap();
    write(&primary, "shelf-1").await;
    primary
        .run("SELECT message_store.tick('reader')")
        .await
        .unwrap();
    write(&primary, "shelf-1").await;
    primary.record_horizons().await;
    let standby_cluster = cluster.start_standby(&[]);
    let standby = store.on(&standby_cluster).connect().await;
    for write in [
        "record_horizons()",
        "write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')",
        "write_messages('a-1', '[{\"type\": \"T\"}]')",
        "tick('reader')",
        "verify('reader')",
        "dry_run('reader', '{}')",
        "fetch('service', 10, '1 min')",
        "start('reader')",
        "delete_stream('shelf-1', 'gone')",
        "erase_message_data('gone', stream_name => 'shelf-1')",
        "apply_retention()",
        "create_subscription('other', 'shelf', '{\"$any\": \"public.handle\"}')",
    ] {
        let refusal = standby
            .error(&format!("SELECT message_store.{write}"))
            .await;
        assert_eq!(refusal.sqlstate, "25006", "{write}: {}", refusal.message);
    }
    let status = "SELECT position, lag, head FROM message_store.subscription_status \
                  WHERE subscriber_id = 'reader'";
    let expected = vec![vec![Some("1".into()), Some("1".into()), Some("2".into())]];
    assert_eq!(standby.run(status).await.unwrap(), expected);
    let reached = "SELECT message_store.wait_for('reader', 1, '0')::int";
    assert_eq!(standby.bigint(reached).await, 1);
    let reached = "SELECT message_store.wait_for('reader', 2, '0')::int";
    assert_eq!(standby.bigint(reached).await, 0);
    for look in [
        "SELECT * FROM message_store.horizon_blockers()",
        "SELECT message_store.deleted_up_to('shelf')",
        "SELECT * FROM message_store.started_subscriptions()",
        "SELECT * FROM message_store.subscription_history",
        "SELECT * FROM message_store.parked_messages",
        "SELECT * FROM message_store.category_type_summary",
        "SELECT message_store.stream_version('shelf-1')",
        "SELECT message_store.create_store()",
    ] {
        standby.run(look).await.unwrap();
    }
}

const DECLARED: &str = r#"
    CREATE FUNCTION public.handle(bigint) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT; END;
    SELECT message_store.create_subscription('reader', 'shelf', '{"$any": "public.handle"}');
    SELECT message_store.create_subscription('service', 'shelf', '{}');
    SELECT message_store.start('reader')"#;

#[tokio::test]
async fn the_command_line_and_the_dashboards_viewers_read_from_a_standby() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let primary = store.connect().await;
    primary
        .run("CREATE ROLE operator LOGIN IN ROLE message_store_admin")
        .await
        .unwrap();
    let standby_cluster = cluster.start_standby(&[]);
    let followed = store.on(&standby_cluster);
    let standby = followed.connect().await;
    let ended = followed.command(&["doctor"]);
    assert!(ended.stdout.contains("go up to 0"), "{}", ended.stdout);

    let running = store
        .deploy(&format!(
            "[dashboard]\nenabled = true\nlisten = '127.0.0.1:0'\nurl = '{}'\nviewer_url = '{}'\n\
             identity_header = 'x-user'\ntrusted_proxies = ['127.0.0.1']\n",
            store.url("operator"),
            followed.url("message_store"),
        ))
        .start();
    write(&primary, "shelf-1").await;
    write(&primary, "shelf-1").await;
    // The orchestrator writes it down, and the standby follows.
    let arrived = "SELECT count(*) = 1 FROM message_store.horizons WHERE position = 2";
    standby.wait_until(arrived).await;

    let lines = |arguments: &[&str]| {
        let ended = followed.command(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    for arguments in [
        &["read", "shelf"][..],
        &["read", "$all"],
        &["read", "shelf-1"],
        &["tail", "shelf"],
        &["export", "shelf"],
    ] {
        let printed = lines(arguments);
        assert_eq!(
            printed.matches("\"globalPosition\"").count(),
            2,
            "{arguments:?}: {printed}"
        );
    }
    lines(&["status"]);
    let printed = followed.command(&["doctor"]).stdout;
    let found = "readers of this standby go up to 2, settled";
    assert!(printed.contains(found), "{printed}");
    assert_eq!(
        printed.matches("PROBLEM").count(),
        1,
        "fsync is off: {printed}"
    );

    let agent = ureq::Agent::new_with_defaults();
    let show = |page: &str| {
        let url = format!("{}/admin/{page}", running.dashboard());
        let mut answer = agent.get(&url).header("x-user", "vera").call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    for page in ["categories", "browse?source=shelf"] {
        let shown = show(page);
        let note =
            "This is a standby. Readers go up to position 2, which was settled on the primary";
        assert!(shown.contains(note), "{shown}");
    }
    // What readers are not given, pages do not show: 3 is in flight, and 4 has come.
    let open = store.connect().await;
    open.run("BEGIN").await.unwrap();
    write(&open, "shelf-2").await;
    let late =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'shelf-3', 'Late', '{}')";
    primary.run(late).await.unwrap();
    catch_up(&primary, &standby).await;
    let of_all = ["browse?source=shelf", "browse?source=%24all"];
    for page in of_all {
        let shown = show(page);
        assert!(
            shown.contains("shelf-1") && !shown.contains("Late"),
            "{shown}"
        );
    }
    assert!(
        show("browse?source=shelf-3").contains("Late"),
        "streams have no horizon"
    );
    open.run("COMMIT").await.unwrap();
    let arrived =
        "SELECT count(*) = 1 FROM message_store.horizons WHERE position = 4 AND source = '$all'";
    standby.wait_until(arrived).await;
    for page in of_all {
        assert!(show(page).contains("Late"), "{page}");
    }
    running.stop();
}

/// Transactions that draw, pause, take back, and commit out of order.
const WRITER: &str = "
    CREATE PROCEDURE public.write_many(writer int, transactions int) LANGUAGE plpgsql AS $$
    BEGIN
      FOR n IN 1..transactions LOOP
        FOR m IN 0..(random() * 3)::int LOOP
          BEGIN
            PERFORM message_store.write_message(gen_random_uuid()::varchar,
              (ARRAY['red', 'green', 'blue'])[1 + floor(random() * 3)] || '-' || writer, 'T', '{}');
            IF random() < 0.1 THEN
              RAISE EXCEPTION 'taken back';
            END IF;
          EXCEPTION WHEN raise_exception THEN
            NULL;
          END;
          IF random() < 0.05 THEN
            PERFORM pg_sleep(random() * 0.03);
          END IF;
        END LOOP;
        IF random() < 0.1 THEN
          ROLLBACK;
        ELSE
          COMMIT;
        END IF;
      END LOOP;
    END
    $$;
    CREATE FUNCTION public.handle(bigint) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT; END;
    SELECT message_store.create_subscription(c || '-reader', c, '{\"$any\": \"public.handle\"}')
      FROM unnest('{red,green,blue}'::text[]) c";
const WRITERS: usize = 8;
const TRANSACTIONS: usize = 1_500;

#[derive(Default)]
struct Progress {
    /// The servers may be stopped while nobody holds this.
    gate: RwLock<()>,
    /// How often the server that is read was started.
    starts: AtomicU64,
    is_promoted: AtomicBool,
    /// All that will be written is; 0 before.
    end: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_skipped_on_a_standby_that_lags_is_restarted_and_is_promoted() {
    let settings = [("synchronous_commit", "off"), ("wal_writer_delay", "200ms")];
    let cluster = Cluster::start(&settings);
    let store = cluster.create_store().await;
    let admin = store.connect().await;
    admin.run(WRITER).await.unwrap();
    let standby_cluster = cluster.start_standby(&[]);
    let followed = store.on(&standby_cluster);
    let progress = Progress::default();
    let started = Instant::now();

    let disturbed = async {
        let writing = write_many(&store, 0).await;
        let recording = record_to_the_end(&store).await;
        let written = writing_beside_lags_and_restarts(&followed, &progress, writing).await;
        assert_eq!(written, WRITERS);
        // The primary dies in the middle of what it does.
        let dying = write_many(&store, WRITERS).await;
        let killing = async {
            let enough = admin.bigint(HIGHEST).await + 500;
            admin
                .wait_until(&format!("SELECT ({HIGHEST}) > {enough}"))
                .await;
            tokio::task::block_in_place(|| cluster.stop(StopMode::Immediate));
        };
        let (ended, ()) = tokio::join!(dying, killing);
        assert!(ended < WRITERS, "the primary was killed beside writers");
        assert!(recording.await.is_err());
        let promoted = followed.connect().await;
        promoted.run("SELECT pg_promote()").await.unwrap();
        progress.is_promoted.store(true, Ordering::SeqCst);
        assert_eq!(write_many(&followed, 2 * WRITERS).await.await, WRITERS);
        let promoted = followed.connect().await;
        write(&promoted, "red-end").await;
        write(&promoted, "blue-end").await;
        let end = promoted.bigint(HIGHEST).await;
        progress.end.store(end as u64, Ordering::SeqCst);
    };
    let (red, blue, all, ()) = tokio::join!(
        read(&followed, &progress, Some("red"), 7),
        read(&followed, &progress, Some("blue"), 1_000),
        read(&followed, &progress, None, 100),
        disturbed,
    );
    let log = followed.connect().await;
    for (scope, reader) in [(Some("red"), red), (Some("blue"), blue), (None, all)] {
        let stored = stored(&log, scope).await;
        println!(
            "{}: {} messages, {} of them on the standby before it was promoted, in {:?}",
            scope.unwrap_or("all"),
            reader.seen.len(),
            reader.on_standby,
            started.elapsed()
        );
        assert!(reader.on_standby > 1_000);
        assert_eq!(reader.seen.len(), stored.len());
        assert_eq!(reader.seen, stored);
    }
}

const HIGHEST: &str = "SELECT last_value FROM message_store.messages_global_position_seq";
/// Starts the writers, numbered from `first`; returns how many of them came to their end.
async fn write_many(store: &Database<'_>, first: usize) -> impl Future<Output = usize> {
    let mut sessions = Vec::new();
    for _ in 0..WRITERS {
        sessions.push(store.connect().await);
    }
    let writing = sessions.into_iter().zip(first..).map(|(session, number)| {
        let call = format!("CALL public.write_many({number}, {TRANSACTIONS})");
        tokio::spawn(async move { session.run(&call).await.is_ok() })
    });
    let writing: Vec<_> = writing.collect();
    async {
        let mut ended = 0;
        for writer in writing {
            // A server that is killed takes the session with it.
            ended += usize::from(writer.await.is_ok_and(|ended| ended));
        }
        ended
    }
}

/// Records as orchestrators do, more often than they, until the primary is gone.
async fn record_to_the_end(store: &Database<'_>) -> JoinHandle<()> {
    let session = store.connect().await;
    tokio::spawn(async move {
        loop {
            session.run(RECORD).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
}

/// Lets the standby lag and starts it again, over and over, until all is written.
async fn writing_beside_lags_and_restarts(
    followed: &Database<'_>,
    progress: &Progress,
    writing: impl Future<Output = usize>,
) -> usize {
    let is_written = AtomicBool::new(false);
    let disturbing = async {
        while !is_written.load(Ordering::SeqCst) {
            let session = followed.connect().await;
            for _ in 0..5 {
                session.run("SELECT pg_wal_replay_pause()").await.unwrap();
                tokio::time::sleep(Duration::from_millis(150)).await;
                session.run("SELECT pg_wal_replay_resume()").await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            drop(session);
            let _nobody_reads = progress.gate.write().await;
            let cluster = followed.cluster;
            tokio::task::block_in_place(|| cluster.restart(StopMode::Immediate));
            progress.starts.fetch_add(1, Ordering::SeqCst);
        }
    };
    let writing = async {
        let ended = writing.await;
        is_written.store(true, Ordering::SeqCst);
        ended
    };
    let (ended, ()) = tokio::join!(writing, disturbing);
    ended
}

struct Read {
    seen: Vec<i64>,
    on_standby: usize,
}

/// Reads from where it is, again and again, until it has read what was written last.
async fn read(
    followed: &Database<'_>,
    progress: &Progress,
    category: Option<&str>,
    batch_size: i64,
) -> Read {
    let mut reader = Read {
        seen: Vec::new(),
        on_standby: 0,
    };
    let mut session = None;
    loop {
        let end = progress.end.load(Ordering::SeqCst) as i64;
        let gate = progress.gate.read().await;
        let starts = progress.starts.load(Ordering::SeqCst);
        let (_, session) = match session.take() {
            Some((of, kept)) if of == starts => session.insert((of, kept)),
            _ => session.insert((starts, followed.connect().await)),
        };
        let next = reader.seen.last().map_or(1, |last| last + 1);
        let read = match category {
            Some(name) => format!("get_category_messages('{name}', {next}, {batch_size})"),
            None => format!("get_all_messages({next}, {batch_size})"),
        };
        let is_promoted = progress.is_promoted.load(Ordering::SeqCst);
        let read = format!("SELECT global_position FROM message_store.{read}");
        let batch = match session.run(&read).await {
            Ok(rows) => rows,
            // Nothing was recorded yet.
            Err(error) if error.sqlstate == "55000" => Vec::new(),
            Err(error) => panic!("{error:?}"),
        };
        drop(gate);
        let is_empty = batch.is_empty();
        let batch = batch
            .iter()
            .map(|row| row[0].as_deref().unwrap().parse::<i64>().unwrap());
        reader.seen.extend(batch);
        if !is_promoted {
            reader.on_standby = reader.seen.len();
        }
        if is_empty && end > 0 {
            return reader;
        }
        if is_empty {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
}

async fn stored(session: &Session, category: Option<&str>) -> Vec<i64> {
    let condition = category.map_or("true".to_owned(), |name| {
        format!("message_store.category(stream_name::varchar) = '{name}'")
    });
    let sql = format!(
        "SELECT global_position FROM message_store.messages WHERE {condition} ORDER BY global_position"
    );
    numbers(session, &sql).await
}
