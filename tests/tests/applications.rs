//! Promise: an application that fetches and acknowledges handles every message at least once and
//! in order, whatever ends it; with an effect that knows its message, exactly once. Shown with the
//! programs of examples/.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use promises::{Cluster, Database, Profile, Running, Session, StopMode, build_program};

const ORDERS: i64 = 300;
const STREAMS: i64 = 7;
/// The order that has no email.
const UNSENDABLE: i64 = 100;
/// Those of its stream from it on.
const HELD_UP: i64 = (ORDERS - UNSENDABLE) / STREAMS + 1;

/// Mails that were sent after one of a later message.
const OUT_OF_ORDER: &str = "SELECT count(*) FROM ( \
       SELECT m.global_position < lag(m.global_position) OVER (PARTITION BY {scope} ORDER BY s.number) \
         FROM public.mails s JOIN message_store.messages m ON m.id::varchar = s.message_id \
     ) AS mails (is_late) WHERE is_late";

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Runs `install` where `installed` is missing. Tests may run at the same time: one installs, the
/// others wait for it.
fn install(list: &Path, installed: &Path, install: impl FnOnce()) {
    let lock = File::open(list).unwrap();
    lock.lock().unwrap();
    if !installed.exists() {
        install();
    }
}

fn node() -> Command {
    let folder = examples().join("node");
    install(
        &folder.join("package-lock.json"),
        &folder.join("node_modules/pg"),
        || {
            let ci = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(Command::new("npm").args(ci).arg("--prefix").arg(&folder));
        },
    );
    let mut command = Command::new("node");
    command.arg(folder.join("mailer.js"));
    command
}

fn python() -> Command {
    let folder = examples().join("python");
    let environment = folder.join(".venv");
    let list = folder.join("requirements.txt");
    let installed = environment.join("installed");
    install(&list, &installed, || {
        run(Command::new("python3")
            .args(["-m", "venv"])
            .arg(&environment));
        run(Command::new(environment.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&list));
        File::create(&installed).unwrap();
    });
    let mut command = Command::new(environment.join("bin/python"));
    command.arg(folder.join("mailer.py"));
    command
}

fn rust() -> Command {
    Command::new(build_program("mailer", Profile::Dev))
}

/// Starts the application; the kernel kills it when the test's thread ends.
fn start(program: &Command, database: &Database<'_>, lease_s: u32) -> Running {
    start_at(&database.url("message_store"), program, database, lease_s)
}

/// The same, with another address.
fn start_at(url: &str, program: &Command, database: &Database<'_>, lease_s: u32) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command.args(["sh", "-c", "exec \"$@\" >&2", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    database.cluster.set_client_environment(&mut command);
    command
        .env("DATABASE_URL", url)
        .env("LEASE_S", lease_s.to_string());
    Running::start(&mut command)
}

async fn set_up(database: &Database<'_>) -> Session {
    let session = database.connect().await;
    // The application needs no more than this role has.
    session
        .run(
            "GRANT CREATE ON SCHEMA public TO message_store; SET SESSION AUTHORIZATION message_store",
        )
        .await
        .unwrap();
    let sql = std::fs::read_to_string(examples().join("mailer.sql")).unwrap();
    session.run(&sql).await.unwrap();
    session.run("RESET SESSION AUTHORIZATION").await.unwrap();
    let orders = format!(
        "SELECT count(message_store.write_message(gen_random_uuid()::varchar, \
           'order-' || n % {STREAMS}, 'OrderPlaced', \
           CASE n WHEN {UNSENDABLE} THEN '{{}}' \
                  ELSE jsonb_build_object('email', n || '@example.com') END)) \
         FROM generate_series(1, {ORDERS}) AS n"
    );
    assert_eq!(session.bigint(&orders).await, ORDERS);
    session
}

