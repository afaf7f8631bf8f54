//! Two shards become four while clients write and read all of them: nobody skips a message, and the command that
//! does it can be stopped anywhere and goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promises::{Cluster, Database, Random, Session, Shards, SqlError, orchestrator, run_to_end};

use crate::write;

/// What a client does where the shards have changed: it asks again.
pub async fn again(session: &Session, sql: &str) -> promises::Rows {
    loop {
        match session.run(sql).await {
            Ok(rows) => return rows,
            Err(SqlError { sqlstate, .. }) if sqlstate == "40001" => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => panic!("{sql}: {error:?}"),
        }
    }
}

/// The arguments of the command.
fn split_arguments(shards: &Shards<'_>, standbys: &[Database<'_>], more: &[&str]) -> Vec<String> {
    let mut arguments = vec!["shards".to_owned(), "split".to_owned()];
    for shard in &shards.shards {
        arguments.extend(["--shard".to_owned(), shard.url("postgres")]);
    }
    for standby in standbys {
        arguments.extend(["--standby".to_owned(), standby.url("postgres")]);
        arguments.extend(["--address".to_owned(), standby.address()]);
    }
    arguments.extend(["--router".to_owned(), shards.router.url("postgres")]);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    arguments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_shards_become_four_under_load_and_nobody_skips_a_message() {
    let clusters = [Cluster::start(&[]), Cluster::start(&[])];
    let stores = Shards {
        shards: vec![
            clusters[0].create_store().await,
            clusters[1].create_store().await,
        ],
        router: Cluster::shared().create_router().await,
    };
    stores.agree_on_map(1).await;
    let standby_clusters = [
        clusters[0].start_standby(&[]),
        clusters[1].start_standby(&[]),
    ];
    let standbys: Vec<Database<'_>> = standby_clusters
        .iter()
        .zip(&stores.shards)
        .map(|(cluster, shard)| shard.on(cluster))
        .collect();

    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for number in 0..4 {
        let (session, is_over) = (stores.client().await, Arc::clone(&is_over));
        writers.push(tokio::spawn(async move {
            let mut random = Random(number);
            let (mut written, mut longest) = (0, Duration::ZERO);
            while !is_over.load(Ordering::SeqCst) {
                let began = Instant::now();
                again(&session, &write(&format!("shelf-{}", random.below(200)))).await;
                longest = longest.max(began.elapsed());
                written += 1;
            }
            (written, longest)
        }));
    }
    let writing_is_over = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for page in [500, 7] {
        let (session, over) = (stores.client().await, Arc::clone(&writing_is_over));
        readers.push(tokio::spawn(async move {
            let (mut read, mut from) = (Vec::new(), 1_i64);
            loop {
                let is_last = over.load(Ordering::SeqCst);
                let sql = format!(
                    "SELECT global_position FROM message_store.get_category_messages('shelf', {from}, {page})"
                );
                let rows = again(&session, &sql).await;
                let found: Vec<i64> = rows
                    .iter()
                    .map(|row| row[0].as_deref().unwrap().parse().unwrap())
                    .collect();
                match found.last() {
                    Some(last) => from = last + 1,
                    None if is_last => return read,
                    None => {}
                }
                read.extend(found);
            }
        }));
    }

    let run = |more: &[&str]| {
        let mut command = orchestrator();
        command.args(split_arguments(&stores, &standbys, more));
        command
    };
    let looked = run_to_end(&mut run(&["--dry-run"]));
    assert_eq!(looked.code, Some(0), "{}", looked.stderr);
    assert!(
        looked.stdout.contains("2 shards would become 4"),
        "{}",
        looked.stdout
    );

    // Killed at some moment, a few times; then let to its end.
    let mut random = Random(7);
    for _ in 0..3 {
        let mut killed = run(&[]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(random.below(150).unsigned_abs())).await;
        let pid = Pid::from_raw(killed.id().cast_signed());
        // It may have come to its end.
        let _ = kill(pid, Signal::SIGKILL);
        killed.wait().unwrap();
    }
    let ended = run_to_end(&mut run(&[]));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    println!("{}", ended.stdout);

    let grown = Shards {
        shards: stores
            .shards
            .iter()
            .chain(&standbys)
            .map(|database| database.on(database.cluster))
            .collect(),
        router: stores.router.on(stores.router.cluster),
    };
    // Both halves are written, and read in order.
    let client = grown.client().await;
    for shard in 0..4 {
        let stream = grown.stream_on(shard, "shelf", 0).await;
        again(&client, &write(&stream)).await;
    }
    is_over.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut longest) = (4, Duration::ZERO);
    for writer in writers {
        let (written, waited) = writer.await.unwrap();
        acknowledged += written;
        longest = longest.max(waited);
    }
    writing_is_over.store(true, Ordering::SeqCst);
    let mut there = BTreeSet::new();
    for (number, shard) in grown.sessions().await.iter().enumerate() {
        let foreign = format!(
            "SELECT count(*) FROM message_store.messages WHERE message_store.shard_of(stream_name::varchar, 4) <> {number}"
        );
        assert_eq!(shard.bigint(&foreign).await, 0, "on shard {number}");
        let doubted = "SELECT count(*) FROM message_store.epochs WHERE confirmed_at IS NULL \
                       AND number > (SELECT min(number) FROM message_store.epochs)";
        assert_eq!(shard.bigint(doubted).await, 0, "on shard {number}");
        let all = "SELECT global_position FROM message_store.messages";
        for position in crate::positions(shard, all).await {
            assert!(there.insert(position), "{position} is there twice");
        }
        let holes = "SELECT count(*) FROM (SELECT FROM message_store.messages GROUP BY stream_name \
                     HAVING max(position) + 1 <> count(*)) s";
        assert_eq!(shard.bigint(holes).await, 0);
    }
    assert_eq!(
        there.len(),
        acknowledged,
        "each acknowledged message is there once"
    );
    for reader in readers {
        let read = reader.await.unwrap();
        let seen: BTreeSet<i64> = read.iter().copied().collect();
        let skipped = there.difference(&seen).count();
        assert_eq!(skipped, 0, "skipped of {}", there.len());
        assert!(read.is_sorted() && read.len() == there.len());
    }
    println!(
        "0 skipped of {} in two readers; a write waited at most {longest:.1?}",
        there.len()
    );

    let status = "SELECT shard, shards, map, error FROM message_store.shard_status ORDER BY 1";
    for (number, row) in grown
        .router
        .connect()
        .await
        .run(status)
        .await
        .unwrap()
        .iter()
        .enumerate()
    {
        let expected = [
            Some(number.to_string()),
            Some("4".into()),
            Some("2".into()),
            None,
        ];
        assert_eq!(row[..], expected);
    }
    let repeated = run_to_end(&mut run(&[]));
    assert_eq!(repeated.code, Some(0), "{}", repeated.stderr);

    // What has not arrived is not deleted.
    let stream = grown.stream_on(2, "shelf", 0).await;
    let left_behind = format!(
        "INSERT INTO message_store.messages (stream_name, type, position) VALUES ('{stream}', 'T', 1000)"
    );
    let first = grown.shards[0].connect().await;
    first.run(&left_behind).await.unwrap();
    let refused = run_to_end(&mut run(&[]));
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    let told = "shard 0 has 1 messages that live on shard 2, which has 0 of these positions";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    let there =
        format!("SELECT count(*) FROM message_store.messages WHERE stream_name = '{stream}'");
    assert_eq!(first.bigint(&there).await, 1);
}

