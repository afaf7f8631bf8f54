//! Promise: an operator finds every message: by browsing in both directions, by type, by name, by
//! id, and along what caused what.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::time::Duration;

use promises::{Cluster, Database, HOME_PAGE, Running, Session};
use ureq::Agent;

/// The dashboard of a store, on any free port.
struct Dashboard {
    agent: Agent,
    address: String,
    running: Running,
}

impl Dashboard {
    fn open(database: &Database<'_>) -> Self {
        Self::open_as(database, "postgres", HOME_PAGE)
    }

    fn open_as(database: &Database<'_>, role: &str, subscriptions: &str) -> Self {
        let url = database.url(role);
        let dashboard = format!(
            "{subscriptions}\n[dashboard]\nenabled = true\nlisten = '127.0.0.1:0'\nurl = '{url}'\n"
        );
        let running = database.deploy(&dashboard).start();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self {
            agent: agent.into(),
            address: running.dashboard(),
            running,
        }
    }

    /// Status and text.
    fn get(&self, path: &str) -> (u16, String) {
        let url = format!("{}{path}", self.address);
        let mut answer = self.agent.get(&url).call().unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        (answer.status().as_u16(), text)
    }

    fn page(&self, path: &str) -> String {
        let (status, page) = self.get(path);
        assert_eq!(status, 200, "{path}: {page}");
        page
    }

    /// Where a search leads; `None` where nothing is found.
    fn search(&self, wanted: &str) -> Option<String> {
        let url = format!("{}/admin/search", self.address);
        let answer = self.agent.get(&url).query("q", wanted).call().unwrap();
        let location = answer.headers().get("location");
        location.map(|location| location.to_str().unwrap().to_owned())
    }
}

async fn write(session: &Session, stream: &str, message_type: &str, metadata: &str) -> i64 {
    let stream = stream.replace('\'', "''");
    let sql = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}',
           '{message_type}', '{{\"at\": \"{message_type}\"}}', '{metadata}')"
    );
    session.run(&sql).await.unwrap();
    session
        .bigint("SELECT max(global_position) FROM message_store.messages")
        .await
}

/// The positions of the messages in a list, from the top.
fn listed(page: &str) -> Vec<i64> {
    let links = page.split("href=\"/admin/messages/").skip(1);
    links
        .map(|link| link.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// The address behind a link of this text.
fn link_of(page: &str, text: &str) -> Option<String> {
    let before = page.split(&format!(">{text}</a>")).next()?;
    if before.len() == page.len() {
        return None;
    }
    let address = before.rsplit("href=\"").next()?.split('"').next()?;
    Some(address.replace("&amp;", "&"))
}

#[tokio::test]
async fn a_category_is_browsed_to_its_end_and_back_again() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar,
               CASE WHEN n % 2 = 0 THEN 'even-' ELSE 'odd-' END || n % 10, 'T', '{}')
             FROM generate_series(1, 240) n",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let evens: Vec<i64> = (1..=120).rev().map(|n| n * 2).collect();

    let mut seen = Vec::new();
    let mut path = "/admin/browse?source=even".to_owned();
    loop {
        let page = dashboard.page(&path);
        seen.extend(listed(&page));
        match link_of(&page, "Older") {
            Some(older) => path = older,
            None => break,
        }
    }
    assert_eq!(seen, evens, "from the newest to the oldest");

    let mut seen = Vec::new();
    let mut path = "/admin/browse?source=even&oldest=1".to_owned();
    loop {
        let page = dashboard.page(&path);
        seen.splice(0..0, listed(&page));
        match link_of(&page, "Newer") {
            Some(newer) => path = newer,
            None => break,
        }
    }
    assert_eq!(seen, evens, "and from the oldest to the newest");

    let page = dashboard.page("/admin/browse?source=even&at=101");
    assert_eq!(listed(&page)[0], 100, "from a position down");
    let stream = dashboard.page("/admin/browse?source=even-4");
    assert_eq!(
        listed(&stream),
        (0..24).rev().map(|n| n * 10 + 4).collect::<Vec<_>>()
    );
    assert_eq!(
        listed(&dashboard.page("/admin/browse?source=%24all"))[0],
        240
    );
}

