//! How fast a subscription catches up with a log that is there: the home page's native
//! `(bigint[])` handler, the chapter's loop of one UPDATE a message, a count over the same
//! messages; and a PL/pgSQL `(message[])` handler beside a set-based INSERT ... SELECT of the same
//! rows; and a Rust program that the client crate's `Consumer` hands one message after another. Then other event stores, each beside ours through the same client, and queues: all keep
//! how often each video was viewed.
//!
//! Ticks commit as an orchestrator's do, without waiting for the disk.
//!
//! The chapter's loop reads a batch of messages and sends one UPDATE for each, as its handler does,
//! each a transaction of its own; here prepared, on one connection, with the commit not waited for,
//! which is kinder to it than its own program is.

use std::cell::{Cell, OnceCell};
use std::time::Instant;

use indicatif::HumanCount;
use message_store_client::connection::Target;
use message_store_client::database::Database as Client;
use message_store_client::{Consumer, Error, Failure};
use promises::{Cluster, Session};

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Identity, Unit};
use crate::line_up::{LineUp, interleave};
use crate::peers::{self, Driven, Language, Scripted, Task};

/// Messages a tick reads for the native handler.
const BATCH: i64 = 10_000;
/// Messages a tick reads where nobody says: what the PL/pgSQL handler gets at a time.
const DEFAULT_BATCH: i64 = 1_000;

const SUBSCRIPTIONS: &str = "
    CREATE TABLE viewed (global_position bigint, stream_name varchar, data varchar);
    CREATE FUNCTION collect(messages message_store.message[]) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO viewed SELECT m.global_position, m.stream_name, m.data FROM unnest(messages) m;
    END $$;
    CREATE PROCEDURE catch_up(id varchar, batch bigint) LANGUAGE plpgsql AS $$
    DECLARE outcome varchar;
    BEGIN
      LOOP
        SELECT t.outcome INTO outcome FROM message_store.tick(id, batch) t;
        COMMIT;
        EXIT WHEN outcome <> 'progressed';
      END LOOP;
    END $$;
    SELECT message_store.create_subscription('home', 'viewings',
      '{\"VideoViewed\": \"message_store.increment_videos_watched(bigint[])\"}',
      '{\"init\": \"message_store.ensure_home_page\"}');
    SELECT message_store.start('home');
    SELECT message_store.create_subscription('collect', 'viewings', '{\"VideoViewed\": \"collect\"}');
    SELECT message_store.create_subscription('program', 'viewings', '{}');
    INSERT INTO message_store.read_model_pages
      VALUES ('loop', '{\"lastViewProcessed\": 0, \"videosWatched\": 0}');";

const COUNT: &str = "SELECT count(*) FROM message_store.messages
    WHERE message_store.category(stream_name) = 'viewings' AND type = 'VideoViewed'
      AND global_position > 0";
const INSERT_SELECT: &str = "INSERT INTO viewed SELECT m.global_position, m.stream_name, m.data
    FROM message_store.messages m
    WHERE message_store.category(m.stream_name) = 'viewings' AND m.type = 'VideoViewed'
    ORDER BY m.global_position";
/// The chapter's incrementVideosWatched.
const INCREMENT: &str = "UPDATE message_store.read_model_pages
    SET page_data = jsonb_set(jsonb_set(page_data,
          '{videosWatched}', ((page_data ->> 'videosWatched')::bigint + 1)::text::jsonb),
          '{lastViewProcessed}', $1::bigint::text::jsonb)
    WHERE page_name = 'loop' AND (page_data ->> 'lastViewProcessed')::bigint < $1";

/// What the native handler is to reach: messages a second, and how many times better than others.
const RATE: f64 = 1e6;
const TO_LOOP: f64 = 200.0;
const TO_COUNT: f64 = 0.8;

/// Measures it.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let mut contests = in_the_database(bench, &cluster);
    contests.extend(by_other_clients(bench, &cluster));
    contests.extend(beside_queues(bench, &cluster));
    contests.into_iter().map(Comparison::from).collect()
}

