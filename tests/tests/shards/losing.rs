//! A shard that loses messages: who reads all shards hears of it, and what was forwarded there arrives again.

use promises::{Cluster, Shards};

use crate::{copy_of, page::block, write};

const FORWARDER: &str = "
    [[forwarders]]
    subscriber_id = 'forwarders:transfers'
    category = 'transfers'
    ";

#[tokio::test]
async fn who_reads_all_shards_hears_that_one_has_lost_messages() {
    let mut shards = Cluster::shared().create_shards(2).await;
    let (here, there) = (
        shards.stream_on(0, "transfers", 0).await,
        shards.stream_on(1, "shelf", 0).await,
    );
    let client = shards.client().await;
    client.run(&write(&there)).await.unwrap();
    let settled = client
        .bigint("SELECT max(global_position) FROM message_store.get_all_messages()")
        .await;
    shards.shards[1]
        .connect()
        .await
        .run("SELECT message_store.record_horizons()")
        .await
        .unwrap();
    let deployment = shards.router.deploy(FORWARDER);
    let running = deployment.start();
    let declared = "SELECT count(*) = 2 FROM message_store.shard_status WHERE subscriptions = 1";
    client.wait_until(declared).await;
    running.stop();
    drop(client);
    // What becomes of the shard when all that comes now is lost.
    let old = copy_of(&shards.shards[1]).await;

    let client = shards.client().await;
    let running = deployment.start();
    let forward = format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{here}', 'Deposited', '{{}}', '{{\"forwardTo\": \"{there}\"}}')"
    );
    client.run(&forward).await.unwrap();
    let arrived = format!("SELECT message_store.stream_version('{there}')");
    client.wait_until(&format!("{arrived} = 1")).await;
    // It arrives before the outbox knows.
    let is_known =
        format!("SELECT every(position > {settled}) FROM message_store.subscription_status");
    let other = shards.shards[0].connect().await;
    other.wait_until(&is_known).await;
    drop(other);
    running.stop();
    let epoch = client.value("SELECT message_store.epoch()").await.unwrap();
    assert_eq!(epoch.split(',').count(), 2);
    let read = client
        .bigint("SELECT max(global_position) FROM message_store.get_all_messages()")
        .await;
    let check = |epoch: &str, position: i64| {
        format!("SELECT message_store.check_position('{epoch}', {position})")
    };
    assert_eq!(client.bigint(&check(&epoch, read)).await, read);
    drop(client);

    shards.shards[1] = old;
    shards.tell_router(1).await;
    let client = shards.client().await;
    assert_eq!(client.bigint(&arrived).await, 0, "it is lost");
    let refusal = client.error(&check(&epoch, read)).await;
    assert_eq!(refusal.sqlstate, "55000");
    assert!(
        refusal
            .hint
            .contains(&format!("Begin again after {settled}")),
        "{}",
        refusal.hint
    );
    let position = read + 1;
    let refused = shards.router.command(&[
        "read",
        "$all",
        "--position",
        &position.to_string(),
        "--epoch",
        &epoch,
    ]);
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), ""),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("Begin again after"),
        "{}",
        refused.stderr
    );
    assert_eq!(client.bigint(&check(&epoch, settled)).await, settled);
    let new = client.value("SELECT message_store.epoch()").await.unwrap();
    assert_ne!(new, epoch);
    assert_eq!(
        new.split(',').next(),
        epoch.split(',').next(),
        "the other has lost nothing"
    );

    // What was forwarded is in the outbox still.
    let reset = block("message_store.reset('forwarders:transfers'");
    let reset = reset.replace("4650", &settled.to_string());
    let other = shards.shards[0].connect().await;
    other.run(&reset).await.unwrap();
    let running = deployment.start();
    client.wait_until(&format!("{arrived} = 1")).await;
    running.stop();
    // Behind all that anybody has read.
    let again = "SELECT max(global_position) FROM message_store.get_all_messages()";
    assert!(client.bigint(again).await > read);
}

#[tokio::test]
async fn epochs_of_before_a_growth_are_known_to_the_shards_that_came_of_it() {
    let first = Cluster::shared().create_shards(1).await;
    let client = first.client().await;
    client.run(&write("shelf-1")).await.unwrap();
    let epoch = client.value("SELECT message_store.epoch()").await.unwrap();
    drop(client);
    let copy = copy_of(&first.shards[0]).await;
    let grown = Shards {
        shards: vec![
            Cluster::shared()
                .create_database_like(&first.shards[0].name)
                .await,
            copy,
        ],
        router: Cluster::shared().create_router().await,
    };
    grown.agree_on_map(2).await;
    let client = grown.client().await;
    let check = format!("SELECT message_store.check_position('{epoch}', 0)");
    assert_eq!(client.bigint(&check).await, 0);
    for (epoch, sqlstate) in [
        (format!("{epoch},{epoch},{epoch}"), "22023"),
        (String::new(), "22023"),
        ("that".to_owned(), "22P02"),
    ] {
        let refusal = client
            .error(&format!(
                "SELECT message_store.check_position('{epoch}', 1)"
            ))
            .await;
        assert_eq!(refusal.sqlstate, sqlstate, "{}", refusal.message);
    }
}