#[tokio::test]
async fn a_rare_type_is_found_by_looking_on() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-' || n,
               CASE WHEN n = 7 THEN 'Rare' ELSE 'Common' END, '{}')
             FROM generate_series(1, 10500) n",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let page = dashboard.page("/admin/browse?source=a&type=Rare");
    assert_eq!(listed(&page), [0; 0]);
    assert!(page.contains("Looked at 10,000 messages"), "{page}");
    let further = dashboard.page(&link_of(&page, "Continue").unwrap());
    assert_eq!(listed(&further), [7]);
    assert!(further.contains("all there are this way"), "{further}");
    let upwards = dashboard.page("/admin/browse?source=a&type=Rare,Other&oldest=1");
    assert_eq!(listed(&upwards), [7]);
}

#[tokio::test]
async fn the_search_knows_what_was_typed() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let position = write(&session, "account-1", "Opened", "{}").await;
    let id = session
        .value("SELECT id::text FROM message_store.messages")
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let message = format!("/admin/messages/{position}");
    assert_eq!(dashboard.search(&id), Some(message.clone()));
    assert_eq!(dashboard.search(&position.to_string()), Some(message));
    let browse = |source: &str| Some(format!("/admin/browse?source={source}"));
    assert_eq!(dashboard.search("account-1"), browse("account-1"));
    // A name that is written as a position, or as an id, where there is none of those.
    write(&session, "2024-1", "T", "{}").await;
    assert_eq!(dashboard.search("2024"), browse("2024"));
    assert_eq!(dashboard.search("2024-1"), browse("2024-1"));
    let like_an_id = "7d1f0c52-93f3-4d3e-8f6f-0a1a5b3a7c11";
    write(&session, like_an_id, "T", "{}").await;
    assert_eq!(dashboard.search(like_an_id), browse(like_an_id));
    assert_eq!(dashboard.search("account"), browse("account"));
    assert_eq!(dashboard.search("$all"), browse("%24all"));
    for nothing in [
        "account-2",
        "nobody",
        "99",
        "",
        "9b2ba0c4-93f3-4d3e-8f6f-0a1a5b3a7c11",
    ] {
        assert_eq!(dashboard.search(nothing), None, "{nothing}");
    }
}

#[tokio::test]
async fn a_message_is_shown_between_its_causes_and_what_it_caused() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let because = |position: i64| format!(r#"{{"causationMessageGlobalPosition": {position}}}"#);
    let first = write(&session, "orders-1", "Placed", "{}").await;
    let second = write(&session, "payments-1", "Charged", &because(first)).await;
    write(&session, "others-1", "Unrelated", "{}").await;
    let by_stream =
        r#"{"causationMessageStreamName": "payments-1", "causationMessagePosition": 0}"#;
    let third = write(&session, "letters-1", "Sent", by_stream).await;
    let fourth = write(&session, "letters-2", "Filed", &because(third)).await;
    // One that claims to be caused by what comes after it leads nowhere.
    let liar = write(&session, "liars-1", "Lied", &because(1_000)).await;

    let dashboard = Dashboard::open(&database);
    let tree_of = |position: i64| {
        let page = dashboard.page(&format!("/admin/messages/{position}"));
        let tree = page.split("class=\"tree\"").nth(1).map(str::to_owned);
        tree.map(|tree| listed(tree.split("<p").next().unwrap()))
    };
    for position in [first, second, third, fourth] {
        let family = [first, second, third, fourth];
        assert_eq!(tree_of(position).unwrap(), family, "around {position}");
    }
    let page = dashboard.page(&format!("/admin/messages/{liar}"));
    assert!(page.contains("which is not there"), "{page}");
    let alone = dashboard.page(&format!("/admin/messages/{}", second + 1));
    assert!(alone.contains("names no cause"), "{alone}");
    assert!(
        alone.contains("&quot;at&quot;: &quot;Unrelated&quot;"),
        "{alone}"
    );
}

