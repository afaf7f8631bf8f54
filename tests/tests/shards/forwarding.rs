//! What a handler means for an entity of another shard arrives there once, behind its cause, however often
//! anybody dies.

use nix::sys::signal::Signal;
use promises::{Cluster, Random, StopMode};

use crate::write;

/// An account pays another: the handler writes to its own streams only.
const ACCOUNTS: &str = r#"
    CREATE FUNCTION public.pay(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
      payer text := message_store.id(m.stream_name);
    BEGIN
      PERFORM FROM message_store.write_messages(ARRAY[
        ROW('account-' || payer, 'Withdrawn', m.data::jsonb, NULL, NULL, NULL),
        ROW('transfers-' || payer, 'Deposited', m.data::jsonb,
          jsonb_build_object('forwardTo', 'account-' || (m.data::jsonb ->> 'payee')), NULL, NULL)
      ]::message_store.new_message[]);
    END $$;
"#;
const CONFIGURED: &str = "
    [[services]]
    subscriber_id = 'services:accounts'
    category = 'account:command'
    handlers = { Pay = 'public.pay' }
    [[forwarders]]
    subscriber_id = 'forwarders:transfers'
    category = 'transfers'
    ";
const PAYMENTS: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forwarded_arrives_once_however_often_anybody_dies() {
    let cluster = Cluster::start(&[("wal_writer_delay", "10s")]);
    let shards = cluster.create_shards(4).await;
    for shard in shards.sessions().await {
        shard.run(ACCOUNTS).await.unwrap();
    }
    let deployment = shards.router.deploy(CONFIGURED);
    let mut running = deployment.start();
    let mut random = Random(5);
    let mut client = shards.client().await;
    for number in 0..PAYMENTS {
        let (payer, payee) = (random.below(40), random.below(40));
        let pay = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'account:command-{payer}', 'Pay',
               '{{\"payee\": {payee}, \"number\": {number}}}')"
        );
        client.run(&pay).await.unwrap();
        if number % 40 == 20 {
            running.signal(Signal::SIGKILL);
            running.wait_for_exit();
            running = deployment.start();
        }
        if number % 120 == 100 {
            cluster.restart(StopMode::Immediate);
            client = shards.client().await;
        }
    }
    let arrived = "SELECT count(*) FROM message_store.get_category_messages('account', 1, 10000) WHERE type = 'Deposited'";
    client
        .wait_until(&format!("SELECT ({arrived}) >= {PAYMENTS}"))
        .await;
    running.stop();

    let all = "SELECT data::jsonb ->> 'number', data::jsonb ->> 'payee', type, stream_name, global_position
                 FROM message_store.get_category_messages('account', 1, 10000)";
    let all = format!(
        "SELECT count(*), count(*) FILTER (WHERE d.type = 'Deposited' AND d.stream_name = 'account-' || d.payee
                 AND w.global_position < d.global_position AND w.type = 'Withdrawn')
           FROM ({all}) AS w(number, payee, type, stream_name, global_position)
           JOIN ({all}) AS d(number, payee, type, stream_name, global_position) USING (number)
          WHERE w.type = 'Withdrawn' AND d.type = 'Deposited'"
    );
    let paid = client.run(&all).await.unwrap();
    let some = Some(PAYMENTS.to_string());
    assert_eq!(paid[0], [some.clone(), some], "each once, behind its cause");
    let forwarded = "SELECT sum(handled) FROM message_store.subscription_status WHERE subscriber_id = 'forwarders:transfers'";
    let mut across = 0;
    for (number, shard) in shards.sessions().await.iter().enumerate() {
        assert!(shard.bigint(forwarded).await > 0, "shard {number}");
        let from_others = format!(
            "SELECT count(*) FROM message_store.messages o
              WHERE o.type = 'Deposited' AND message_store.category(o.stream_name::varchar) = 'transfers'
                AND message_store.shard_of((o.metadata ->> 'forwardTo')::varchar, 4) <> {number}"
        );
        across += shard.bigint(&from_others).await;
    }
    assert!(across > PAYMENTS as i64 / 2, "{across}");
}

