//! One orchestrator that has the router's address delivers in every shard, and tells how each is.

use promises::{Cluster, Session, Shards, orchestrator, run_to_end};
use serde_json::Value;

use crate::{copy_of, write};

/// A table on each shard, and a handler that notes the stream of each message.
const READER: &str = "
    CREATE TABLE public.handled (stream text);
    GRANT INSERT ON public.handled TO message_store;
    CREATE FUNCTION public.handle(m message_store.message) RETURNS void LANGUAGE sql
      BEGIN ATOMIC INSERT INTO public.handled VALUES (m.stream_name); END";
const CONFIGURED: &str = "
    [[aggregators]]
    subscriber_id = 'aggregators:shelf'
    category = 'shelf'
    handlers = { '$any' = 'public.handle' }
    [metrics]
    listen = '127.0.0.1:0'
    ";

async fn write_all(client: &Session, ids: std::ops::Range<i64>) {
    for id in ids {
        client.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
}

/// Waits until each shard has handled what lives there, once.
async fn wait_until_handled(shards: &Shards<'_>) {
    for shard in shards.sessions().await {
        let all = format!(
            "SELECT (SELECT count(*) FROM message_store.messages
                      WHERE message_store.shard_of(stream_name::varchar, {count}) = s.number)
                  = (SELECT count(*) FROM public.handled
                      WHERE message_store.shard_of(stream::varchar, {count}) = s.number)
               FROM message_store.shard s",
            count = shards.shards.len()
        );
        shard.wait_until(&all).await;
    }
}