#[tokio::test]
async fn data_too_large_for_a_page_is_named_and_can_be_had_raw() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'big-1', 'T',
               jsonb_build_object('s', (SELECT string_agg(md5(n::text), '')
                                        FROM generate_series(1, 100000) n)))",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let page = dashboard.page("/admin/messages/1");
    assert!(
        page.len() < 20_000 && page.contains("too many to be shown"),
        "{page}"
    );
    let raw = dashboard.page("/admin/messages/1/data");
    assert!(raw.starts_with("{\"s\": ") && raw.len() > 3_000_000);
    assert_eq!(dashboard.get("/admin/messages/1/metadata").0, 404);
}

#[tokio::test]
async fn no_name_breaks_out_of_a_page() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let odd = "a/b%20?&<script>\"'é-1";
    let position = write(&session, odd, "<b>T</b>", "{}").await;
    let dashboard = Dashboard::open(&database);
    let list = dashboard.page("/admin/browse?source=%24all");
    assert!(
        !list.contains("<script>\"") && !list.contains("<b>T"),
        "{list}"
    );
    let stream = link_of(&list, "a/b%20?&amp;&lt;script&gt;&quot;'é-1").unwrap();
    assert_eq!(listed(&dashboard.page(&stream)), [position]);
    for path in ["/admin/categories", &format!("/admin/messages/{position}")] {
        let page = dashboard.page(path);
        assert!(!page.contains("<script>\""), "{path}: {page}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_gets_a_page_that_says_so() {
    let database = Cluster::shared().create_store().await;
    let dashboard = Dashboard::open(&database);
    for path in [
        "/admin/categories",
        "/admin/browse?source=nothing",
        "/admin/browse?source=%24all&below=0",
        "/admin/browse?above=9223372036854775807",
        "/admin/read-models",
    ] {
        dashboard.page(path);
    }
    for position in ["-1", "x", "99999999999999999999"] {
        let (status, page) = dashboard.get(&format!("/admin/browse?below={position}"));
        assert_eq!(status, 400, "{position}");
        assert!(page.contains("whole numbers from 0"), "{page}");
    }
    for path in [
        "/admin/messages/99",
        "/admin/messages/x",
        "/admin/read-model?name=none",
    ] {
        assert_eq!(dashboard.get(path).0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_read_model_is_shown_with_who_feeds_it() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            r#"SELECT message_store.ensure_home_page();
               INSERT INTO message_store.read_model_pages VALUES ('empty', NULL), ('<odd>', '{}');
               SELECT message_store.create_subscription('aggregators:fed', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched"}',
                 '{"read_model": [{"table": "message_store.read_model_pages",
                                   "where": "page_name = ''home''"}]}')"#,
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    // The first sample is taken when it has opened.
    let page = loop {
        let page = dashboard.page("/admin/read-model?name=home");
        if page.contains("aggregators:fed") {
            break page;
        }
    };
    assert!(page.contains("videosWatched"), "{page}");
    let empty = dashboard.page("/admin/read-model?name=empty");
    assert!(
        empty.contains("NULL") && !empty.contains("aggregators:fed"),
        "{empty}"
    );
    let list = dashboard.page("/admin/read-models");
    assert!(list.contains("&lt;odd&gt;"), "{list}");
}

#[tokio::test]
async fn categories_are_estimated_and_the_newest_come_first() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar,
               CASE WHEN n % 10 = 0 THEN 'small-' ELSE 'big-' END || n % 7, 'T', '{}')
             FROM generate_series(1, 30000) n;
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'latest-1', 'T', '{}')",
        )
        .await
        .unwrap();
    session.run("ANALYZE message_store.messages").await.unwrap();
    let dashboard = Dashboard::open(&database);
    let page = dashboard.page("/admin/categories");
    let biggest = page.split_once("Biggest categories").unwrap().1;
    let first = biggest
        .split("href=\"/admin/browse?source=")
        .nth(1)
        .unwrap();
    assert!(first.starts_with("big\""), "{first}");
    let number = first
        .split("class=\"number\">")
        .nth(1)
        .unwrap_or_else(|| panic!("{first}"));
    let number = number.split('<').next().unwrap().replace(',', "");
    let about: i64 = number.parse().unwrap();
    assert!((20_000..=30_001).contains(&about), "{about} of 27,000");
    let newest = page.split_once("Newest streams").unwrap().1;
    let first = newest.split("href=\"/admin/browse?source=").nth(1).unwrap();
    assert!(first.starts_with("latest-1\""), "{first}");
}