/// Written, and not acknowledged when it dies: the next one finds it there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_dies_between_writing_and_acknowledging_has_written_once() {
    let shards = Cluster::shared().create_shards(2).await;
    let outbox = shards.stream_on(0, "transfers", 0).await;
    let target = shards.stream_on(1, "account", 0).await;
    let deployment = shards.router.deploy(CONFIGURED);
    let running = deployment.start();
    // It has fetched, and waits for another writer.
    let other = shards.shards[1].connect().await;
    other
        .run(&format!("BEGIN; {}", write(&target)))
        .await
        .unwrap();
    let forwarded = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{outbox}', 'Deposited', '{{}}', '{{\"forwardTo\": \"{target}\"}}')"
    );
    let first = shards.shards[0].connect().await;
    // Nobody has read all shards, so the other one is far behind.
    first
        .run("SELECT message_store.advance_position(10000000)")
        .await
        .unwrap();
    first.run(&forwarded).await.unwrap();
    let waits = format!(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '{}' AND cardinality(pg_blocking_pids(pid)) > 0)",
        shards.shards[1].name
    );
    first.wait_until(&waits).await;
    // It writes, and cannot acknowledge.
    let locker = shards.shards[0].connect().await;
    locker
        .run("BEGIN; LOCK TABLE message_store.subscription_progress IN EXCLUSIVE MODE")
        .await
        .unwrap();
    other.run("COMMIT").await.unwrap();
    let arrived = format!(
        "SELECT count(*) = 1 FROM message_store.messages WHERE stream_name = '{target}' AND type = 'Deposited'"
    );
    other.wait_until(&arrived).await;
    running.kill();
    // Its session would acknowledge all the same.
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 10000)) > 0 FROM pg_stat_activity
          WHERE datname = '{}' AND usename = 'message_store'",
        shards.shards[0].name
    );
    locker.wait_until(&end).await;
    locker.run("COMMIT").await.unwrap();

    let running = deployment.start();
    let handled = "SELECT handled = 1 FROM message_store.subscription_status WHERE subscriber_id = 'forwarders:transfers'";
    first.wait_until(handled).await;
    assert_eq!(other.value(&arrived).await.as_deref(), Some("t"), "once");
    let effect = "SELECT max(global_position) FROM message_store.messages WHERE type = 'Deposited'";
    let cause = first.bigint(effect).await;
    assert!(other.bigint(effect).await > cause, "the cause comes first");
    running.stop();
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_parked_with_the_reason() {
    const PICKY: &str = "
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN RAISE EXCEPTION 'not this one' USING ERRCODE = '45000'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON message_store.messages
          FOR EACH ROW WHEN (NEW.stream_name = 'account-3') EXECUTE FUNCTION public.refuse()";
    let store = Cluster::shared().create_store().await;
    store.connect().await.run(PICKY).await.unwrap();
    let (_, forwarder) = CONFIGURED.split_once("[[forwarders]]").unwrap();
    let running = store.deploy(&format!("[[forwarders]]{forwarder}")).start();
    let session = store.connect_as("message_store").await;
    session.run(&write("transfers-1")).await.unwrap();
    let refused = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'transfers-3', 'Deposited', '{}',
                       '{\"forwardTo\": \"account-3\"}')";
    session.run(refused).await.unwrap();
    let forwarded = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'transfers-2', 'Deposited', '{}',
                       '{\"forwardTo\": \"account-2\"}')";
    session.run(forwarded).await.unwrap();
    let parked =
        "SELECT coalesce((SELECT error LIKE '%forwardTo%' FROM message_store.parked_messages
                     WHERE stream_name = 'transfers-1'), false)";
    session.wait_until(parked).await;
    let parked =
        "SELECT coalesce((SELECT error LIKE '%not this one%' FROM message_store.parked_messages
                     WHERE stream_name = 'transfers-3'), false)";
    session.wait_until(parked).await;
    // On a store that is none of several, a forwarder does the same.
    session
        .wait_until("SELECT count(*) = 1 FROM message_store.get_stream_messages('account-2')")
        .await;
    let ready = promises::get(&format!("{}/readyz", running.home_page()));
    assert_eq!(ready, (200, "ready\n".to_owned()));
    running.stop();
}

