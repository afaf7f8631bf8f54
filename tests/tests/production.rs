//! Promise: docs/production.md grants what is needed and no more, counts connections and bytes as they are,
//! and what it sets and rehearses works.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod page;

use page::shop::{name_shop, open_shop, order, wait_for_items};
use page::{Page, read_section};
use promises::{Cluster, Session, get, orchestrator, run_to_end};

const PAGE: &str = "production";

/// Settings with which `doctor` has nothing to say.
const SAFE: [(&str, &str); 3] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("autovacuum", "on"),
];

/// What the application makes in its own schema.
const ORDERS: &str = r#"
    SET search_path = shop, message_store;
    CREATE TABLE orders (number varchar PRIMARY KEY, items bigint NOT NULL);
    CREATE FUNCTION count_items(message message_store.message) RETURNS void LANGUAGE sql AS $$
      INSERT INTO orders VALUES (message_store.id(message.stream_name), 1)
      ON CONFLICT (number) DO UPDATE SET items = orders.items + 1
    $$;
    SELECT create_subscription('aggregators:orders', 'order', '{"Ordered": "count_items"}',
      '{"read_model": ["orders"], "search_path": "shop"}');
    SELECT start('aggregators:orders')"#;

const WRITE: &str =
    "SELECT message_store.write_message(gen_random_uuid()::varchar, 'order-1', 'Ordered', '{}')";
const TICK: &str = "SELECT 1 / (outcome IN ('progressed', 'idle'))::int \
    FROM message_store.tick('aggregators:orders')";
const STEER: &str = "SELECT message_store.pause('aggregators:orders'); \
    SELECT message_store.start('aggregators:orders')";
const WATCH: &str = "SELECT 1 / count(*) FROM message_store.subscription_status";
const READ_MODEL: &str = "SELECT items FROM shop.orders";

/// A grant of the page, what undoes it, and what a role can do only with it.
const GRANTS: [(&str, &str, &str, &str); 8] = [
    (
        "GRANT message_store TO message_store_orchestrator;",
        "REVOKE message_store FROM message_store_orchestrator",
        "message_store_orchestrator",
        TICK,
    ),
    (
        "GRANT message_store TO shop;",
        "REVOKE message_store FROM shop",
        "shop",
        WRITE,
    ),
    (
        "GRANT message_store_admin TO shop_operator;",
        "REVOKE message_store_admin FROM shop_operator",
        "shop_operator",
        STEER,
    ),
    (
        "GRANT message_store_viewer TO shop_viewer;",
        "REVOKE message_store_viewer FROM shop_viewer",
        "shop_viewer",
        WATCH,
    ),
    (
        "GRANT USAGE ON SCHEMA shop TO shop_page, shop_viewer;",
        "REVOKE USAGE ON SCHEMA shop FROM shop_page",
        "shop_page",
        READ_MODEL,
    ),
    (
        "GRANT USAGE ON SCHEMA shop TO shop_page, shop_viewer;",
        "REVOKE USAGE ON SCHEMA shop FROM shop_viewer",
        "shop_viewer",
        READ_MODEL,
    ),
    // Of tables that are made later; this one is there.
    (
        "GRANT SELECT ON TABLES TO shop_page, shop_viewer;",
        "REVOKE SELECT ON shop.orders FROM shop_page",
        "shop_page",
        READ_MODEL,
    ),
    (
        "GRANT SELECT ON TABLES TO shop_page, shop_viewer;",
        "REVOKE SELECT ON shop.orders FROM shop_viewer",
        "shop_viewer",
        READ_MODEL,
    ),
];

/// What the page gives to nobody of them.
const REFUSED: [(&str, &str); 9] = [
    ("message_store_orchestrator", READ_MODEL),
    ("message_store_orchestrator", STEER),
    ("shop", "DELETE FROM message_store.messages"),
    ("shop_page", "SELECT FROM message_store.messages"),
    ("shop_page", WRITE),
    ("shop_page", "DELETE FROM shop.orders"),
    ("shop_operator", READ_MODEL),
    ("shop_viewer", STEER),
    ("shop_viewer", WRITE),
];

