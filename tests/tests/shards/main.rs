//! Promise: several stores behind a router are one: a message lives where its entity does, answers and errors
//! are those of a store, who reads all shards skips nothing, and nothing is ever done by half.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

mod between;
mod disasters;
mod forwarding;
mod growing;
mod losing;
mod orchestrating;
mod page;
mod straight;
mod stress;
mod subscriptions;
mod wrong_ways;

use std::collections::{BTreeMap, BTreeSet};

use promises::{Cluster, Database, Random, Rows, Session, Shards, SqlError, StopMode};

fn write(stream: &str) -> String {
    format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream}', 'T', '{{}}')"
    )
}

async fn positions(session: &Session, sql: &str) -> Vec<i64> {
    let rows = session.run(sql).await.unwrap();
    rows.iter()
        .map(|row| row[0].as_deref().unwrap().parse().unwrap())
        .collect()
}

const MERGED: &str = "SELECT global_position FROM message_store.get_category_messages('shelf')";

#[tokio::test]
async fn an_entity_is_on_one_shard_and_positions_are_unique_over_all() {
    let shards = Cluster::shared().create_shards(3).await;
    let client = shards.client().await;
    for id in 0..60 {
        for stream in [
            format!("shelf-{id}"),
            format!("shelf:command-{id}"),
            format!("shelf-{id}+again"),
        ] {
            client.run(&write(&stream)).await.unwrap();
        }
    }
    client.run(&write("shelf")).await.unwrap();
    let mut entities: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (number, shard) in shards.sessions().await.iter().enumerate() {
        let rows = "SELECT coalesce(message_store.cardinal_id(stream_name::varchar), ''), global_position \
                    FROM message_store.messages";
        for row in shard.run(rows).await.unwrap() {
            let position: i64 = row[1].as_deref().unwrap().parse().unwrap();
            assert_eq!(position % 1_024, number as i64);
            assert!(seen.insert(position), "{position} is there twice");
            entities
                .entry(row[0].clone().unwrap())
                .or_default()
                .insert(number);
        }
    }
    assert_eq!(seen.len(), 181);
    assert!(entities.values().all(|shards| shards.len() == 1));
    assert_eq!(entities[""], BTreeSet::from([0]));
    let used: BTreeSet<_> = entities.values().flatten().collect();
    assert_eq!(used.len(), 3);
}

#[tokio::test]
async fn a_router_declares_its_functions_as_a_store_does() {
    let declared = async |database: &Database<'_>| {
        let rows = database
            .connect()
            .await
            .run(
                "SELECT format('%s(%s) %s', proname, pg_get_function_arguments(oid), pg_get_function_result(oid))
                   FROM pg_proc WHERE pronamespace = 'message_store'::regnamespace",
            )
            .await
            .unwrap();
        rows.into_iter()
            .filter_map(|row| row.into_iter().next().flatten())
            .collect::<BTreeSet<String>>()
    };
    let of_router = declared(&Cluster::shared().create_router().await).await;
    let of_store = declared(&Cluster::shared().create_store().await).await;
    let own: Vec<_> = of_router.difference(&of_store).collect();
    assert!(of_router.len() > 20, "{}", of_router.len());
    // It has the epochs of all shards, and not one.
    assert!(
        matches!(own[..], [check, epoch, shards] if check.starts_with("check_position(epoch character varying")
            && epoch == "epoch() character varying" && shards.starts_with("use_shards(")),
        "{own:#?}"
    );
}

/// What a router and a store answered, without what cannot be the same.
fn comparable(answer: Result<Rows, SqlError>) -> Result<Rows, [String; 4]> {
    answer.map_err(|error| [error.sqlstate, error.message, error.detail, error.hint])
}