#[tokio::test]
async fn a_shard_that_is_far_behind_goes_beyond_what_is_forwarded_in_steps() {
    let shards = Cluster::shared().create_shards(2).await;
    let outbox = shards.stream_on(0, "transfers", 0).await;
    let target = shards.stream_on(1, "account", 0).await;
    let sessions = shards.sessions().await;
    // At once a shard goes no further than 2^36 positions of its own.
    for target in [
        51_200_000_000_000_i64,
        102_400_000_000_000,
        153_600_000_000_000,
    ] {
        let advance = format!("SELECT message_store.advance_position({target})");
        sessions[0].run(&advance).await.unwrap();
    }
    let too_far = sessions[1]
        .error("SELECT message_store.advance_position(153600000000000)")
        .await;
    assert_eq!(too_far.sqlstate, "22023");
    let (_, forwarder) = CONFIGURED.split_once("[[forwarders]]").unwrap();
    let deployment = shards.router.deploy(&format!("[[forwarders]]{forwarder}"));
    let running = deployment.start();
    let forwarded = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{outbox}', 'Deposited', '{{}}', '{{\"forwardTo\": \"{target}\"}}')"
    );
    sessions[0].run(&forwarded).await.unwrap();
    let arrived = format!(
        "SELECT coalesce(max(global_position) > 153600000000000, false) FROM message_store.messages WHERE stream_name = '{target}'"
    );
    sessions[1].wait_until(&arrived).await;
    running.stop();
}

/// A service on each shard says of each viewing what the page's own stream is to hear.
const GATHERED: &str = "
    CREATE FUNCTION public.gather(m message_store.message) RETURNS void LANGUAGE sql BEGIN ATOMIC
      SELECT FROM message_store.write_messages(ARRAY[
        ROW('gathered-' || message_store.id((m).stream_name), 'VideoViewed', (m).data::jsonb,
          '{\"forwardTo\": \"page-home\"}', NULL, NULL)::message_store.new_message]);
    END";
const GATHERING: &str = "
    [[services]]
    subscriber_id = 'services:gather'
    category = 'viewings'
    handlers = { VideoViewed = 'public.gather' }
    [[forwarders]]
    subscriber_id = 'forwarders:gathered'
    category = 'gathered'
    [[aggregators]]
    subscriber_id = 'aggregators:home-page'
    category = 'page'
    init = 'message_store.ensure_home_page'
    handlers = { VideoViewed = 'message_store.increment_videos_watched' }
    ";

#[tokio::test]
async fn what_all_shards_have_is_gathered_on_one() {
    let shards = Cluster::shared().create_shards(3).await;
    for shard in shards.sessions().await {
        shard.run(GATHERED).await.unwrap();
    }
    let running = shards.router.deploy(GATHERING).start();
    let client = shards.client().await;
    for viewing in 0..60 {
        let view = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-{viewing}', 'VideoViewed', '{{}}')"
        );
        client.run(&view).await.unwrap();
    }
    let home = client
        .bigint("SELECT message_store.shard_of('page-home', 3)")
        .await;
    let watched = "SELECT coalesce(sum((page_data ->> 'videosWatched')::bigint), 0) = {count}
                     FROM message_store.read_model_pages WHERE page_name = 'home'";
    for (number, shard) in shards.sessions().await.iter().enumerate() {
        let count = if number as i64 == home { "60" } else { "0" };
        shard.wait_until(&watched.replace("{count}", count)).await;
    }
    running.stop();
}