#[tokio::test]
async fn every_grant_of_the_page_is_needed_and_they_are_enough() {
    let cluster = Cluster::start(&SAFE);
    let database = cluster.create_store().await;
    let superuser = database.connect().await;
    read_section(PAGE, "Roles", &database.url("postgres"), &[]).await;
    let shop = database.connect_as("shop").await;
    shop.run(ORDERS).await.unwrap();
    shop.run(WRITE).await.unwrap();

    let mut deployment = database.deploy("");
    deployment.url = database.url("message_store_orchestrator");
    let running = deployment.start();
    superuser
        .wait_until("SELECT EXISTS (SELECT FROM shop.orders)")
        .await;
    let mut doctor = orchestrator();
    doctor.args(["doctor", "--url", &deployment.url]);
    let well = run_to_end(&mut doctor);
    assert_eq!(well.code, Some(0), "{well:?}");
    assert!(!well.stdout.contains("warning"), "{well:?}");
    running.stop();

    let page = Page::open(PAGE);
    let shown = page.blocks.iter().filter(|block| block.section == "Roles");
    let lines: Vec<&str> = shown.flat_map(|block| block.text.lines()).collect();
    let is_tried = |line: &&&str| GRANTS.iter().any(|(grant, ..)| line.ends_with(grant));
    let untried = lines.iter().filter(|line| line.contains("GRANT "));
    let untried: Vec<_> = untried.filter(|line| !is_tried(line)).collect();
    assert!(untried.is_empty(), "nobody tries {untried:?}");
    let is_shown = |sql: &str| lines.iter().any(|line| line.ends_with(sql));
    for (grant, revoke, role, needs) in GRANTS {
        assert!(is_shown(grant), "the page does not show {grant}");
        let session = database.connect_as(role).await;
        assert_allowed(&session, role, needs).await;
        superuser.run(revoke).await.unwrap();
        let refused = session.error(needs).await;
        assert_eq!(
            refused.sqlstate, "42501",
            "{role} without {grant}: {refused:?}"
        );
        superuser.run(&undone(revoke)).await.unwrap();
        assert_allowed(&session, role, needs).await;
    }
    for (role, sql) in REFUSED {
        let refused = database.connect_as(role).await.error(sql).await;
        assert_eq!(refused.sqlstate, "42501", "{role}: {sql}: {refused:?}");
    }
}

async fn assert_allowed(session: &Session, role: &str, sql: &str) {
    let done = session.run(sql).await;
    assert!(done.is_ok(), "{role}: {sql}: {done:?}");
}

fn undone(revoke: &str) -> String {
    revoke.replace("REVOKE", "GRANT").replace(" FROM ", " TO ")
}

/// The sessions of a role's orchestrator.
fn sessions_of(role: &str, which: &str) -> String {
    format!(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' \
           AND application_name = 'orchestrator' AND {which}"
    )
}

/// Six that count orders, each for itself.
const COUNTERS: &str = r#"
    SELECT message_store.create_subscription('aggregators:' || n, 'order', '{"Ordered": "count_items"}'),
      message_store.start('aggregators:' || n)
    FROM generate_series(1, 6) n"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orchestrator_takes_as_many_connections_as_the_page_counts() {
    // Of the default pool_size.
    let [all, dashboard] = [11, 9];
    let shows = |text: &str| {
        let page = std::fs::read_to_string(page::folder().join("production.md")).unwrap();
        assert!(page.contains(text), "the page does not say {text}");
    };
    shows(&format!(
        "| an orchestrator | `pool_size` + {}, that is {all} |",
        all - 4
    ));
    shows(&format!("| its dashboard | {dashboard} |"));
    let (database, session) = open_shop(Cluster::shared(), "").await;
    session.install_home_page().await;
    let subscriber = database.connect_as("message_store").await;
    subscriber.run(COUNTERS).await.unwrap();
    let listen = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let deployment = database.deploy_with_dashboard(listen).await;
    let running = deployment.start();
    let pages = [
        running.home_page(),
        format!("{}/admin/parked", running.dashboard()),
    ];
    running.wait_for_log("connected to");

    // Whoever reads or fills a read model, or looks at subscriptions, waits.
    let lock = "BEGIN; LOCK TABLE public.orders, message_store.read_model_pages; \
                LOCK TABLE message_store.parked";
    let blocker = database.connect().await;
    blocker.run(lock).await.unwrap();
    order(&session, "1", "1").await;
    let visitors: Vec<_> = (0..20)
        .map(|n| {
            let page = pages[n % 2].clone();
            std::thread::spawn(move || get(&page).0)
        })
        .collect();
    let waits = |role, limit| {
        let waiting = sessions_of(role, "wait_event_type = 'Lock'");
        format!("SELECT ({waiting}) >= {limit}")
    };
    // Ticks and the home page, beside which somebody waits for messages; operators' pages.
    session.wait_until(&waits("message_store", 4 + 4)).await;
    session.wait_until(&waits("operator", 4)).await;
    let ticking = session.bigint(&sessions_of("message_store", "true")).await;
    assert!((all - 2..=all).contains(&ticking), "{ticking}");
    let looking = session.bigint(&sessions_of("operator", "true")).await;
    assert!((dashboard - 5..=dashboard).contains(&looking), "{looking}");
    blocker.run("COMMIT").await.unwrap();
    for visitor in visitors {
        visitor.join().unwrap();
    }
    wait_for_items(&session, "1", 7).await;
    running.stop();
}

