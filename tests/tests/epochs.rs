//! Promise: a server that was promoted or restored uses no position again that was drawn elsewhere, and a
//! position that was kept outside is refused where what lay before it may be lost.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Session, StopMode};

const MARGIN: i64 = 1_000_000;
const EPOCH: &str = "SELECT message_store.epoch()";
const EPOCHS: &str = "SELECT count(*) FROM message_store.epochs";

async fn write(session: &Session, count: i64) -> i64 {
    write_to(session, "shelf-1", count).await
}

async fn write_to(session: &Session, stream: &str, count: i64) -> i64 {
    let write = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar, '{stream}', 'T', '{{}}'))
         FROM generate_series(1, {count})"
    );
    session.run(&write).await.unwrap();
    last(session).await
}

async fn last(session: &Session) -> i64 {
    session
        .bigint("SELECT max(global_position) FROM message_store.messages")
        .await
}

async fn epoch(session: &Session) -> String {
    session.value(EPOCH).await.unwrap()
}

fn check(epoch: &str, position: i64) -> String {
    format!("SELECT message_store.check_position('{epoch}', {position})")
}

/// A store with three messages that are recorded as settled, and a standby that has them and no more; then
/// the primary writes two more, which nobody else has.
struct Parted {
    primary: Cluster,
    standby: Cluster,
    name: String,
    epoch: String,
}

impl Parted {
    async fn make() -> Self {
        let primary = Cluster::start(&[]);
        let store = primary.create_store().await;
        let session = store.connect().await;
        write(&session, 3).await;
        session.record_horizons().await;
        let epoch = epoch(&session).await;
        let name = store.name.clone();
        let standby = primary.start_standby(&[]);
        let followed = store.on(&standby).connect().await;
        followed
            .wait_until("SELECT count(*) = 1 FROM message_store.epochs")
            .await;
        drop(followed);
        standby.stop(StopMode::Fast);
        assert_eq!(write(&session, 2).await, 5);
        Self {
            primary,
            standby,
            name,
            epoch,
        }
    }