#[tokio::test]
async fn a_chain_of_thousands_is_drawn_to_a_depth() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'chain-1', 'T', '{}',
               jsonb_build_object('causationMessageGlobalPosition', n - 1))
             FROM generate_series(1, 3000) n",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let first = dashboard.page("/admin/messages/1");
    assert!(first.contains("What came of 26"), "{first}");
    let last = dashboard.page("/admin/messages/3000");
    assert!(last.contains("There are more before"), "{last}");
}

#[tokio::test]
async fn correlated_messages_lead_to_each_other() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let correlated = r#"{"correlationStreamName": "orders-1"}"#;
    let first = write(&session, "payments-1", "Charged", correlated).await;
    write(&session, "payments-2", "Charged", "{}").await;
    let third = write(&session, "payments-3", "Refunded", correlated).await;
    let dashboard = Dashboard::open(&database);
    let page = dashboard.page(&format!("/admin/messages/{first}"));
    assert!(link_of(&page, "orders-1").is_some(), "{page}");
    let others = link_of(&page, "correlated messages of this category").unwrap();
    assert_eq!(listed(&dashboard.page(&others)), [third, first]);
    // No message is in the stream itself: the workflow is what names it.
    let fourth = write(&session, "letters-1", "Sent", correlated).await;
    let workflow = link_of(&page, "the whole workflow, from here").unwrap();
    assert_eq!(listed(&dashboard.page(&workflow)), [fourth, third, first]);
}

#[tokio::test]
async fn messages_are_found_by_any_key_of_their_metadata_with_and_without_an_index() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-' || n, 'T', '{}',
               jsonb_build_object('traceId', 't' || n, 'it''s', n))
             FROM generate_series(1, 10500) n",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let found = dashboard.search("traceId=t7").unwrap();
    let page = dashboard.page(&found);
    assert_eq!(listed(&page), [0; 0]);
    let further = dashboard.page(&link_of(&page, "Continue").unwrap());
    assert_eq!(listed(&further), [7]);
    assert_eq!(dashboard.search("t7"), None, "an old one takes an index");
    let newest = dashboard.search("t10499").unwrap();
    assert_eq!(listed(&dashboard.page(&newest)), [10_499]);
    let odd = dashboard.search("it's=10499").unwrap();
    assert_eq!(listed(&dashboard.page(&odd)), [10_499]);

    session
        .run("CREATE INDEX ON message_store.messages ((metadata ->> 'traceId')); ANALYZE message_store.messages")
        .await
        .unwrap();
    let page = dashboard.page(&found);
    assert_eq!(listed(&page), [7]);
    assert!(
        page.contains("Looked at 1 messages: all there are"),
        "{page}"
    );
    assert_eq!(dashboard.search("t7"), Some(found));
}

#[tokio::test]
async fn streams_are_found_by_how_they_begin_and_subscriptions_by_their_id() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar,
               CASE WHEN n < 600 THEN 'order-a' || n ELSE 'order-b' || n END, 'T', '{}')
             FROM generate_series(1, 610) n",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open(&database);
    let found = dashboard.search("order-b").unwrap();
    assert_eq!(found, "/admin/streams?prefix=order-b");
    assert_eq!(dashboard.page(&found).matches("source=order-b").count(), 11);
    let first = dashboard.page(&dashboard.search("order-a").unwrap());
    assert_eq!(first.matches("source=order-a").count(), 500);
    let rest = dashboard.page(&link_of(&first, "Continue").unwrap());
    assert_eq!(rest.matches("source=order-a").count(), 99);
    // The first sample is taken when it has opened.
    let own = loop {
        if let Some(found) = dashboard.search("aggregators:home-page") {
            break found;
        }
    };
    assert_eq!(own, "/admin/subscription?id=aggregators%3Ahome-page");
}