#[tokio::test]
async fn a_backup_is_rehearsed_as_the_page_says() {
    let cluster = Cluster::start(&SAFE);
    let (database, session) = open_shop(&cluster, "").await;
    for number in 1..=20 {
        order(&session, &number.to_string(), "2").await;
    }
    let tick = "SELECT handled FROM message_store.tick('aggregators:orders')";
    assert_eq!(session.bigint(tick).await, 20);
    drop(session);
    let database = name_shop(database).await;
    let url = database.url("postgres");
    let rehearsal = database.url("message_store").replace("shop", "rehearsal");
    let variables = [("REHEARSAL", rehearsal.as_str())];
    read_section(PAGE, "Back up, and rehearse it", &url, &variables).await;
}

/// Writes so many messages to streams of ten.
async fn write(session: &Session, messages: i64) {
    let write = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar, \
           'order-' || n / 10, 'Ordered', '{{\"items\": 1}}')) FROM generate_series(1, {messages}) n"
    );
    session.run(&write).await.unwrap();
}

/// How many pages of the table of messages VACUUM looks at in order to freeze all, and of how many.
async fn pages_to_freeze(session: &Session) -> (u32, u32) {
    session.take_notices();
    let freeze = "VACUUM (FREEZE, VERBOSE) message_store.messages";
    session.run(freeze).await.unwrap();
    let notices = session.take_notices();
    let said = notices
        .iter()
        .find(|notice| notice.message.contains("messages\""));
    let pages = notices.iter().find_map(|notice| {
        let (_, pages) = notice.message.split_once("pages: 0 removed, ")?;
        let mut words = pages.split(' ');
        let all = words.next()?.parse().ok()?;
        Some((words.nth(1)?.parse().ok()?, all))
    });
    pages.unwrap_or_else(|| panic!("{said:?}"))
}

#[tokio::test]
async fn autovacuum_leaves_nothing_to_freeze_with_the_settings_of_the_page() {
    const WRITTEN: i64 = 30_000;
    let cluster = Cluster::start(&[("autovacuum", "on"), ("autovacuum_naptime", "1s")]);
    let (plain, database) = (cluster.create_store().await, cluster.create_store().await);
    let (plain, session) = (plain.connect().await, database.connect().await);
    session.run("CREATE ROLE shop").await.unwrap();
    read_section(PAGE, "Settings", &database.url("postgres"), &[]).await;
    read_section(
        PAGE,
        "A table that only grows",
        &database.url("postgres"),
        &[],
    )
    .await;
    let passed = "SELECT autovacuum_count > 0 FROM pg_stat_all_tables \
                  WHERE relid = 'message_store.messages'::regclass";
    for session in [&plain, &session] {
        write(session, WRITTEN).await;
    }
    for session in [&plain, &session] {
        session.wait_until(passed).await;
    }
    let (left, all) = pages_to_freeze(&plain).await;
    assert_eq!(left, all, "without them");
    let (left, all) = pages_to_freeze(&session).await;
    println!("with them, {left} of {all} pages are left to freeze");
    assert!(left * 50 < all, "{left} of {all}");
}

/// Makes a writer of so many messages, each in its transaction, ten to a stream. Hexadecimal digits are of
/// little use to compression.
const WRITER: &str = r#"
    CREATE PROCEDURE public.write(messages bigint, bytes bigint) LANGUAGE plpgsql AS $$
    DECLARE
      stream varchar;
      noise varchar := (SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 1000));
    BEGIN
      FOR n IN 0 .. messages - 1 LOOP
        IF n % 10 = 0 THEN stream := 'order-' || gen_random_uuid(); END IF;
        PERFORM message_store.write_message(gen_random_uuid()::varchar, stream, 'Ordered',
          jsonb_build_object('text', substr(noise, (random() * 20000)::int, bytes::int - 12)),
          jsonb_build_object('userId', gen_random_uuid(), 'traceId', gen_random_uuid()));
        COMMIT;
      END LOOP;
    END $$"#;