#[tokio::test]
async fn a_store_that_has_messages_becomes_two_shards() {
    let cluster = Cluster::start(&[]);
    let stores = Shards {
        shards: vec![cluster.create_store().await],
        router: Cluster::shared().create_router().await,
    };
    let session = stores.shards[0].connect().await;
    for id in 0..20 {
        session.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    stores.agree_on_map(1).await;
    let client = stores.client().await;
    client.run(&write("shelf-1")).await.unwrap();
    let all = "SELECT global_position FROM message_store.get_category_messages('shelf')";
    let before = crate::positions(&client, all).await;
    assert_eq!(before.len(), 21);
    drop((session, client));

    let standby_cluster = cluster.start_standby(&[]);
    let standbys = [stores.shards[0].on(&standby_cluster)];
    let mut split = orchestrator();
    let ended = run_to_end(split.args(split_arguments(&stores, &standbys, &[])));
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    let client = stores.client().await;
    for id in 0..20 {
        client.run(&write(&format!("shelf-{id}"))).await.unwrap();
    }
    let after = crate::positions(&client, all).await;
    assert_eq!((after.len(), &after[..21]), (41, &before[..]));
    for shard in [&stores.shards[0], &standbys[0]] {
        let own = "SELECT count(*) BETWEEN 5 AND 36 FROM message_store.messages";
        shard.connect().await.wait_until(own).await;
    }
}

#[tokio::test]
async fn what_cannot_grow_is_told_and_nothing_has_changed() {
    let shards = Cluster::shared().create_shards(2).await;
    let run = |standbys: &[Database<'_>]| {
        let mut command = orchestrator();
        command.args(split_arguments(&shards, standbys, &[]));
        run_to_end(&mut command)
    };
    let one = [Cluster::shared().create_store().await];
    let refused = run(&one);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("2 shards, 1 standbys"),
        "{}",
        refused.stderr
    );
    let two = [
        Cluster::shared().create_store().await,
        Cluster::shared().create_store().await,
    ];
    let refused = run(&two);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("not the same server and database"),
        "{}",
        refused.stderr
    );
    let itself = [
        shards.shards[0].on(Cluster::shared()),
        shards.shards[1].on(Cluster::shared()),
    ];
    let refused = run(&itself);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("is no standby"),
        "{}",
        refused.stderr
    );
    for shard in shards.sessions().await {
        assert_eq!(
            shard.bigint("SELECT shards FROM message_store.shard").await,
            2
        );
    }
}