    /// The standby takes over.
    async fn promote(&self) -> Session {
        self.primary.stop(StopMode::Immediate);
        self.standby.start_again();
        let session = self.standby.connect(&self.name, "postgres").await;
        session.run("SELECT pg_promote()").await.unwrap();
        session
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_asynchronous_standby_lacked_is_noticed_and_no_position_comes_again() {
    let parted = Parted::make().await;
    let promoted = parted.promote().await;
    // The first writer goes beyond what may have been drawn, before anybody asks for the epoch.
    assert!(write(&promoted, 1).await > MARGIN);
    let before = last(&promoted).await;
    assert_eq!(write(&promoted, 1).await, before + 1, "once");
    let new = epoch(&promoted).await;
    assert_ne!(new, parted.epoch);
    assert_eq!(epoch(&promoted).await, new);
    assert_eq!(promoted.bigint(EPOCHS).await, 2);

    // A reader had come to 5 on the old primary; 4 and 5 are lost.
    let refusal = promoted.error(&check(&parted.epoch, 5)).await;
    assert_eq!(refusal.sqlstate, "55000");
    assert_eq!(
        refusal.message,
        "global position 5 may be of a log that was lost"
    );
    assert!(
        refusal.detail.contains("Up to 3 the log"),
        "{}",
        refusal.detail
    );
    assert!(
        refusal.hint.contains("Begin again after 3"),
        "{}",
        refusal.hint
    );
    assert_eq!(promoted.bigint(&check(&parted.epoch, 3)).await, 3);
    assert_eq!(promoted.bigint(&check(&new, before)).await, before);

    let unknown = "00000000-0000-0000-0000-000000000000";
    let refusal = promoted.error(&check(unknown, 1)).await;
    assert_eq!(refusal.sqlstate, "55000");
    assert!(
        refusal.message.contains("does not know"),
        "{}",
        refusal.message
    );

    // The commands that take a position take its epoch too.
    let store = promises::Database {
        cluster: &parted.standby,
        name: parted.name.clone(),
    };
    let (old, new_one) = (parted.epoch.as_str(), new.as_str());
    for command in ["read", "export"] {
        let from = |position, epoch| {
            store.command(&[command, "$all", "--position", position, "--epoch", epoch])
        };
        let refused = from("6", old);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (Some(1), ""),
            "{refused:?}"
        );
        assert!(
            refused.stderr.contains("Begin again after 3"),
            "{refused:?}"
        );
        let printed = from("4", old);
        assert_eq!(printed.code, Some(0), "{printed:?}");
        assert_eq!(printed.stdout.lines().count(), 2, "{printed:?}");
        assert_eq!(
            from(&(before + 1).to_string(), new_one)
                .stdout
                .lines()
                .count(),
            1
        );
    }
    let doctor = || store.command(&["doctor", "--json"]).stdout;
    assert!(
        doctor().contains("after position 3 may have been lost"),
        "{}",
        doctor()
    );

    // Where somebody knows that nothing was lost, he says so.
    let confirm =
        |epoch: &str| format!("SELECT message_store.confirm_epoch('{epoch}', 'synchronous')");
    assert_eq!(promoted.error(&confirm(unknown)).await.sqlstate, "22023");
    promoted.run(&confirm(&new)).await.unwrap();
    assert_eq!(promoted.bigint(&check(&parted.epoch, 5)).await, 5);
    assert!(!doctor().contains("may have been lost"), "{}", doctor());
}

#[tokio::test]
async fn a_restart_and_a_crash_begin_no_epoch() {
    let cluster = Cluster::start(&[]);
    let store = cluster.create_store().await;
    let session = store.connect().await;
    let first = epoch(&session).await;
    write(&session, 2).await;
    for mode in [StopMode::Fast, StopMode::Immediate] {
        cluster.restart(mode);
        let session = store.connect().await;
        assert!(write(&session, 1).await < 100);
        assert_eq!(epoch(&session).await, first);
        session.record_horizons().await;
        assert_eq!(session.bigint(EPOCHS).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_write_at_once_after_a_promotion_go_beyond_it_together() {
    let parted = Parted::make().await;
    let promoted = parted.promote().await;
    let open = parted.standby.connect(&parted.name, "postgres").await;
    // One that stays open keeps nobody.
    open.run("BEGIN").await.unwrap();
    write_to(&open, "cellar-1", 1).await;
    let mut writers = Vec::new();
    for number in 0..8 {
        let session = parted.standby.connect(&parted.name, "postgres").await;
        let stream = format!("shelf-{number}");
        writers.push(tokio::spawn(async move {
            write_to(&session, &stream, 50).await
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    open.run("COMMIT").await.unwrap();
    let positions = "SELECT count(DISTINCT global_position) FROM message_store.messages
                     WHERE global_position >= 1000000";
    assert_eq!(promoted.bigint(positions).await, 401);
    let span = "SELECT max(global_position) - min(global_position) FROM message_store.messages
                 WHERE global_position >= 1000000";
    assert!(promoted.bigint(span).await < 1000, "moved once");
    let askers = (0..4).map(|_| async {
        let session = parted.standby.connect(&parted.name, "postgres").await;
        epoch(&session).await
    });
    let mut names = Vec::new();
    for asker in askers {
        names.push(asker.await);
    }
    names.dedup();
    assert_eq!(names.len(), 1);
    assert_eq!(promoted.bigint(EPOCHS).await, 2);
}

#[tokio::test]
async fn a_copy_of_the_database_begins_an_epoch_of_its_own() {
    let cluster = Cluster::shared();
    let store = cluster.create_store().await;
    let session = store.connect().await;
    let before = epoch(&session).await;
    write(&session, 3).await;
    drop(session);
    let copy: Database = cluster.create_database_like(&store.name).await;
    let session = copy.connect().await;
    session.record_horizons().await;
    assert_ne!(epoch(&session).await, before);
    assert!(write(&session, 1).await > MARGIN);
    // Nothing was recorded in the original, so nothing is certain.
    let refusal = session.error(&check(&before, 3)).await;
    assert!(
        refusal.hint.contains("Begin again after 0"),
        "{}",
        refusal.hint
    );
}

/// That the server has replayed something of late says nothing of a database that was copied, or that a dump
/// brought.
#[tokio::test]
async fn a_copy_on_a_server_that_was_promoted_is_as_old_as_its_messages() {
    let primary = Cluster::start(&[]);
    let store = primary.create_store().await;
    let session = store.connect().await;
    let standby = primary.start_standby(&[]);
    let promoted = store.on(&standby).connect().await;
    write(&session, 3).await;
    let replayed = "SELECT count(*) = 3 FROM message_store.messages";
    promoted.wait_until(replayed).await;
    drop(session);
    promoted.run("SELECT pg_promote()").await.unwrap();
    write(&promoted, 1).await;
    let drawn = last(&promoted).await;
    promoted
        .run(
            "UPDATE message_store.messages SET time = time - interval '2 hours';
             DELETE FROM message_store.horizons",
        )
        .await
        .unwrap();
    drop(promoted);
    let copy = standby.create_database_like(&store.name).await;
    let session = copy.connect().await;
    let begins = write(&session, 1).await - drawn;
    assert!(begins > 7_200 * 100_000, "{begins}");
}

/// What an application has fetched and handled, and not acknowledged when the server lost it.
#[tokio::test]
async fn what_was_fetched_in_a_history_that_is_lost_is_not_acknowledged() {
    let cluster = Cluster::shared();
    let store = cluster.create_store().await;
    let session = store.connect().await;
    session
        .run(
            "SELECT message_store.create_subscription('reader', 'shelf', '{}');
             SELECT message_store.start('reader')",
        )
        .await
        .unwrap();
    write(&session, 1).await;
    drop(session);
    let old: Database = cluster.create_database_like(&store.name).await;
    let session = store.connect().await;
    write(&session, 1).await;
    let fetched = "SELECT global_position, lease FROM message_store.fetch('reader', 10, '1 min')";
    let fetched = session.run(fetched).await.unwrap();
    let [position, lease] = [0, 1].map(|column| fetched[1][column].as_deref().unwrap());
    let after = old.connect().await;
    for lease in [lease, "NULL"] {
        let refusal = after
            .error(&format!(
                "SELECT message_store.ack('reader', {position}, {lease})"
            ))
            .await;
        assert_eq!(refusal.sqlstate, "55000");
        assert!(
            refusal.detail.contains("lost it in a fail-over or restore"),
            "{refusal:?}"
        );
        assert!(refusal.hint.contains("Fetch again"), "{refusal:?}");
    }
    let comes = "SELECT count(*) FROM message_store.fetch('reader', 10, '1 min')";
    assert_eq!(after.bigint(comes).await, 1);
}

#[tokio::test]
async fn an_epoch_is_begun_by_hand_above_all_that_was_drawn() {
    let session = Cluster::shared().create_store().await.connect().await;
    let first = epoch(&session).await;
    write(&session, 3).await;
    for above in ["2", "100000000004", "9223372036854775807"] {
        let begin = format!("SELECT message_store.begin_epoch('a snapshot', {above})");
        let refusal = session.error(&begin).await;
        assert_eq!(refusal.sqlstate, "22023");
        assert_eq!(
            refusal.message,
            "above must be from 3, which was drawn here, to 100000000003"
        );
    }
    let refusal = session.error("SELECT message_store.begin_epoch(' ')").await;
    assert_eq!(refusal.message, "reason must not be empty");
    let begun = session
        .value("SELECT message_store.begin_epoch('a snapshot', 500)")
        .await
        .unwrap();
    assert_eq!(epoch(&session).await, begun);
    assert_ne!(begun, first);
    assert_eq!(write(&session, 1).await, 501);
    let begun = session
        .value("SELECT message_store.begin_epoch('another')")
        .await
        .unwrap();
    assert_eq!(epoch(&session).await, begun);
    assert!(write(&session, 1).await >= 502 + MARGIN);
    // A backup of two hours ago lacks what was drawn in them.
    session
        .run(
            "UPDATE message_store.messages SET time = time - interval '2 hours';
             DELETE FROM message_store.horizons",
        )
        .await
        .unwrap();
    let drawn = last(&session).await;
    session
        .run("SELECT message_store.begin_epoch('a backup')")
        .await
        .unwrap();
    let begins = write(&session, 1).await - drawn;
    assert!(
        begins > 7_200 * 100_000 && begins < 7_300 * 100_000,
        "{begins}"
    );
    for (arguments, message) in [
        ("NULL, 1", "epoch must not be NULL"),
        ("gen_random_uuid(), NULL", "position must not be NULL"),
    ] {
        let refusal = session
            .error(&format!("SELECT message_store.check_position({arguments})"))
            .await;
        assert_eq!(
            (refusal.sqlstate.as_str(), refusal.message.as_str()),
            ("22023", message)
        );
    }
}