/// Emmett's consumer takes a transaction for a batch, but statements for each message: a run of it
/// is long with a log that is short for others.
fn by_other_clients(bench: &Bench, cluster: &Cluster) -> Vec<Contest> {
    let fetch = Identity::new(
        "fetch and ack",
        "exactly once, settled messages only; counts in the program",
    );
    let contest = |peer: &Driven| {
        let messages = match peer.client.language {
            Language::Node => bench.sized(20_000, 1_000),
            Language::Python => bench.sized(100_000, 1_000),
        };
        let label = log_of(messages);
        let options = [
            format!("--messages={messages}"),
            "--handle-in=application".to_owned(),
        ];
        let ours = (label.as_str(), fetch.clone());
        let line_up = peer.line_up(bench, cluster, ours, "catch-up", &options);
        line_up.interleave(bench)
    };
    peers::driven().iter().map(contest).collect()
}

fn beside_queues(bench: &Bench, cluster: &Cluster) -> Option<Contest> {
    let queues = peers::queues(cluster);
    if queues.is_empty() {
        return None;
    }
    let ours = Scripted::ours(Identity::new(
        "SQL (message[]) handler",
        "exactly once, settled messages only",
    ));
    let messages = bench.sized(100_000, 2_000);
    let label = format!("{}, queues", log_of(messages));
    let task = Task::CatchUp { messages };
    let line_up = peers::line_up(bench, cluster, &label, (&ours, &queues), task);
    Some(line_up.interleave(bench))
}

fn log_of(messages: u32) -> String {
    format!("a log of {} messages", HumanCount(messages.into()))
}

fn in_the_database(bench: &Bench, cluster: &Cluster) -> Vec<Contest> {
    let messages = bench.sized(1_000_000, 2_000);
    bench.say("catch_up: filling the log");
    let (session, url) = bench.block_on(async {
        let store = cluster.create_store().await;
        let session = store.connect().await;
        fill(&session, messages).await;
        // The client's own sessions are like this one.
        let alike = format!("ALTER DATABASE {} SET synchronous_commit = off", store.name);
        session.run(&alike).await.unwrap();
        (session, store.url("postgres"))
    });
    let log = Log {
        session: &session,
        url: &url,
        messages,
        loop_messages: bench.sized(20_000, 200),
    };
    let unit = || Unit::rate("messages a second");
    let native = Identity::new(
        "native (bigint[]) handler",
        "exactly once, settled messages only",
    );
    let chapters_loop = Identity::new(
        "the chapter's loop",
        "one UPDATE a message, which counts none twice",
    );
    let one_process = Identity::new(
        "a count, one process",
        "reads the same messages and keeps nothing",
    );
    let three_processes = Identity::new(
        "a count, three processes",
        "the same with two workers, which is PostgreSQL's default plan",
    );
    let plpgsql = Identity::new(
        "PL/pgSQL (message[]) handler",
        "exactly once, settled messages only",
    );
    let consumer = Identity::new(
        "Consumer, in Rust",
        "each message handed to the program and acknowledged, at least once, settled messages only",
    );
    let insert_select = Identity::new("INSERT ... SELECT", "one statement over the whole log");

    let loop_too = chapters_loop.clone();
    let home_page = LineUp::new("the home page's count", unit(), native, || {
        bench.block_on(log.through_native_handler())
    })
    .against(chapters_loop, || {
        bench.block_on(log.through_chapters_loop())
    })
    .at_least(TO_LOOP)
    .against(one_process, || bench.block_on(log.through_count(0)))
    .at_least(TO_COUNT)
    .against(three_processes, || bench.block_on(log.through_count(2)))
    .at_least(TO_COUNT);
    let copy = LineUp::new("a row a message", unit(), plpgsql, || {
        bench.block_on(log.through_plpgsql_handler())
    })
    .against(insert_select, || {
        bench.block_on(log.through_insert_select())
    });
    let program = LineUp::new("a program's count", unit(), consumer, || {
        bench.block_on(log.through_consumer())
    })
    .against(loop_too, || bench.block_on(log.through_chapters_loop()));
    let mut contests = interleave(bench, vec![home_page, copy, program]).into_iter();
    let home_page = contests.next().map(|contest| contest.reaching(RATE));
    home_page.into_iter().chain(contests).collect()
}

/// A log with viewings, and who reads them from the first to the last.
struct Log<'a> {
    session: &'a Session,
    /// Where the store is.
    url: &'a str,
    messages: i64,
    /// Messages that are handled in a run by those who send a statement for each; their rate does
    /// not depend on them.
    loop_messages: i64,
}