#[tokio::test]
async fn a_router_answers_as_a_store_does() {
    let shards = Cluster::shared().create_shards(4).await;
    let store = Cluster::shared().create_store().await;
    let (routed, whole) = (
        shards.client().await,
        store.connect_as("message_store").await,
    );
    let mut random = Random(4_711);
    let names: Vec<String> = (0..30)
        .flat_map(|id| {
            [
                format!("account-{id}"),
                format!("account:command-{id}"),
                format!("account-{id}+b"),
            ]
        })
        .chain([
            "account".to_owned(),
            "account-".to_owned(),
            "account-ü-ö".to_owned(),
        ])
        .collect();
    let mut refused = 0;
    for number in 0..400 {
        let name = &names[random.below(names.len() as i64) as usize];
        let expected = match random.below(10) {
            0 => "99",
            _ => "NULL",
        };
        let metadata = match random.below(3) {
            0 => "'{\"correlationStreamName\": \"caller-1\"}'",
            _ => "NULL",
        };
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let sql = format!(
            "SELECT message_store.write_message('{id}', '{name}', 'T', '{{\"n\": {number}}}', {metadata}, {expected})"
        );
        let (one, other) = (
            comparable(routed.run(&sql).await),
            comparable(whole.run(&sql).await),
        );
        assert_eq!(one, other, "{sql}");
        refused += usize::from(one.is_err());
    }
    assert!(refused > 10, "{refused}");

    // Streams: everything but global positions and times.
    let columns = "id, stream_name, type, position, data, metadata";
    for name in names.iter().chain(&["nobody-1".to_owned()]) {
        for sql in [
            format!("SELECT {columns} FROM message_store.get_stream_messages('{name}')"),
            format!("SELECT {columns} FROM message_store.get_stream_messages('{name}', 2, 2)"),
            format!("SELECT {columns} FROM message_store.get_last_stream_message('{name}')"),
            format!("SELECT {columns} FROM message_store.get_last_stream_message('{name}', 'X')"),
            format!("SELECT message_store.stream_version('{name}')"),
        ] {
            let (one, other) = (
                comparable(routed.run(&sql).await),
                comparable(whole.run(&sql).await),
            );
            assert_eq!(one, other, "{sql}");
        }
    }

    // Groups: row for row where the size is a multiple of the number of shards; else the same rows, and
    // in each stream in the same order.
    for size in 1..=8 {
        for member in 0..size {
            for correlation in ["NULL", "'caller'"] {
                let sql = format!(
                    "SELECT {columns} FROM message_store.get_category_messages('account', 1, -1, {correlation}, \
                     {member}, {size})"
                );
                let (mut one, mut other) = (
                    routed.run(&sql).await.unwrap(),
                    whole.run(&sql).await.unwrap(),
                );
                if size % 4 != 0 {
                    one.sort_by(|a, b| {
                        (&a[1], a[3].as_ref().map(String::len), &a[3]).cmp(&(
                            &b[1],
                            b[3].as_ref().map(String::len),
                            &b[3],
                        ))
                    });
                    other.sort_by(|a, b| {
                        (&a[1], a[3].as_ref().map(String::len), &a[3]).cmp(&(
                            &b[1],
                            b[3].as_ref().map(String::len),
                            &b[3],
                        ))
                    });
                }
                assert_eq!(one, other, "{sql}");
            }
        }
    }

    // Without a group in one order, whatever the size of a page.
    let all = "SELECT global_position FROM message_store.get_category_messages('account', 1, -1)";
    let all = positions(&routed, all).await;
    assert!(all.is_sorted());
    let mut paged = Vec::new();
    let mut from = 1;
    loop {
        let page = format!(
            "SELECT global_position FROM message_store.get_category_messages('account', {from}, 7)"
        );
        let page = positions(&routed, &page).await;
        let Some(last) = page.last() else { break };
        from = last + 1;
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let every = "SELECT count(*) FROM message_store.get_all_messages(1, -1)";
    assert_eq!(routed.bigint(every).await, whole.bigint(every).await);

    for sql in [
        "get_category_messages('account-1')",
        "get_category_messages(NULL)",
        "get_category_messages('account', batch_size => -2)",
        "get_category_messages('account', correlation => 'a-1')",
        "get_category_messages('account', consumer_group_member => 1)",
        "get_category_messages('account', consumer_group_member => 2, consumer_group_size => 2)",
        "get_category_messages('account', consumer_group_member => -1, consumer_group_size => 2)",
        "get_category_messages('account', consumer_group_member => 0, consumer_group_size => 0)",
        "get_category_messages('account', consumer_group_member => 0, consumer_group_size => 40000)",
        "get_stream_messages('account')",
        "get_stream_messages(NULL)",
        "get_stream_messages('account-1', batch_size => -2)",
        "get_last_stream_message(NULL)",
        "stream_version(NULL)",
        "write_message('no uuid', 'account-1', 'T', '{}')",
        "write_message(gen_random_uuid()::varchar, 'account-1', '', '{}')",
        "write_messages('account-1', '[]')",
        "write_messages('account-1', '[{\"type\": 7}]'::jsonb)",
        "message_store_version()",
    ] {
        let sql = format!("SELECT * FROM message_store.{sql}");
        let (one, other) = (
            comparable(routed.run(&sql).await),
            comparable(whole.run(&sql).await),
        );
        assert_eq!(one, other, "{sql}");
    }
    // Its detail shows the row, with a random id and the time.
    let no_stream =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, NULL, 'T', '{}')";
    let (one, other) = (routed.error(no_stream).await, whole.error(no_stream).await);
    assert_eq!((one.sqlstate, one.message), (other.sqlstate, other.message));
    assert!(one.detail.starts_with("Failing row"), "{}", one.detail);
}