#[tokio::test]
async fn one_orchestrator_finds_the_shards_by_their_router() {
    let mut shards = Cluster::shared().create_shards(2).await;
    for shard in shards.sessions().await {
        shard.run(READER).await.unwrap();
    }
    let running = shards.router.deploy(CONFIGURED).start();
    running.wait_for_log("delivering in each of its 2 shards");
    let client = shards.client().await;
    write_all(&client, 0..40).await;
    wait_until_handled(&shards).await;

    // Each tells of itself.
    let listed = shards.router.command(&["status", "--json"]);
    let rows: Vec<Value> = serde_json::from_str(&listed.stdout).unwrap();
    let of_shards: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["shard"].as_i64().unwrap(),
                row["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(of_shards, [(0, "started"), (1, "started")]);
    let url = format!("{}/metrics", running.metrics());
    let told = promises::wait_for(
        || promises::get(&url).1,
        |text| text.contains("message_store_shard_up{shard=\"1\"} 1"),
    );
    assert!(told.contains("message_store_connected 1"), "{told}");
    let handled = "message_store_messages_handled_total{subscriber_id=\"aggregators:shelf\"} 40\n";
    assert!(told.contains(handled), "{told}");

    // They become four; nobody tells the orchestrator.
    drop(client);
    for shard in 0..2 {
        let sessions =
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = ";
        let name = &shards.shards[shard].name;
        let admin = shards.router.connect().await;
        // It connects again at once: only a database that takes no connections can be copied.
        for sql in [
            format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
            format!("{sessions} '{name}'"),
        ] {
            admin.run(&sql).await.unwrap();
        }
        let copy = copy_of(&shards.shards[shard]).await;
        for name in [name, &copy.name] {
            let allow = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
            admin.run(&allow).await.unwrap();
        }
        shards.shards.push(copy);
    }
    shards.agree_on_map(2).await;
    running.wait_for_log("the router has 4 shards now, by map 2");
    write_all(&shards.client().await, 40..80).await;
    wait_until_handled(&shards).await;
    let ready = format!("{}/readyz", running.metrics());
    promises::wait_for(|| promises::get(&ready).0, |status| *status == 200);
    running.stop();
}

#[tokio::test]
async fn a_shard_that_is_away_keeps_nobody_from_the_others() {
    let shards = Cluster::shared().create_shards(2).await;
    for shard in shards.sessions().await {
        shard.run(READER).await.unwrap();
    }
    let admin = shards.router.connect().await;
    let away = &shards.shards[1].name;
    let close = format!("ALTER DATABASE {away} ALLOW_CONNECTIONS false");
    admin.run(&close).await.unwrap();
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = '{away}'"
    );
    admin.run(&end).await.unwrap();

    let running = shards.router.deploy(CONFIGURED).start();
    let here = shards.stream_on(0, "shelf", 0).await;
    let first = shards.shards[0].connect().await;
    first.run(&write(&here)).await.unwrap();
    first
        .wait_until("SELECT count(*) = 1 FROM public.handled")
        .await;
    let ready = promises::get(&format!("{}/readyz", running.metrics()));
    assert_eq!(
        ready,
        (503, "shard 1: not connected to the database\n".to_owned())
    );

    let status = shards.router.command(&["shards", "status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(
        status
            .stdout
            .contains("incomplete: nothing is known of shard 1"),
        "{status:?}"
    );
    // A writer that has not ended holds back readers of all.
    let writer = shards.shards[0].connect().await;
    writer
        .run(&format!("BEGIN; {}", write(&here)))
        .await
        .unwrap();
    let beside = shards.stream_on(0, "shelf", 1).await;
    first.run(&write(&beside)).await.unwrap();
    let held = shards.shards[0].command(&["shards", "status"]);
    let by = format!("by shard 0, by process {} there", writer.pid);
    assert!(held.stdout.contains(&by), "{held:?}");
    writer.run("COMMIT").await.unwrap();

    let open = format!("ALTER DATABASE {away} ALLOW_CONNECTIONS true");
    admin.run(&open).await.unwrap();
    let there = shards.stream_on(1, "shelf", 0).await;
    let second = shards.shards[1].connect().await;
    second.run(&write(&there)).await.unwrap();
    second
        .wait_until("SELECT count(*) = 1 FROM public.handled")
        .await;
    running.stop();
}

#[tokio::test]
async fn a_router_that_is_told_of_its_shards_later_is_waited_for() {
    let mut shards = Cluster::shared().create_shards(1).await;
    shards.shards[0].connect().await.run(READER).await.unwrap();
    shards.router = Cluster::shared().create_router().await;
    let running = shards.router.deploy(CONFIGURED).start();
    running.wait_for_log("does not know its shards");
    shards.tell_router(1).await;
    shards.client().await.run(&write("shelf-1")).await.unwrap();
    wait_until_handled(&shards).await;
    running.stop();
}

#[tokio::test]
async fn what_makes_no_sense_with_a_router_is_told() {
    let shards = Cluster::shared().create_shards(1).await;
    let shard = shards.shards[0].url("message_store");
    let wait = format!("[database]\nwait_url = \"{shard}\"\n");
    let refused = run_to_end(&mut shards.router.deploy(&wait).run());
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stderr.contains("wait_url"), "{refused:?}");
    assert!(refused.stderr.contains("is a router"), "{refused:?}");
    let store = Cluster::shared().create_store().await;
    let refused = store.command(&["shards", "status"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("no shard of several"),
        "{refused:?}"
    );
    let help = run_to_end(orchestrator().args(["shards", "status", "--help"]));
    assert!(help.stdout.contains("holds readers back"), "{help:?}");
}

#[tokio::test]
async fn the_dashboards_of_shards_and_routers_show_all_of_them() {
    let shards = Cluster::shared().create_shards(2).await;
    shards.client().await.run(&write("shelf-1")).await.unwrap();
    for (database, is_router) in [(&shards.router, true), (&shards.shards[1], false)] {
        let running = database.deploy_with_dashboard("").await.start();
        let overview = format!("{}/admin", running.dashboard());
        let page = promises::wait_for(
            || promises::get(&overview).1,
            |page| page.contains("All together: 0 messages to handle, 0 parked."),
        );
        for shard in &shards.shards {
            assert!(page.contains(&shard.name), "{page}");
        }
        assert_eq!(page.contains("This is a router."), is_router, "{page}");
        // A shard that has drawn nothing yet holds nobody back.
        assert!(!page.contains("held back"), "{page}");
        running.stop();
    }
}