impl Log<'_> {
    async fn through_native_handler(&self) -> f64 {
        self.go_back("home").await;
        let rate = self.rate(&format!("CALL catch_up('home', {BATCH})")).await;
        let watched = self.session.videos_watched().await;
        assert_eq!(
            watched, self.messages,
            "the home page counts every message once"
        );
        rate
    }

    async fn through_plpgsql_handler(&self) -> f64 {
        self.go_back("collect").await;
        let rate = self
            .rate(&format!("CALL catch_up('collect', {DEFAULT_BATCH})"))
            .await;
        self.require_collected().await;
        rate
    }

    async fn through_insert_select(&self) -> f64 {
        self.session.run("TRUNCATE viewed").await.unwrap();
        let rate = self.rate(INSERT_SELECT).await;
        self.require_collected().await;
        rate
    }

    /// By this session and at most so many workers.
    async fn through_count(&self, workers: u32) -> f64 {
        let set = format!("SET max_parallel_workers_per_gather = {workers}");
        self.session.run(&set).await.unwrap();
        let rate = self.rate(COUNT).await;
        let reset = "RESET max_parallel_workers_per_gather";
        self.session.run(reset).await.unwrap();
        rate
    }

    async fn through_chapters_loop(&self) -> f64 {
        self.empty_read_models().await;
        let update = self.session.prepare(INCREMENT).await.unwrap();
        let begun = Instant::now();
        for position in 1..=self.loop_messages {
            self.session.execute(&update, &[&position]).await.unwrap();
        }
        self.loop_messages as f64 / begun.elapsed().as_secs_f64()
    }

    async fn through_consumer(&self) -> f64 {
        const ALL_HANDLED: &str = "all handled";
        self.go_back("program").await;
        let target = Target::parse(self.url, "the server").unwrap();
        let client = Client::open(&target, 1).unwrap();
        let consumer = Consumer::new(&client, "program").batch_size(DEFAULT_BATCH);
        let (begun, handled) = (OnceCell::new(), Cell::new(0));
        let ended = consumer.run(|_| {
            begun.get_or_init(Instant::now);
            handled.set(handled.get() + 1);
            let is_last = handled.get() > self.loop_messages;
            async move {
                if is_last {
                    Err(Failure::from(ALL_HANDLED))
                } else {
                    Ok(())
                }
            }
        });
        match ended.await {
            Err(Error::Handler { .. }) => {}
            ended => panic!("{ended:?}"),
        }
        let since = begun.get().expect("a message was handled");
        self.loop_messages as f64 / since.elapsed().as_secs_f64()
    }

    /// Messages a second of SQL that reads all of them.
    async fn rate(&self, sql: &str) -> f64 {
        let begun = Instant::now();
        self.session.run(sql).await.unwrap();
        self.messages as f64 / begun.elapsed().as_secs_f64()
    }

    /// Back to the first message, with nothing counted or collected yet.
    async fn go_back(&self, subscriber_id: &str) {
        self.empty_read_models().await;
        let reset = format!("SELECT message_store.reset('{subscriber_id}', 0, 'the next round')");
        self.session.run(&reset).await.unwrap();
    }

    async fn empty_read_models(&self) {
        let sql = "TRUNCATE viewed;
             UPDATE message_store.read_model_pages
                SET page_data = '{\"lastViewProcessed\": 0, \"videosWatched\": 0}'";
        self.session.run(sql).await.unwrap();
    }

    async fn require_collected(&self) {
        let collected = self.session.bigint("SELECT count(*) FROM viewed").await;
        assert_eq!(collected, self.messages, "every message is collected once");
    }
}

/// Puts viewings into the log, 5000 streams in turn, and makes what reads them.
async fn fill(session: &Session, messages: i64) {
    let viewings = format!(
        "INSERT INTO message_store.messages (global_position, position, stream_name, type, data, id)
           SELECT i, (i - 1) / 5000, 'viewings-' || (i % 5000), 'VideoViewed',
                  jsonb_build_object('userId', NULL, 'videoId', 'video-' || (i % 5000)),
                  gen_random_uuid()
           FROM generate_series(1, {messages}) i;
         SELECT setval('message_store.messages_global_position_seq', {messages})"
    );
    for sql in [
        &viewings,
        SUBSCRIPTIONS,
        "VACUUM ANALYZE message_store.messages",
        "SET synchronous_commit = off",
        COUNT,
    ] {
        session.run(sql).await.unwrap();
    }
}
