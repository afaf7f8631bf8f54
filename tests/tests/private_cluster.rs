//! Promise: `orchestrator up` is all it takes: a private PostgreSQL with the data of last time,
//! in nobody's way, gone when it is told to go; as root and as an ordinary user.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, User};
use promises::{
    GuardedFolder, HOME_PAGE, Running, Session, find_pg_config, orchestrator, orchestrator_at,
    orchestrator_program, run_to_end,
};

/// A folder for `up`.
struct Home {
    folder: GuardedFolder,
}

impl Home {
    fn new() -> Self {
        let folder = GuardedFolder::new("store/cluster/postmaster.pid");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// `up` on any free port.
    fn up(&self) -> Command {
        let mut command = orchestrator();
        self.complete(command.arg("up").args(["--listen", "127.0.0.1:0"]));
        command
    }

    fn complete(&self, command: &mut Command) {
        command.arg("--data-dir").arg(self.data_dir());
        command.env("PG_CONFIG", find_pg_config());
    }

    async fn connect(&self) -> Session {
        let url = fs::read_to_string(self.data_dir().join("url")).unwrap();
        Session::open(&url.trim().parse().unwrap()).await
    }

    fn server_pid(&self) -> Option<String> {
        let file = self.data_dir().join("cluster/postmaster.pid");
        let text = fs::read_to_string(file).ok()?;
        text.lines().next().map(str::to_owned)
    }

    fn assert_server_is_gone(&self) {
        assert_eq!(self.server_pid(), None);
        assert!(!self.data_dir().join("url").exists());
    }
}

fn start(command: &mut Command) -> Running {
    let running = Running::start(command);
    running.home_page();
    running
}

#[tokio::test]
async fn the_data_is_there_the_next_time() {
    let home = Home::new();
    let running = start(&mut home.up());
    let mut write = orchestrator();
    write.args(["write", "viewings-1", "VideoViewed"]);
    home.complete(&mut write);
    let written = run_to_end(&mut write);
    assert_eq!(written.code, Some(0), "{written:?}");
    home.connect().await.assert_videos_watched(1).await;
    assert!(!running.log().contains("dashboard"), "{}", running.log());
    running.stop();
    home.assert_server_is_gone();

    let running = start(home.up().arg("--dashboard"));
    let overview = format!("{}/admin", running.dashboard());
    assert_eq!(promises::get(&overview).0, 200);
    let session = home.connect().await;
    session.write_viewings(2).await;
    session.assert_videos_watched(3).await;
    running.stop();
    home.assert_server_is_gone();
}

#[tokio::test]
async fn after_a_kill_the_next_up_goes_on_with_the_same_data() {
    let home = Home::new();
    let running = start(&mut home.up());
    let session = home.connect().await;
    session.write_viewings(5).await;
    session.assert_videos_watched(5).await;
    running.kill();
    // The server outlives it, and is written to.
    session.write_viewings(5).await;
    let server = home.server_pid();
    let running = start(&mut home.up());
    assert_eq!(home.server_pid(), server);
    session.assert_videos_watched(10).await;
    running.stop();
    home.assert_server_is_gone();
}

#[tokio::test]
async fn two_stores_run_side_by_side_and_a_third_up_of_one_is_refused() {
    let homes = [Home::new(), Home::new()];
    // Without --listen: both want the same port.
    let both = homes.each_ref().map(|home| {
        let mut up = orchestrator();
        home.complete(up.arg("up"));
        start(&mut up)
    });
    assert_ne!(both[0].home_page(), both[1].home_page());
    for (viewings, home) in (1..).zip(&homes) {
        let session = home.connect().await;
        session.write_viewings(viewings).await;
        session.assert_videos_watched(viewings).await;
    }
    let refused = run_to_end(&mut homes[0].up());
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let pid = format!("process {}", both[0].pid());
    assert!(refused.stderr.contains(&pid), "{refused:?}");
    for (running, home) in both.into_iter().zip(&homes) {
        running.stop();
        home.assert_server_is_gone();
    }
}

/// Who the orchestrator's own sessions are, and whose its subscriptions are.
const TICKING: &str = "
    SELECT (SELECT string_agg(DISTINCT usename, ',' ORDER BY usename) FROM pg_stat_activity
             WHERE application_name = 'orchestrator') = 'orchestrator'
       AND (SELECT bool_and(owner = 'orchestrator'::regrole) FROM message_store.subscription_status)
       AND NOT (SELECT bool_or(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication
                               OR rolbypassrls) FROM pg_roles WHERE rolname ~ '^orchestrator')";

/// What `up` of 0.2.0 made: it ticked as a superuser, which owned what it declared.
const AS_BEFORE: &str = "UPDATE message_store.subscriptions SET owner = current_user::regrole";

/// Looks until the home page has counted so many, by whatever subscription.
async fn wait_until_counted(session: &Session, viewings: i64) {
    let sql = format!(
        "SELECT coalesce((SELECT (page_data ->> 'videosWatched')::bigint = {viewings}
           FROM message_store.read_model_pages WHERE page_name = 'home'), false)"
    );
    session.wait_until(&sql).await;
}

/// Whether the copy of the home page has what the live one has.
const IS_COPIED: &str = "
    SELECT bool_and(s.position = s.head) AND count(*) = 1 FROM message_store.subscription_status s
    WHERE s.copy_of = 'aggregators:home-page'";