#[tokio::test]
async fn a_tree_that_stopped_at_its_bound_says_so_and_goes_on() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    let first = write(&session, "orders-1", "Placed", "{}").await;
    session
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'others-1', 'T', '{}')
             FROM generate_series(1, 4000) n",
        )
        .await
        .unwrap();
    let because = format!(r#"{{"causationMessageGlobalPosition": {first}}}"#);
    let late = write(&session, "letters-1", "Sent", &because).await;
    let dashboard = Dashboard::open(&database);
    let link = format!("href=\"/admin/messages/{late}\"");
    let page = dashboard.page(&format!("/admin/messages/{first}"));
    assert!(
        !page.contains(&link) && page.contains("The log goes on"),
        "{page}"
    );
    let further = dashboard.page(&link_of(&page, "look further").unwrap());
    assert!(
        further.contains(&link) && further.contains("The log ends there"),
        "{further}"
    );
}

/// Pages that look at a list of messages that is as long as they may.
const FAR_LOOKING: [&str; 3] = [
    "/admin/browse?source=a&type=Nothing",
    "/admin/browse?key=traceId&value=none",
    "/admin/browse?type=Nothing&above=0",
];
/// What such a list looks at, and what any other page does at most.
const LOOKED_AT: i64 = 10_000;
const FEW: i64 = 3_000;

#[tokio::test]
async fn a_role_that_may_only_look_sees_every_page_and_none_goes_through_the_whole_log() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "DO $$ BEGIN CREATE ROLE onlooker LOGIN IN ROLE message_store_viewer;
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
             SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'a-' || n % 100,
               'T', '{}')) FROM generate_series(1, 60000) n;
             ANALYZE message_store.messages",
        )
        .await
        .unwrap();
    let dashboard = Dashboard::open_as(&database, "onlooker", "");
    let others = [
        "/admin",
        "/admin/subscriptions",
        "/admin/parked",
        "/admin/categories",
        "/admin/browse",
        "/admin/browse?source=a",
        "/admin/browse?source=a&at=30000",
        "/admin/browse?source=a&above=30000",
        "/admin/browse?source=a-7",
        "/admin/messages/30000",
        "/admin/read-models",
        "/admin/streams?prefix=a",
    ];
    let flushed = "SELECT pg_stat_force_next_flush()";
    // A sample of the log is no scan of it.
    let scans =
        "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'message_store.messages'::regclass";
    let fetched = scans.replace("seq_scan", "idx_tup_fetch");
    session.run(flushed).await.unwrap();
    let before = (session.bigint(scans).await, session.bigint(&fetched).await);
    for path in FAR_LOOKING.iter().chain(&others) {
        dashboard.page(path);
    }
    assert!(dashboard.search("a-7").is_some());
    let categories = dashboard.page("/admin/categories");
    for part in [
        "Sizes are estimates from a sample",
        "Rate, about",
        "/s</td>",
    ] {
        assert!(categories.contains(part), "no {part}: {categories}");
    }
    // A session tells what it has read when it ends, if not before.
    dashboard.running.stop();
    let ended = "SELECT count(*) = 0 FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'orchestrator'";
    session.wait_until(ended).await;
    assert_eq!(session.bigint(scans).await, before.0, "scanned as a whole");
    let fetched = session.bigint(&fetched).await - before.1;
    let most = LOOKED_AT * i64::try_from(FAR_LOOKING.len()).unwrap()
        + FEW * i64::try_from(others.len()).unwrap();
    assert!(fetched > LOOKED_AT && fetched < most, "{fetched} messages");
}