/// Starts it, and kills it after it has sent a mail and before it has said so.
async fn kill_before_an_acknowledgement(program: &Command, database: &Database<'_>) {
    let session = database.connect().await;
    // Not asked in the transactions that block: they would see the same sessions every time.
    let blocked_by = |blocker: i32| {
        format!("FROM pg_stat_activity WHERE {blocker} = ANY (pg_blocking_pids(pid))")
    };
    let (mails, progress) = (database.connect().await, database.connect().await);
    mails
        .run("BEGIN; LOCK TABLE public.mails IN SHARE MODE")
        .await
        .unwrap();
    let mailer = start(program, database, 4);
    let has_blocked = |blocker| format!("SELECT count(*) > 0 {}", blocked_by(blocker));
    session.wait_until(&has_blocked(mails.pid)).await;
    progress
        .run("BEGIN; SELECT FROM message_store.subscription_progress FOR UPDATE")
        .await
        .unwrap();
    mails.run("COMMIT").await.unwrap();
    session.wait_until(&has_blocked(progress.pid)).await;
    mailer.kill();
    // Its session would acknowledge as soon as it could.
    let end_session = format!(
        "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 30000)) {}",
        blocked_by(progress.pid)
    );
    assert_eq!(session.bigint(&end_session).await, 1);
    progress.run("ROLLBACK").await.unwrap();
}

async fn mails_each_order_once(program: Command) {
    let database = Cluster::shared().create_store().await;
    let session = set_up(&database).await;
    let count = |least: i64| format!("SELECT count(*) >= {least} FROM public.mails");

    let mailer = start(&program, &database, 1);
    session.wait_until(&count(40)).await;
    mailer.kill();
    kill_before_an_acknowledgement(&program, &database).await;
    let mailer = start(&program, &database, 1);
    mailer.wait_for_log("mailed before");

    session.wait_until(&count(ORDERS - HELD_UP)).await;
    let is_at_the_end = "SELECT position = head AND lag = 0 FROM message_store.subscription_status";
    session.wait_until(is_at_the_end).await;
    let out_of_order = OUT_OF_ORDER.replace("{scope}", "true");
    assert_eq!(session.bigint(&out_of_order).await, 0);
    let parked = "SELECT status, error, count(*) FROM message_store.parked_messages \
         GROUP BY status, error ORDER BY status";
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        session.run(parked).await.unwrap(),
        [
            vec![text("failed"), text("the order has no email"), text("1")],
            vec![text("waiting"), None, text(&(HELD_UP - 1).to_string())],
        ]
    );

    let discard = "SELECT message_store.discard_parked('services:mailer', 'nobody to write to')";
    assert_eq!(session.bigint(discard).await, 1);
    session.wait_until(&count(ORDERS - 1)).await;
    let left = "SELECT count(*) = 0 FROM message_store.parked_messages WHERE status <> 'discarded'";
    session.wait_until(left).await;
    let out_of_order = OUT_OF_ORDER.replace("{scope}", "m.stream_name");
    assert_eq!(session.bigint(&out_of_order).await, 0);
    let mails = "SELECT count(*) FROM public.mails s \
         JOIN message_store.messages m ON m.id::varchar = s.message_id \
         WHERE m.data ->> 'email' = s.recipient";
    assert_eq!(session.bigint(mails).await, ORDERS - 1);
    mailer.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_node_mails_each_order_once() {
    mails_each_order_once(node()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_python_mails_each_order_once() {
    mails_each_order_once(python()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_in_rust_mails_each_order_once() {
    mails_each_order_once(rust()).await;
}

/// As examples/README.md says: with the addresses of both servers the Rust one goes on by itself, and the one in
/// Python when it is started again, as a service is.
#[tokio::test(flavor = "multi_thread")]
async fn applications_go_on_at_the_server_that_took_over() {
    for (program, ends) in [(rust(), false), (python(), true)] {
        let primary = Cluster::start(&[]);
        let database = primary.create_store().await;
        let standby = primary.start_standby(&[]);
        let session = set_up(&database).await;
        let sockets = [&primary, &standby].map(|one| one.socket_dir().display().to_string());
        let url = format!(
            "host={} dbname={} user=message_store target_session_attrs=read-write",
            sockets.join(","),
            database.name
        );
        let mut mailer = start_at(&url, &program, &database, 1);
        let some = "SELECT count(*) >= 40 FROM public.mails";
        session.wait_until(some).await;
        let arrived = "SELECT pg_current_wal_flush_lsn() <= replay_lsn FROM pg_stat_replication";
        session.wait_until(arrived).await;
        drop(session);
        primary.stop(StopMode::Immediate);
        let database = database.on(&standby);
        let session = database.connect().await;
        session.run("SELECT pg_promote()").await.unwrap();
        if ends {
            mailer.wait_for_exit();
            mailer = start_at(&url, &program, &database, 1);
        }
        let all = format!(
            "SELECT count(DISTINCT message_id) >= {} FROM public.mails",
            ORDERS - HELD_UP
        );
        session.wait_until(&all).await;
        mailer.kill();
    }
}
