//! Subscriptions run where the messages are: each shard handles what lives there, once, also when it becomes two.

use promises::{Cluster, Database, Session};

use crate::{copy_of, write};

/// Shard 0 of 1, and a subscription that notes the stream of each message.
const READER: &str = "
    CREATE TABLE public.handled (stream text);
    CREATE FUNCTION public.handle(m message_store.message) RETURNS void LANGUAGE sql
      BEGIN ATOMIC INSERT INTO public.handled VALUES (m.stream_name); END;
    SELECT message_store.become_shard(0, 1, 1);
    SELECT message_store.create_subscription('reader', 'shelf', '{\"$any\": \"public.handle\"}');
    SELECT message_store.start('reader')";

#[tokio::test]
async fn what_moves_is_handled_once_where_it_went() {
    let store = Cluster::shared().create_store().await;
    let session = store.connect().await;
    session.run(READER).await.unwrap();
    let write_all = async |session: &Session| {
        for id in 0..20 {
            // What does not live here is refused.
            let _ = session.run(&write(&format!("shelf-{id}"))).await;
        }
    };
    write_all(&session).await;
    session
        .run("SELECT message_store.tick('reader', 1000)")
        .await
        .unwrap();
    write_all(&session).await;
    // A tick that has looked before the growth and goes on after it.
    let ticker = store.connect().await;
    session
        .run("BEGIN; LOCK TABLE public.handled IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let grower = store.connect().await;
    grower
        .run("BEGIN; SELECT message_store.become_shard(0, 2, 2)")
        .await
        .unwrap();
    session.run("COMMIT").await.unwrap();
    let pid = ticker.pid;
    let ticking = tokio::spawn(async move {
        ticker
            .run("SELECT message_store.tick('reader', 1000)")
            .await
    });
    session.wait_until_blocked(pid).await;
    grower.run("COMMIT").await.unwrap();
    ticking.await.unwrap().unwrap();
    session
        .run("SELECT message_store.tick('reader', 1000)")
        .await
        .unwrap();
    drop((session, grower));
    let copy = copy_of(&store).await;
    let session = copy.connect().await;
    session
        .run("SELECT message_store.become_shard(1, 2, 2)")
        .await
        .unwrap();
    session
        .run("SELECT message_store.tick('reader', 1000)")
        .await
        .unwrap();
    let handled = async |session: &Session, number: i64| {
        let rows = format!(
            "SELECT stream, count(*) FROM public.handled WHERE message_store.shard_of(stream, 2) = {number} GROUP BY 1"
        );
        let rows = session.run(&rows).await.unwrap();
        assert!(rows.len() > 3);
        rows.into_iter().all(|row| row[1].as_deref() == Some("2"))
    };
    assert!(handled(&session, 1).await, "what has moved");
    let first = store.connect().await;
    assert!(handled(&first, 0).await, "what has stayed");
    let once = "SELECT count(*) FROM (SELECT FROM public.handled WHERE message_store.shard_of(stream, 2) = 1 \
                GROUP BY stream HAVING count(*) <> 1) s";
    assert_eq!(
        first.bigint(once).await,
        0,
        "what has moved is not handled where it was"
    );

    // Once a share is deleted, a copy has no more than that, and is no other shard.
    let wrong = first
        .error("SELECT message_store.delete_moved_messages(1, 2)")
        .await;
    assert_eq!(wrong.sqlstate, "22023");
    first
        .run("SELECT message_store.delete_moved_messages(0, 2)")
        .await
        .unwrap();
    assert_eq!(
        first
            .error("SELECT message_store.become_shard(1, 2, 2)")
            .await
            .sqlstate,
        "22023"
    );
}

/// A store that nobody is connected to becomes shards 0 and 1 of two.
async fn become_two(store: &Database<'_>) -> (Session, Session) {
    store
        .connect()
        .await
        .run("SELECT message_store.become_shard(0, 2, 2)")
        .await
        .unwrap();
    let copy = copy_of(store).await;
    let (first, second) = (store.connect().await, copy.connect().await);
    second
        .run("SELECT message_store.become_shard(1, 2, 2)")
        .await
        .unwrap();
    (first, second)
}

#[tokio::test]
async fn what_is_parked_is_handled_once_where_its_stream_went() {
    let store = Cluster::shared().create_store().await;
    let session = store.connect().await;
    session.run(READER).await.unwrap();
    session
        .run(
            "CREATE TABLE public.works (yes boolean);
             INSERT INTO public.works VALUES (false);
             CREATE OR REPLACE FUNCTION public.handle(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
             BEGIN
               IF NOT (SELECT yes FROM public.works) THEN RAISE 'not yet'; END IF;
               INSERT INTO public.handled VALUES (m.stream_name);
             END $$;
             SELECT message_store.alter_subscription('reader',
               options => '{\"on_failure\": \"park\", \"retries\": 0}')",
        )
        .await
        .unwrap();
    for id in 0..20 {
        session.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    let tick = "SELECT message_store.tick('reader', 1000)";
    session.run(tick).await.unwrap();
    let parked = "SELECT count(*) FROM message_store.parked";
    assert_eq!(session.bigint(parked).await, 20);
    drop(session);
    let (first, second) = become_two(&store).await;
    let mut handled = Vec::new();
    for (number, session) in [&first, &second].into_iter().enumerate() {
        session
            .run("UPDATE public.works SET yes = true; SELECT message_store.retry_parked('reader')")
            .await
            .unwrap();
        session.run(tick).await.unwrap();
        let rows = session.run("SELECT stream FROM public.handled").await;
        handled.extend(rows.unwrap().into_iter().map(|row| row[0].clone().unwrap()));
        // What lives elsewhere is there until what has moved is deleted.
        assert_ne!(session.bigint(parked).await, 0);
        let delete = format!("SELECT message_store.delete_moved_messages({number}, 2)");
        session.run(&delete).await.unwrap();
        assert_eq!(session.bigint(parked).await, 0);
    }
    handled.sort();
    let mut all: Vec<_> = (0..20).map(|id| format!("shelf-{id}")).collect();
    all.sort();
    assert_eq!(handled, all);
}

/// What a former member has read may be of any shard.
#[tokio::test]
async fn a_shard_becomes_two_when_no_group_is_being_resized() {
    let session = Cluster::shared().create_store().await.connect().await;
    session.run(READER).await.unwrap();
    for id in 0..20 {
        session.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    session
        .run(
            "SELECT message_store.resize_group('reader', 2);
             SELECT message_store.tick('reader', 3);
             SELECT message_store.resize_group('reader', 3)",
        )
        .await
        .unwrap();
    let grow = "SELECT message_store.become_shard(0, 2, 2)";
    let refused = session.error(grow).await;
    assert_eq!(refused.sqlstate, "55000");
    assert!(refused.message.contains("is being resized"), "{refused:?}");
    let drain = "SELECT message_store.tick('reader', 1000)";
    let is_draining =
        "SELECT count(*) FROM message_store.subscription_progress WHERE drains_until IS NOT NULL";
    while session.bigint(is_draining).await > 0 {
        session.run(drain).await.unwrap();
    }
    session.run(grow).await.unwrap();
}

/// What an application has fetched it acknowledges, or parks, where it fetched it.
#[tokio::test]
async fn what_is_fetched_does_not_hold_up_the_other_half() {
    let store = Cluster::shared().create_store().await;
    let session = store.connect().await;
    session
        .run(
            "SELECT message_store.become_shard(0, 1, 1);
             SELECT message_store.create_subscription('app', 'shelf', '{}');
             SELECT message_store.start('app')",
        )
        .await
        .unwrap();
    for id in 0..20 {
        session.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    let fetch = "SELECT (message_store.fetch('app', 100, '1 hour')).stream_name";
    assert_eq!(session.run(fetch).await.unwrap().len(), 20);
    drop(session);
    let (first, second) = become_two(&store).await;
    let lives = |number| {
        format!(
            "SELECT global_position FROM message_store.messages \
              WHERE message_store.shard_of(stream_name::varchar, 2) = {number}"
        )
    };
    let moved = crate::positions(&first, &lives(1)).await;
    let handed_out = second.run(fetch).await.unwrap();
    assert_eq!(handed_out.len(), moved.len());
    let lease = "SELECT lease FROM message_store.subscription_progress WHERE subscriber_id = 'app'";
    let lease = first.bigint(lease).await;
    let park =
        |position| format!("SELECT message_store.park('app', {position}, 'broken', {lease})");
    let refused = first.error(&park(moved[0])).await;
    assert_eq!(refused.sqlstate, "22023", "{refused:?}");
    let stays = crate::positions(&first, &lives(0)).await;
    first.run(&park(stays[0])).await.unwrap();
}

#[tokio::test]
async fn a_subscription_on_a_shard_handles_what_lives_there() {
    let store = Cluster::shared().create_store().await;
    let session = store.connect().await;
    session.run(READER).await.unwrap();
    for id in 0..40 {
        session.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    session
        .run("SELECT message_store.become_shard(0, 2, 2)")
        .await
        .unwrap();
    session
        .run("SELECT message_store.tick('reader', 1000)")
        .await
        .unwrap();
    let own = "SELECT count(*) FROM generate_series(0, 39) n WHERE message_store.shard_of('shelf-' || n, 2) = 0";
    let handled = "SELECT count(*) FROM public.handled";
    let (own, handled) = (session.bigint(own).await, session.bigint(handled).await);
    assert!(own > 5 && own < 35);
    assert_eq!(handled, own);
    let foreign =
        "SELECT count(*) FROM public.handled WHERE message_store.shard_of(stream, 2) <> 0";
    assert_eq!(session.bigint(foreign).await, 0);
}

#[tokio::test]
async fn a_subscription_is_declared_once_and_read_over_all_shards() {
    let shards = Cluster::shared().create_shards(3).await;
    for shard in shards.sessions().await {
        shard
            .run(
                "CREATE TABLE public.viewings (count bigint);
                 INSERT INTO public.viewings VALUES (0);
                 GRANT SELECT, UPDATE ON public.viewings TO message_store;
                 CREATE FUNCTION public.count_viewing(bigint) RETURNS void LANGUAGE sql
                   BEGIN ATOMIC UPDATE public.viewings SET count = count + 1; END",
            )
            .await
            .unwrap();
    }
    shards
        .router
        .connect()
        .await
        .run(
            "CREATE FUNCTION public.viewings_on_each() RETURNS SETOF bigint LANGUAGE message_store_router AS
               $$ CLUSTER 'message_store_shards'; RUN ON ALL; SELECT count FROM public.viewings; $$",
        )
        .await
        .unwrap();
    let client = shards.client().await;
    let create = "SELECT message_store.create_subscription('counter', 'viewings', '{\"$any\": \"public.count_viewing\"}')";
    assert_eq!(client.value(create).await.as_deref(), Some("t"));
    assert_eq!(client.value(create).await.as_deref(), Some("f"));
    assert_eq!(
        client
            .value("SELECT message_store.start('counter')")
            .await
            .as_deref(),
        Some("started")
    );
    for id in 0..30 {
        client.run(&write(&format!("viewings-{id}"))).await.unwrap();
    }
    let last = client
        .bigint("SELECT max(global_position) FROM message_store.get_all_messages()")
        .await;
    let status = "SELECT sum(lag), sum(subscriptions), sum(not_running), sum(parked) FROM message_store.shard_status";
    let some = |values: [&str; 4]| values.map(|value| Some(value.to_owned())).to_vec();
    assert_eq!(
        client.run(status).await.unwrap()[0],
        some(["30", "3", "0", "0"])
    );
    for shard in shards.sessions().await {
        shard
            .run("SELECT message_store.tick('counter', 1000)")
            .await
            .unwrap();
    }
    let handled = format!("SELECT message_store.wait_for('counter', {last})");
    assert_eq!(client.value(&handled).await.as_deref(), Some("t"));
    let sum = "SELECT sum(viewings_on_each) FROM public.viewings_on_each()";
    assert_eq!(shards.router.connect().await.bigint(sum).await, 30);
    client
        .run("SELECT message_store.pause('counter', 'a while')")
        .await
        .unwrap();
    assert_eq!(
        client.run(status).await.unwrap()[0],
        some(["0", "3", "3", "0"])
    );
    client
        .run("SELECT message_store.stop('counter')")
        .await
        .unwrap();
    let alter = "SELECT message_store.alter_subscription('counter', options => '{\"retries\": 3}')";
    assert_eq!(client.value(alter).await.as_deref(), Some("t"));
    assert_eq!(
        client
            .value("SELECT message_store.drop_subscription('counter')")
            .await
            .as_deref(),
        Some("t")
    );
    assert_eq!(
        client
            .value("SELECT message_store.drop_subscription('counter')")
            .await
            .as_deref(),
        Some("f")
    );
    let lock =
        "SELECT message_store.acquire_lock('viewings-1') = message_store.hash_64('viewings')";
    assert_eq!(client.value(lock).await.as_deref(), Some("t"));
}

#[tokio::test]
async fn who_waits_for_a_position_waits_for_every_shard() {
    let shards = Cluster::shared().create_shards(3).await;
    let client = shards.client().await;
    let mut streams = Vec::new();
    for shard in 0..2 {
        streams.push(shards.stream_on(shard, "shelf", 0).await);
    }
    for shard in shards.sessions().await {
        shard
            .run(
                "CREATE FUNCTION public.handle(bigint) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT; END;
                 SELECT message_store.create_subscription('reader', 'shelf', '{\"$any\": \"public.handle\"}');
                 SELECT message_store.start('reader')",
            )
            .await
            .unwrap();
    }
    // The first is what the second shard has still to handle when the last is handled on the first.
    let mut last = 0;
    for stream in [&streams[1], &streams[0]] {
        client.run(&write(stream)).await.unwrap();
        let position = "SELECT max(global_position) FROM message_store.get_all_messages()";
        last = client.bigint(position).await;
    }
    let sessions = shards.sessions().await;
    let tick = "SELECT message_store.tick('reader', 1000)";
    let waits = format!("SELECT message_store.wait_for('reader', {last}, '0')");
    sessions[0].run(tick).await.unwrap();
    assert_eq!(client.value(&waits).await.as_deref(), Some("f"));
    sessions[1].run(tick).await.unwrap();
    // The third has drawn nothing, and nothing to handle.
    assert_eq!(client.value(&waits).await.as_deref(), Some("t"));
    let later = format!("SELECT message_store.wait_for('reader', {last} + 1000000, '0')");
    assert_eq!(client.value(&later).await.as_deref(), Some("f"));
}

#[tokio::test]
async fn a_handler_that_reaches_for_another_shard_fails_like_any_other() {
    let shards = Cluster::shared().create_shards(2).await;
    let (here, elsewhere) = (
        shards.stream_on(0, "shelf", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    let session = shards.shards[0].connect().await;
    session
        .run(&format!(
            "CREATE FUNCTION public.handle(bigint) RETURNS void LANGUAGE sql
               AS $$ SELECT message_store.write_message(gen_random_uuid()::varchar, '{elsewhere}', 'T', '{{}}') $$;
             SELECT message_store.create_subscription('reader', 'shelf', '{{\"$any\": \"public.handle\"}}',
               '{{\"retries\": 0, \"on_failure\": \"park\"}}');
             SELECT message_store.start('reader');
             {}",
            write(&here)
        ))
        .await
        .unwrap();
    session
        .run("SELECT message_store.tick('reader', 1000)")
        .await
        .unwrap();
    let parked = "SELECT sqlstate FROM message_store.parked_messages";
    assert_eq!(session.value(parked).await.as_deref(), Some("0A000"));
}

#[tokio::test]
async fn what_is_rebuilt_verified_and_parked_is_so_on_all_shards() {
    let shards = Cluster::shared().create_shards(2).await;
    for shard in shards.sessions().await {
        shard
            .run(
                "CREATE TABLE public.fault ();
                 CREATE FUNCTION public.handle(bigint) RETURNS void LANGUAGE plpgsql AS
                   $$ BEGIN IF to_regclass('public.fault') IS NOT NULL THEN RAISE 'broken'; END IF; END $$",
            )
            .await
            .unwrap();
    }
    let client = shards.client().await;
    client
        .run(
            r#"SELECT message_store.create_subscription('home', 'viewings',
                 '{"VideoViewed": "message_store.increment_videos_watched"}',
                 '{"init": "message_store.ensure_home_page",
                   "read_model": [{"table": "message_store.read_model_pages", "where": "page_name = ''home''"}]}')"#,
        )
        .await
        .unwrap();
    for sql in [
        r#"SELECT message_store.create_subscription('fragile', 'viewings', '{"$any": "public.handle"}',
             '{"retries": 0, "on_failure": "park"}')"#,
        "SELECT message_store.start('home')",
        "SELECT message_store.start('fragile')",
    ] {
        client.run(sql).await.unwrap();
    }
    for viewing in 0..20 {
        let view = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-{viewing}', 'VideoViewed', '{{}}')"
        );
        client.run(&view).await.unwrap();
    }
    let sessions = shards.sessions().await;
    let tick = async || {
        for shard in &sessions {
            for subscriber in ["home", "fragile"] {
                let tick = format!("SELECT message_store.tick('{subscriber}', 1000)");
                shard.run(&tick).await.unwrap();
            }
        }
    };
    tick().await;

    let differs = "SELECT count(*) FROM message_store.verify('home')";
    assert_eq!(client.bigint(differs).await, 0);
    sessions[1]
        .run("UPDATE message_store.read_model_pages SET page_data = '{\"videosWatched\": 1000}'")
        .await
        .unwrap();
    assert_eq!(client.bigint(differs).await, 1);
    client
        .run("SELECT message_store.rebuild('home')")
        .await
        .unwrap();
    tick().await;
    assert_eq!(client.bigint(differs).await, 0);
    let cancel = "SELECT message_store.cancel_rebuild('home')";
    assert_eq!(client.value(cancel).await.as_deref(), Some("f"));
    let refusal = client
        .error("SELECT * FROM message_store.promote('home')")
        .await;
    assert_eq!(refusal.sqlstate, "55000", "{}", refusal.message);
    client
        .run("SELECT message_store.rebuild('home', side_by_side => true)")
        .await
        .unwrap();
    for shard in &sessions {
        shard
            .run("SELECT message_store.tick('home#rebuild', 1000)")
            .await
            .unwrap();
    }
    let promoted = client
        .run("SELECT read_model, added, removed, changed FROM message_store.promote('home')")
        .await
        .unwrap();
    let none = Some("0".to_owned());
    let table = Some("message_store.read_model_pages".to_owned());
    assert_eq!(promoted, [vec![table, none.clone(), none.clone(), none]]);

    let parked = "SELECT count(*) FROM message_store.parked_messages WHERE error = 'broken'";
    assert_eq!(client.bigint(parked).await, 20);
    let discard =
        "SELECT message_store.discard_parked('fragile', 'a test', stream_name => 'viewings-3')";
    assert_eq!(client.bigint(discard).await, 1);
    for shard in &sessions {
        shard.run("DROP TABLE public.fault").await.unwrap();
    }
    let retry = "SELECT message_store.retry_parked('fragile')";
    assert_eq!(client.bigint(retry).await, 19);
    tick().await;
    let left = "SELECT count(*) FROM message_store.parked_messages WHERE status <> 'discarded'";
    assert_eq!(client.bigint(left).await, 0);

    client
        .run("SELECT message_store.reset('fragile', 0, 'once more')")
        .await
        .unwrap();
    let behind = "SELECT sum(lag)::bigint FROM message_store.shard_status";
    assert_eq!(client.bigint(behind).await, 20);
}
