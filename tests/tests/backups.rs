//! Promise: a store goes back to a moment, as docs/production.md says, with pgBackRest: log, positions and
//! read models together.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use promises::{Cluster, DECLARED_HOME_PAGE, Session, StopMode};

const PAGE: &str = include_str!("../../docs/production.md");

const EPOCH: &str = "SELECT message_store.epoch()";

/// The lines of the page that begin so, without what indents them.
fn shown(beginning: &str) -> Vec<&'static str> {
    let lines: Vec<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(beginning))
        .collect();
    assert!(!lines.is_empty(), "docs/production.md shows no {beginning}");
    lines
}

/// The page's file, with our folders in it.
fn configuration(folder: &Path, data: &Path) -> String {
    let start = PAGE.find("    [global]\n").unwrap();
    let text = &PAGE[start..start + PAGE[start..].find("\n\n").unwrap()];
    let folder = folder.display();
    let text = text
        .replace("    ", "")
        .replace("/var/lib/postgresql/15/main", &data.display().to_string())
        .replace("/var/lib/pgbackrest", &format!("{folder}/repository"));
    text.replace(
        "[shop]",
        &format!("log-path={folder}\nlock-path={folder}\nspool-path={folder}\nlog-level-console=warn\n[shop]"),
    )
}

fn run(command: &mut Command) {
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {said}");
}

/// A command of the page, as the user of the server.
fn pgbackrest(cluster: &Cluster, configuration: &Path, line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = cluster.server_command(format!("/usr/bin/{}", words.next().unwrap()));
    command.arg(format!("--config={}", configuration.display()));
    command.args(words);
    command
}

async fn last(session: &Session) -> i64 {
    session
        .bigint("SELECT max(global_position) FROM message_store.messages")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_goes_back_to_a_moment_as_the_page_says() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let file = folder.path().join("pgbackrest.conf");
    let [command] = shown("archive_command = ")[..] else {
        panic!("one archive_command is shown")
    };
    let command = command.split('\'').nth(1).unwrap();
    let option = format!("pgbackrest --config={} ", file.display());
    let command = command.replace("pgbackrest ", &option);
    let cluster = Cluster::start(&[("archive_mode", "on"), ("archive_command", &command)]);
    let owner = fs::metadata(cluster.data_dir()).unwrap();
    chown(folder.path(), Some(owner.uid()), Some(owner.gid())).unwrap();
    let socket = format!("pg1-socket-path={}\n", cluster.socket_dir().display());
    let of = |data: &Path| configuration(folder.path(), data) + "\n" + &socket;
    fs::write(&file, of(&cluster.data_dir())).unwrap();

    let store = cluster.create_store().await;
    let session = store.connect().await;
    let running = store.deploy(DECLARED_HOME_PAGE).start();
    session.write_viewings(100).await;
    session.assert_videos_watched(100).await;
    let [create, check, backup, restore] = shown("pgbackrest ")[..] else {
        panic!("four commands are shown")
    };
    for line in [create, check, backup] {
        tokio::task::block_in_place(|| run(&mut pgbackrest(&cluster, &file, line)));
    }
    session.write_viewings(50).await;
    session.assert_videos_watched(150).await;
    let before = last(&session).await;
    let epoch = session.value(EPOCH).await.unwrap();
    session
        .run(shown("SELECT pg_create_restore_point")[0])
        .await
        .unwrap();
    session.write_viewings(20).await;
    session.assert_videos_watched(170).await;
    let lost = last(&session).await;
    let archived = session
        .value("SELECT pg_walfile_name(pg_switch_wal())")
        .await
        .unwrap();
    let is_archived = format!("SELECT last_archived_wal >= '{archived}' FROM pg_stat_archiver");
    session.wait_until(&is_archived).await;
    running.stop();
    drop(session);
    tokio::task::block_in_place(|| cluster.stop(StopMode::Fast));

    let restored_cluster = tokio::task::block_in_place(|| {
        cluster.start_copy(&[("archive_mode", "off")], |data| {
            fs::write(&file, of(data)).unwrap();
            run(&mut pgbackrest(&cluster, &file, restore));
        })
    });
    let restored = store.on(&restored_cluster);
    let session = restored.connect().await;
    session.wait_until("SELECT NOT pg_is_in_recovery()").await;
    assert_eq!(last(&session).await, before);
    session.assert_videos_watched(150).await;
    let verify = "SELECT count(*) FROM message_store.verify('aggregators:home-page')";
    assert_eq!(session.bigint(verify).await, 0);
    let running = restored.deploy(DECLARED_HOME_PAGE).start();
    session.write_viewings(5).await;
    session.assert_videos_watched(155).await;
    // No position that was lost comes again, and who has read one is told.
    let again = format!(
        "SELECT count(*) FROM message_store.messages WHERE global_position BETWEEN {} AND {lost}",
        before + 1
    );
    assert_eq!(session.bigint(&again).await, 0);
    assert!(last(&session).await > lost);
    assert_ne!(session.value(EPOCH).await.unwrap(), epoch);
    let check = format!("SELECT message_store.check_position('{epoch}', {lost})");
    assert_eq!(session.error(&check).await.sqlstate, "55000");
    running.stop();
}