/// Also where it looks like what PL/Proxy puts before it.
#[tokio::test]
async fn what_a_shard_refuses_is_told_in_its_words() {
    let shards = Cluster::shared().create_shards(2).await;
    let client = shards.client().await;
    let stream = shards.stream_on(1, "shelf", 0).await;
    let session = shards.shards[1].connect().await;
    for (message, detail, hint) in [
        ("vetoed", "", ""),
        ("vetoed", "because", "ask"),
        (
            "f(1): [db] REMOTE ERROR: Größe: 7",
            "Remote detail: x",
            "Remote hint: y",
        ),
        ("PL/Proxy function f(1): [db] is gone", "", "PL/Proxy"),
        (": ] REMOTE : ", "two\nlines", ": "),
    ] {
        session
            .run(&format!(
                "CREATE OR REPLACE FUNCTION public.veto() RETURNS trigger LANGUAGE plpgsql AS $$
                   BEGIN RAISE EXCEPTION USING ERRCODE = 'ZZ002', MESSAGE = '{message}',
                     DETAIL = '{detail}', HINT = '{hint}'; END $$;
                 CREATE OR REPLACE TRIGGER veto BEFORE INSERT ON message_store.messages
                   FOR EACH ROW EXECUTE FUNCTION public.veto()"
            ))
            .await
            .unwrap();
        let told = comparable(client.run(&write(&stream)).await);
        let expected = ["ZZ002", message, detail, hint].map(str::to_owned);
        assert_eq!(told, Err(expected));
    }
    session
        .run("DROP TRIGGER veto ON message_store.messages")
        .await
        .unwrap();
    // After an error it goes on, and one call does not take another's answer.
    client.run(&write(&stream)).await.unwrap();
    client.run(&write(&stream)).await.unwrap();
    let both = format!(
        "SELECT message_store.stream_version('{stream}'), (message_store.get_stream_messages('{stream}')).position"
    );
    let rows = client.run(&both).await.unwrap();
    assert_eq!(
        rows,
        [["1", "0"], ["1", "1"]].map(|row| row.map(|value| Some(value.to_owned())).to_vec())
    );
}

/// PL/Proxy takes it for a cancellation of its own, and would wait for ever.
#[tokio::test]
async fn what_is_cancelled_on_a_shard_is_an_error_like_any_other() {
    let shards = Cluster::shared().create_shards(2).await;
    let mut holders = Vec::new();
    for shard in &shards.shards {
        let holder = shard.connect().await;
        holder
            .run(
                "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE plpgsql AS $$
                   BEGIN PERFORM pg_advisory_xact_lock(7);
                   RAISE EXCEPTION 'vetoed' USING ERRCODE = '57014', HINT = 'ask'; END $$;
                 SELECT pg_advisory_lock(7)",
            )
            .await
            .unwrap();
        holders.push(holder);
    }
    let admin = shards.router.connect().await;
    admin
        .run(
            "CREATE FUNCTION public.on_all() RETURNS SETOF bigint LANGUAGE message_store_router AS
               $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT public.f(); $$;
             CREATE FUNCTION public.on_one() RETURNS bigint LANGUAGE message_store_router AS
               $$ CLUSTER 'message_store_shards'; RUN ON 0; SELECT public.f(); $$;
             SET statement_timeout = '20s'",
        )
        .await
        .unwrap();
    let vetoed = ["57014", "vetoed", "", "ask"].map(str::to_owned);
    let asking = tokio::spawn(async move {
        let told = comparable(admin.run("SELECT public.on_all()").await);
        (told, admin)
    });
    for holder in &holders {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database d ON d.oid = database
                      WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted)";
        holder.wait_until(waits).await;
    }
    holders[0]
        .run("SELECT pg_advisory_unlock(7)")
        .await
        .unwrap();
    let (told, admin) = asking.await.unwrap();
    assert_eq!(told, Err(vetoed.clone()));
    drop(holders);
    // It would where the error and what follows it arrive together.
    for _ in 0..50 {
        let told = comparable(admin.run("SELECT public.on_one()").await);
        assert_eq!(told, Err(vetoed.clone()));
    }
    let every = "SELECT count(*) FROM message_store.get_all_messages()";
    assert_eq!(admin.bigint(every).await, 0);
    // What is cancelled here goes on being so.
    let holder = shards.shards[0].connect().await;
    holder.run("SELECT pg_advisory_lock(7)").await.unwrap();
    admin.run("SET statement_timeout = '100ms'").await.unwrap();
    let cancelled = admin.error("SELECT public.on_one()").await;
    assert_eq!(cancelled.sqlstate, "57014");
    assert!(cancelled.message.starts_with("canceling"), "{cancelled:?}");
}