#[tokio::test]
async fn a_rebuild_that_an_older_up_began_goes_on() {
    let home = Home::new();
    let running = start(&mut home.up());
    let session = home.connect().await;
    session.write_viewings(2).await;
    session.assert_videos_watched(2).await;
    session.run(AS_BEFORE).await.unwrap();
    // So that the copy has something left to do.
    session
        .run("SELECT message_store.rebuild('aggregators:home-page', side_by_side => true)")
        .await
        .unwrap();
    session.write_viewings(1).await;
    running.stop();

    let running = start(&mut home.up());
    let session = home.connect().await;
    session.write_viewings(1).await;
    session.assert_videos_watched(4).await;
    session.wait_until(TICKING).await;
    session.wait_until(IS_COPIED).await;
    session
        .run(
            "SET ROLE orchestrator; SELECT message_store.promote('aggregators:home-page');
              RESET ROLE",
        )
        .await
        .unwrap();
    session.write_viewings(1).await;
    session.assert_videos_watched(5).await;
    running.stop();
}

#[tokio::test]
async fn what_ones_own_configuration_declared_stays_the_superusers_until_it_is_handed_over() {
    let home = Home::new();
    let file = home.folder.path().join("config.toml");
    let own = HOME_PAGE.replace("aggregators:home-page", "aggregators:own");
    fs::write(&file, own).unwrap();
    let running = start(home.up().arg("--config").arg(&file));
    let session = home.connect().await;
    session.write_viewings(1).await;
    wait_until_counted(&session, 1).await;
    session.run(AS_BEFORE).await.unwrap();
    running.stop();

    let running = start(home.up().arg("--config").arg(&file));
    running.wait_for_log("subscription \"aggregators:own\" belongs to another role");
    let session = home.connect().await;
    session.write_viewings(1).await;
    wait_until_counted(&session, 2).await;
    session
        .run(
            "UPDATE message_store.subscriptions SET owner = 'orchestrator'
              WHERE subscriber_id = 'aggregators:own'",
        )
        .await
        .unwrap();
    running.wait_for_log("declared");
    session.write_viewings(1).await;
    wait_until_counted(&session, 3).await;
    running.stop();
}

#[tokio::test]
async fn what_somebody_made_of_the_ticking_role_is_taken_away() {
    let home = Home::new();
    let running = start(&mut home.up());
    let session = home.connect().await;
    session.wait_until(TICKING).await;
    session
        .run(
            "ALTER ROLE orchestrator SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS NOLOGIN;
             ALTER ROLE orchestrator_operator CREATEROLE NOLOGIN NOINHERIT",
        )
        .await
        .unwrap();
    running.stop();

    let running = start(home.up().arg("--dashboard"));
    let session = home.connect().await;
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    let are_modest = "SELECT bool_and(rolcanlogin AND rolinherit) AND NOT bool_or(rolsuper
        OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
        FROM pg_roles WHERE rolname ~ '^orchestrator'";
    assert_eq!(session.value(are_modest).await.as_deref(), Some("t"));
    running.stop();
}

#[tokio::test]
async fn what_ticks_is_nobody_special() {
    let home = Home::new();
    let running = start(&mut home.up());
    let session = home.connect().await;
    session.write_viewings(1).await;
    session.assert_videos_watched(1).await;
    session.wait_until(TICKING).await;
    session.run(AS_BEFORE).await.unwrap();
    running.stop();

    let running = start(&mut home.up());
    let session = home.connect().await;
    session.wait_until(TICKING).await;
    session.write_viewings(1).await;
    session.assert_videos_watched(2).await;
    running.stop();
}

#[tokio::test]
async fn ctrl_c_in_a_terminal_stops_all_of_it_cleanly() {
    let home = Home::new();
    let mut running = start(home.up().process_group(0));
    home.connect().await.write_viewings(1).await;
    // A terminal signals everybody of the group, not only the first.
    killpg(Pid::from_raw(running.pid()), Signal::SIGINT).unwrap();
    assert_eq!(running.wait_for_exit().code(), Some(0), "{}", running.log());
    home.assert_server_is_gone();
    let log = fs::read_to_string(home.data_dir().join("cluster/postgresql.log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
    assert!(
        log.trim_end().ends_with("database system is shut down"),
        "{log}"
    );
}

#[tokio::test]
async fn a_killed_private_server_is_started_again() {
    let home = Home::new();
    let running = start(&mut home.up());
    let session = home.connect().await;
    session.write_viewings(5).await;
    session.assert_videos_watched(5).await;
    drop(session);
    running.wait_for_log("connected to");
    let pid = home.server_pid().unwrap().parse().unwrap();
    nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    running.wait_for_log("starting it again");
    running.wait_for_logs("connected to", 2);
    let session = home.connect().await;
    session.write_viewings(5).await;
    session.assert_videos_watched(10).await;
    running.stop();
    home.assert_server_is_gone();
}

#[tokio::test]
async fn an_ordinary_user_needs_no_rights() {
    let home = Home::new();
    let program = home.folder.path().join("orchestrator");
    fs::copy(orchestrator_program(), &program).unwrap();
    let mut up = orchestrator_at(&program);
    home.complete(up.arg("up").args(["--listen", "127.0.0.1:0"]));
    up.current_dir(home.folder.path());
    if Uid::effective().is_root() {
        let nobody = User::from_name("nobody").unwrap().unwrap();
        chown(
            home.folder.path(),
            Some(nobody.uid.as_raw()),
            Some(nobody.gid.as_raw()),
        )
        .unwrap();
        up.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    }
    let running = start(&mut up);
    let session = home.connect().await;
    session.write_viewings(3).await;
    session.assert_videos_watched(3).await;
    running.stop();
    home.assert_server_is_gone();
}