/// Bytes of a relation's part that a message takes.
async fn size_of(session: &Session, function: &str, messages: i64) -> i64 {
    let size = format!("SELECT {function}('message_store.messages')");
    session.bigint(&size).await / messages
}

/// Bytes of the index on the ids that a message takes.
async fn size_of_id(session: &Session, messages: i64) -> i64 {
    let size = "SELECT pg_relation_size('message_store.messages_id')";
    session.bigint(size).await / messages
}

fn median(mut measured: Vec<i64>) -> i64 {
    measured.sort_unstable();
    measured[measured.len() / 2]
}

/// Bytes of the write-ahead log that SQL writes for each message.
async fn wal_of(session: &Session, write: &str, messages: i64) -> i64 {
    let begin = session
        .value("SELECT pg_current_wal_insert_lsn()")
        .await
        .unwrap();
    session.run(write).await.unwrap();
    let written = format!("SELECT pg_current_wal_insert_lsn() - '{begin}'::pg_lsn");
    session.bigint(&written).await / messages
}

/// The numbers in the row of a table of the page that begins so.
fn shown(row: &str) -> Vec<i64> {
    let page = std::fs::read_to_string(page::folder().join("production.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with(row));
    let line = line.unwrap_or_else(|| panic!("the page has no row {row}"));
    let cells = line.trim_start_matches(row).split('|');
    let numbers = cells.filter_map(|cell| cell.trim().replace(',', "").parse().ok());
    numbers.collect()
}

/// What is wrong with a row whose numbers should be about those that were measured: within a part of
/// them.
fn compare(measured: &[i64], row: &str, part: i64) -> Option<String> {
    let shown = shown(row);
    let is_near = |(measured, shown): (&i64, &i64)| (measured - shown).abs() * part <= *shown;
    let fits = measured.len() == shown.len() && measured.iter().zip(&shown).all(is_near);
    (!fits).then(|| format!("{row} shows {shown:?}, and it is {measured:?}"))
}

#[tokio::test]
async fn a_message_takes_as_many_bytes_as_the_page_says() {
    const FIRST: i64 = 30;
    let cluster = Cluster::start(&[("max_wal_size", "4GB"), ("checkpoint_timeout", "1h")]);
    let mut wrong = Vec::new();
    for (bytes, messages) in [(100, 20_000), (1_000, 5_000), (10_000, 2_000)] {
        let database = cluster.create_store().await;
        let session = database.connect().await;
        session.run(WRITER).await.unwrap();
        let write = format!("CALL public.write({messages}, {bytes})");
        let wal = wal_of(&session, &write, messages).await;
        let table = size_of(&session, "pg_table_size", messages).await;
        let row = format!("| {} bytes |", separated(bytes));
        wrong.extend(compare(&[table, wal], &row, 20));
        if bytes > 100 {
            continue;
        }
        let indexes = size_of(&session, "pg_indexes_size", messages).await;
        wrong.extend(compare(&[indexes], "| the indexes |", 20));
        // How full the pages of random ids are is chance: of 300 times, by 1.5 bytes around 40.6.
        let mut by_id = vec![size_of_id(&session, messages).await];
        while by_id.len() < 3 {
            let session = cluster.create_store().await.connect().await;
            session.run(WRITER).await.unwrap();
            session.run(&write).await.unwrap();
            by_id.push(size_of_id(&session, messages).await);
        }
        let row = "| of these, the one on `id` |";
        wrong.extend(compare(&[median(by_id)], row, 10));
        let first = format!("CALL public.write({FIRST}, {bytes})");
        for compression in ["off", "on"] {
            let set = format!("CHECKPOINT; SET wal_compression = {compression}");
            // Which pages the ids fall on, and which of them are full and split, is chance.
            let mut measured = Vec::new();
            for _ in 0..15 {
                session.run(&set).await.unwrap();
                measured.push(wal_of(&session, &first, FIRST).await);
            }
            let row = format!("| `{compression}` |");
            wrong.extend(compare(&[median(measured)], &row, 5));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn separated(number: i64) -> String {
    match number {
        1_000.. => format!("{},{:03}", number / 1_000, number % 1_000),
        _ => number.to_string(),
    }
}