#[tokio::test]
async fn functions_in_the_language_of_a_router_are_checked_and_a_superusers() {
    let shards = Cluster::shared().create_shards(1).await;
    let admin = shards.router.connect().await;
    // What the catalog says of its handler is nothing to PL/Proxy.
    admin
        .run("ALTER FUNCTION public.plproxy_call_handler() SET search_path = ''")
        .await
        .unwrap();
    let function = |body: &str| {
        format!(
            "CREATE FUNCTION public.f() RETURNS SETOF bigint LANGUAGE message_store_router AS $$ {body} $$"
        )
    };
    let all = "CLUSTER 'message_store_shards'; RUN ON ALL; SELECT 7::bigint;";
    let refusal = admin.error(&function("RUN ON NOTHING AT ALL")).await;
    assert!(refusal.message.contains("f(0)"), "{refusal:?}");
    admin.run(&function(all)).await.unwrap();
    assert_eq!(admin.bigint("SELECT public.f()").await, 7);
    let client = shards.client().await;
    assert_eq!(client.error(&function(all)).await.sqlstate, "42501");
    for own in ["ask_shards()", "check_function(1)"] {
        let refusal = client
            .error(&format!("SELECT message_store_router.{own}"))
            .await;
        assert_eq!(refusal.sqlstate, "42501", "{own}");
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_gets_no_router() {
    let cluster = Cluster::shared();
    let admin = cluster.connect("postgres", "postgres").await;
    admin
        .run("CREATE DATABASE router_in_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        .await
        .unwrap();
    let session = cluster.connect("router_in_latin1", "postgres").await;
    session
        .run("CREATE EXTENSION message_store_router CASCADE")
        .await
        .unwrap();
    let refusal = session
        .error("SELECT message_store.use_shards('{host=a}')")
        .await;
    assert_eq!(refusal.sqlstate, "0A000", "{refusal:?}");
    assert!(refusal.message.contains("LATIN1"), "{refusal:?}");
    assert!(refusal.hint.contains("ENCODING 'UTF8'"), "{refusal:?}");
}

#[tokio::test]
async fn what_could_be_done_by_half_is_refused() {
    let shards = Cluster::shared().create_shards(2).await;
    let client = shards.client().await;
    let (one, other) = (
        shards.stream_on(0, "shelf", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    let messages = |streams: &[&str]| {
        let rows: Vec<String> = streams
            .iter()
            .map(|stream| {
                format!("ROW('{stream}', 'T', '{{}}', NULL, NULL, NULL)::message_store.new_message")
            })
            .collect();
        format!(
            "SELECT * FROM message_store.write_messages(ARRAY[{}])",
            rows.join(", ")
        )
    };
    // In a block nothing is written; the other calls go on.
    for write in [
        write(&one),
        messages(&[&one]),
        format!("SELECT message_store.write_messages('{one}', '[{{\"type\": \"T\"}}]')"),
    ] {
        client.run("BEGIN").await.unwrap();
        client.run(MERGED).await.unwrap();
        let refusal = client.error(&write).await;
        assert_eq!(refusal.sqlstate, "0A000", "{write}");
        assert!(
            refusal.hint.contains("write_messages()"),
            "{}",
            refusal.hint
        );
        client.run("ROLLBACK").await.unwrap();
    }
    let refusal = client.error(&messages(&[&one, &other])).await;
    assert_eq!(refusal.sqlstate, "0A000");
    assert!(
        refusal.message.contains("several shards"),
        "{}",
        refusal.message
    );
    client.run("BEGIN READ ONLY").await.unwrap();
    assert_eq!(client.error(&write(&one)).await.sqlstate, "25006");
    client.run("ROLLBACK").await.unwrap();
    assert_eq!(positions(&client, MERGED).await, Vec::<i64>::new());

    // A batch on one shard is written whole, or not.
    let again = format!("{one}+again");
    assert_eq!(
        client
            .run(&messages(&[&one, &again, &one]))
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(positions(&client, MERGED).await.len(), 3);

    // The second write of a statement is refused: the first is committed, and that is said.
    let two = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, s, 'T', '{{}}') FROM unnest(ARRAY['{one}', '{other}']) s"
    );
    let refusal = client.error(&two).await;
    assert_eq!(refusal.sqlstate, "0A000");
    assert!(refusal.detail.contains("committed"), "{}", refusal.detail);
    assert_eq!(positions(&client, MERGED).await.len(), 4);

    // Who knows what that means may write in blocks.
    client
        .run("SET message_store_router.commit_each_write = on")
        .await
        .unwrap();
    client.run("BEGIN").await.unwrap();
    client.run(&write(&one)).await.unwrap();
    client.run(&write(&other)).await.unwrap();
    client.run("ROLLBACK").await.unwrap();
    assert_eq!(positions(&client, MERGED).await.len(), 6);
}

#[tokio::test]
async fn nothing_is_given_out_that_another_shard_may_still_come_before() {
    let shards = Cluster::shared().create_shards(2).await;
    let sessions = shards.sessions().await;
    let (one, other) = (
        shards.stream_on(0, "shelf", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    let client = shards.client().await;
    sessions[0].run("BEGIN").await.unwrap();
    sessions[0].run(&write(&one)).await.unwrap();
    // This one has a higher position, and is committed first.
    let advanced = sessions[0]
        .bigint("SELECT last_value FROM message_store.messages_global_position_seq")
        .await;
    sessions[1]
        .bigint(&format!(
            "SELECT message_store.advance_position({advanced})"
        ))
        .await;
    client.run(&write(&other)).await.unwrap();
    assert_eq!(positions(&client, MERGED).await, Vec::<i64>::new());
    let group = "SELECT global_position FROM message_store.get_category_messages('shelf', \
                 consumer_group_member => 1, consumer_group_size => 2)";
    assert_eq!(
        positions(&client, group).await.len(),
        1,
        "one shard alone waits for nobody else"
    );
    sessions[0].run("COMMIT").await.unwrap();
    let read = positions(&client, MERGED).await;
    assert_eq!(read.len(), 2);
    assert_eq!((read[0] % 1_024, read[1] % 1_024), (0, 1));
}

#[tokio::test]
async fn a_shard_where_nothing_is_written_holds_nobody_back() {
    let shards = Cluster::shared().create_shards(4).await;
    let client = shards.client().await;
    let stream = shards.stream_on(2, "shelf", 0).await;
    for number in 1..=50 {
        client.run(&write(&stream)).await.unwrap();
        assert_eq!(positions(&client, MERGED).await.len(), number);
    }
    // Only asking advances nobody.
    let drawn = "SELECT message_store.advance_position(0)";
    let before = shards.sessions().await[2].bigint(drawn).await;
    for _ in 0..5 {
        client.run(MERGED).await.unwrap();
    }
    assert_eq!(shards.sessions().await[2].bigint(drawn).await, before);
}

#[tokio::test]
async fn a_crash_takes_back_nothing_that_a_reader_relied_on() {
    let cluster = Cluster::start(&[("wal_writer_delay", "10s"), ("synchronous_commit", "on")]);
    let idle_cluster = Cluster::start(&[("wal_writer_delay", "10s")]);
    let (busy, idle) = (
        cluster.create_store().await,
        idle_cluster.create_store().await,
    );
    let router = cluster.create_router().await;
    let shards = Shards {
        shards: vec![busy, idle],
        router,
    };
    shards.agree_on_map(1).await;
    let client = shards.client().await;
    let (one, other) = (
        shards.stream_on(0, "shelf", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    client.run(&write(&other)).await.unwrap();
    for _ in 0..100 {
        client.run(&write(&one)).await.unwrap();
    }
    let read = positions(&client, MERGED).await;
    assert_eq!(read.len(), 101);
    idle_cluster.restart(StopMode::Immediate);
    let client = shards.client().await;
    client.run(&write(&other)).await.unwrap();
    let after = positions(&client, MERGED).await;
    assert_eq!(after[..101], read[..]);
    assert_eq!(after.len(), 102, "what came last was skipped: {after:?}");
}

#[tokio::test]
async fn a_page_is_full_although_one_shard_has_nearly_all_of_it() {
    let shards = Cluster::shared().create_shards(3).await;
    let client = shards.client().await;
    let (most, few) = (
        shards.stream_on(2, "shelf", 0).await,
        shards.stream_on(0, "shelf", 0).await,
    );
    for number in 0..500 {
        let stream = if number % 50 == 7 { &few } else { &most };
        client.run(&write(stream)).await.unwrap();
    }
    let all = positions(&client, crate::MERGED).await;
    assert_eq!(all.len(), 500);
    assert!(all.is_sorted());
    for size in [1, 7, 99, 100, 101, 250, 499, 500, 501, i64::MAX as usize] {
        let mut read = Vec::new();
        loop {
            let from = read.last().map_or(1, |last| last + 1);
            let page = format!(
                "SELECT global_position FROM message_store.get_category_messages('shelf', {from}, {size})"
            );
            let page = positions(&client, &page).await;
            assert!(
                page.len() == size || read.len() + page.len() == 500,
                "{size}"
            );
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        assert_eq!(read, all, "{size}");
    }
}

#[tokio::test]
async fn the_first_position_of_a_shard_is_not_passed_before_it_is_drawn() {
    let shards = Cluster::shared().create_shards(3).await;
    for (number, shard) in shards.sessions().await.iter().enumerate() {
        let stream = shards.stream_on(number, "shelf", 0).await;
        for beginning in ["", "TRUNCATE message_store.messages RESTART IDENTITY"] {
            shard.run(beginning).await.unwrap();
            // As told by a reader that looked at the others before they drew anything.
            let settled = "SELECT global_position FROM \
                message_store.get_settled_messages(NULL, 1, 0, NULL, NULL, NULL, 0, 1)";
            for _ in 0..3 {
                let settled = shard.bigint(settled).await;
                shard.run(&write(&stream)).await.unwrap();
                let drawn = shard
                    .bigint("SELECT message_store.advance_position(0)")
                    .await;
                assert!(
                    settled < drawn,
                    "{settled} is settled, and {drawn} was drawn then"
                );
                assert!(drawn - settled <= 1_024);
            }
        }
    }
}

#[tokio::test]
async fn what_was_left_out_stays_so_through_a_crash_whatever_nextval_has_logged() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let session = store.connect().await;
    session
        .run("SELECT message_store.become_shard(1, 2, 1)")
        .await
        .unwrap();
    let stream = "SELECT 'shelf-' || n FROM generate_series(1, 100) n WHERE message_store.shard_of('shelf-' || n, 2) = 1 LIMIT 1";
    let stream = session.value(stream).await.unwrap();
    // nextval logs a value 32 steps further than the one that it leaves in the page: two bytes of it change,
    // and of these one more by what is left out.
    session
        .bigint("SELECT message_store.advance_position(63489)")
        .await;
    session.run(&write(&stream)).await.unwrap();
    let left_out = session
        .bigint("SELECT message_store.advance_position(195585)")
        .await;
    assert_eq!(left_out, 195_585);
    session
        .run(
            "SELECT message_store.get_settled_messages('shelf', 1, 0, NULL, NULL, NULL, 195585, 1)",
        )
        .await
        .unwrap();
    cluster.restart(StopMode::Immediate);
    let session = store.connect().await;
    assert_eq!(
        session
            .bigint("SELECT message_store.advance_position(0)")
            .await,
        left_out
    );
}

#[tokio::test]
async fn who_has_an_old_map_is_told_and_what_moved_is_read_where_it_went() {
    let shards = Cluster::shared().create_shards(1).await;
    let stay = "SELECT name FROM (SELECT 'shelf-' || n AS name FROM generate_series(1, 100) n) s \
                WHERE message_store.shard_of(name, 2) = ";
    let client = shards.client().await;
    let stays = client.value(&format!("{stay} 0 LIMIT 1")).await.unwrap();
    let moves = client.value(&format!("{stay} 1 LIMIT 1")).await.unwrap();
    for stream in [&stays, &moves, &stays, &moves] {
        client.run(&write(stream)).await.unwrap();
    }
    let before = positions(&client, MERGED).await;
    assert_eq!(before.len(), 4);
    client
        .run("SELECT message_store.create_subscription('reader', 'shelf', '{}')")
        .await
        .unwrap();

    // A copy becomes the second shard. Writers in flight are waited for.
    let first = &shards.shards[0];
    let session = first.connect().await;
    let writer = first.connect().await;
    writer.run("BEGIN").await.unwrap();
    writer.run(&write(&moves)).await.unwrap();
    session.run("SET lock_timeout = '50ms'").await.unwrap();
    let grow = "SELECT message_store.become_shard(0, 2, 2)";
    assert_eq!(session.error(grow).await.sqlstate, "55P03");
    assert_eq!(positions(&client, MERGED).await, before, "readers go on");
    writer.run("COMMIT").await.unwrap();
    drop((writer, client));
    session.run("RESET lock_timeout").await.unwrap();
    session.run(grow).await.unwrap();
    let drawn = session
        .bigint("SELECT message_store.advance_position(0)")
        .await;

    // Said again it is no change.
    let since = "SELECT since::text FROM message_store.shard";
    let before_again = session.value(since).await;
    session.run(grow).await.unwrap();
    assert_eq!(session.value(since).await, before_again);

    // The router has the old map.
    let client = shards.client().await;
    let refusal = client.error(MERGED).await;
    assert_eq!(refusal.sqlstate, "40001");
    assert!(
        refusal.message.contains("map of shards has changed"),
        "{}",
        refusal.message
    );
    let refusal = client.error(&write(&moves)).await;
    assert_eq!(refusal.sqlstate, "40001");
    assert!(
        refusal.message.contains("lives on shard 1"),
        "{}",
        refusal.message
    );
    for read in [
        "get_stream_messages",
        "get_last_stream_message",
        "stream_version",
    ] {
        let refusal = client
            .error(&format!("SELECT message_store.{read}('{moves}')"))
            .await;
        assert_eq!(refusal.sqlstate, "40001", "{read}");
    }
    // Nor does it say of two shards what is to be done on all.
    for call in [
        "create_subscription('second', 'shelf', '{}')",
        "alter_subscription('reader', options => '{}')",
        "start('reader')",
        "stop('reader')",
        "pause('reader')",
        "wait_for('reader', 1, '0')",
        "drop_subscription('reader')",
    ] {
        let refusal = client.error(&format!("SELECT message_store.{call}")).await;
        assert_eq!(refusal.sqlstate, "40001", "{call}: {}", refusal.message);
    }
    client.run(&write(&stays)).await.unwrap();
    // The half that is no longer its own is there, and nobody sees it.
    let own = "SELECT count(*) FROM message_store.get_category_messages('shelf')";
    assert_eq!(session.bigint(own).await, 3);
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.get_all_messages()")
            .await,
        3
    );
    assert_eq!(
        session
            .bigint("SELECT count(*) FROM message_store.messages")
            .await,
        6
    );
    drop((session, client));

    let router = Cluster::shared().create_router().await;
    let second = copy_of(first).await;
    let become_second = format!("SELECT message_store.become_shard(1, 2, 2, above => {drawn})");
    second.connect().await.run(&become_second).await.unwrap();
    let grown = Shards {
        shards: vec![
            Cluster::shared().create_database_like(&first.name).await,
            second,
        ],
        router,
    };
    grown.tell_router(2).await;
    let client = grown.client().await;
    client.run(&write(&moves)).await.unwrap();
    client.run(&write(&stays)).await.unwrap();
    let after = positions(&client, MERGED).await;
    assert_eq!(after[..4], before[..]);
    assert_eq!(after.len(), 8);
    assert_eq!(
        client
            .bigint(&format!("SELECT message_store.stream_version('{moves}')"))
            .await,
        3
    );
    assert_eq!(
        client
            .bigint(&format!("SELECT message_store.stream_version('{stays}')"))
            .await,
        3
    );
}

/// As after a fail-over of one shard whose standby was behind for a day.
#[tokio::test]
async fn a_leap_of_one_shard_holds_back_nobody() {
    let shards = Cluster::shared().create_shards(3).await;
    let sessions = shards.sessions().await;
    sessions[0]
        .run("SELECT message_store.advance_position(10000000000000)")
        .await
        .unwrap();
    let client = shards.client().await;
    for shard in [1, 0] {
        let stream = shards.stream_on(shard, "shelf", 0).await;
        client.run(&write(&stream)).await.unwrap();
    }
    let found = positions(&client, MERGED).await;
    assert_eq!(found.len(), 2, "in one look");
    for shard in &sessions {
        let create = "SELECT message_store.create_subscription('reader', 'other', '{}')";
        shard.run(create).await.unwrap();
    }
    let waits = format!("SELECT message_store.wait_for('reader', {}, '0')", found[1]);
    assert_eq!(client.value(&waits).await.as_deref(), Some("t"));
}

/// What needs PL/Proxy has to be named where it is not there.
#[test]
fn what_needs_a_router_is_left_out_where_there_is_none() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let left_out = std::fs::read_to_string(here.join("../scripts/cargo-test")).unwrap();
    let mut found = 0;
    for file in std::fs::read_dir(here.join("tests/shards")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for test in text.split("\n#[tokio::test").skip(1) {
            let (_, test) = test.split_once("async fn ").unwrap();
            let (name, body) = test.split_once('(').unwrap();
            if ["create_shards(", "router", "servers.shards("]
                .iter()
                .any(|part| body.contains(part))
            {
                found += 1;
                assert!(
                    left_out.split_whitespace().any(|word| word == name),
                    "{name}"
                );
            }
        }
    }
    assert!(found > 30, "{found}");
}

/// A copy of a database, as a replica that was promoted would be.
async fn copy_of<'a>(database: &promises::Database<'a>) -> promises::Database<'a> {
    database.cluster.create_database_like(&database.name).await
}

#[tokio::test]
async fn what_cannot_be_a_shard_is_refused_with_the_argument() {
    let store = Cluster::shared().create_store().await;
    let session = store.connect().await;
    for (arguments, argument) in [
        ("0, 0, 1", "shards"),
        ("0, 1025, 1", "shards"),
        ("NULL, 1, 1", "number"),
        ("1, 1, 1", "number"),
        ("-1, 2, 1", "number"),
        ("0, 1, 0", "map"),
        ("0, 1, 1, '{}'", "addresses"),
        ("0, 1, 1, '{host=a,host=b}'", "addresses"),
        ("0, 1, 1, '{NULL}'", "addresses"),
        ("0, 1, 1, '{host=a password=b}'", "addresses"),
        ("0, 1, 1, '{postgresql://a/b}'", "addresses"),
    ] {
        let refusal = session
            .error(&format!("SELECT message_store.become_shard({arguments})"))
            .await;
        assert_eq!(refusal.sqlstate, "22023", "{arguments}");
        assert!(refusal.message.starts_with(argument), "{}", refusal.message);
    }
    session.run(&write("shelf-1")).await.unwrap();
    let refusal = session
        .error("SELECT message_store.become_shard(0, 2, 1)")
        .await;
    assert!(refusal.hint.contains("shard 0 of 1"), "{}", refusal.hint);
    session.run("BEGIN").await.unwrap();
    session.run(&write("shelf-1")).await.unwrap();
    let refusal = session
        .error("SELECT message_store.become_shard(0, 1, 1)")
        .await;
    assert_eq!(refusal.sqlstate, "25001");
    session.run("ROLLBACK").await.unwrap();
    let read =
        "SELECT * FROM message_store.get_settled_messages('shelf', 1, 10, NULL, NULL, NULL, 0, 1)";
    assert_eq!(session.error(read).await.sqlstate, "55000");
    let far = session
        .error("SELECT message_store.advance_position(9223372036854775807)")
        .await;
    assert_eq!(far.sqlstate, "22023");
    assert_eq!(
        session
            .bigint("SELECT message_store.advance_position(NULL)")
            .await,
        2
    );
}

#[tokio::test]
async fn a_router_that_knows_no_shards_says_so() {
    let router = Cluster::shared().create_router().await;
    let admin = router.connect().await;
    let refusal = admin.error(MERGED).await;
    assert_eq!(refusal.sqlstate, "55000");
    assert!(refusal.hint.contains("use_shards"), "{}", refusal.hint);
    for (addresses, map) in [
        ("'{}'", "1"),
        ("NULL", "1"),
        ("ARRAY[NULL]::text[]", "1"),
        ("'{host=a password=b}'", "1"),
        ("'{postgresql://a:b@c/d}'", "1"),
        ("'{host=a}'", "0"),
    ] {
        let refusal = admin
            .error(&format!(
                "SELECT message_store.use_shards({addresses}, {map})"
            ))
            .await;
        assert_eq!(refusal.sqlstate, "22023", "{addresses}, {map}");
    }
}

#[tokio::test]
async fn a_router_refuses_addresses_that_lead_to_others() {
    let shards = Cluster::shared().create_shards(2).await;
    let admin = shards.router.connect().await;
    let (one, other) = (shards.shards[0].address(), shards.shards[1].address());
    let store = Cluster::shared().create_store().await.address();
    for (addresses, wrong) in [
        (format!("'{other}', '{one}'"), "shard 0"),
        (format!("'{one}', '{one}'"), "shard 1"),
        (format!("'{one}'"), "shard 0"),
        (format!("'{one}', '{store}'"), "shard 1"),
    ] {
        let refusal = admin
            .error(&format!(
                "SELECT message_store.use_shards(ARRAY[{addresses}], 1)"
            ))
            .await;
        assert_eq!(refusal.sqlstate, "55000", "{refusal:?}");
        assert!(refusal.message.contains(wrong), "{refusal:?}");
    }
    // What it knew before it knows still.
    let client = shards.client().await;
    client.run(&write("shelf-1")).await.unwrap();
    assert_eq!(positions(&client, MERGED).await.len(), 1);
    // One that does not answer fails whoever reads all, and is named.
    admin
        .run(&format!(
            "SELECT message_store.use_shards(ARRAY['{one}', 'host=/nowhere dbname=none'], 1)"
        ))
        .await
        .unwrap();
    let told = admin.take_notices();
    assert!(
        told.iter()
            .any(|notice| notice.message.contains("shard 1 does not answer")),
        "{told:?}"
    );
    let gone = client.error(MERGED).await;
    assert_eq!(gone.sqlstate, "08006");
    assert!(gone.message.starts_with("[none] "), "{}", gone.message);
    assert!(gone.hint.contains("shard_status"), "{}", gone.hint);
    let status = "SELECT count(*) FILTER (WHERE error IS NULL), count(*) FILTER (WHERE error IS NOT NULL AND drawn IS NULL) \
                  FROM message_store.shard_status";
    let rows = admin.run(status).await.unwrap();
    assert_eq!(rows[0], [Some("1".into()), Some("1".into())]);
}
