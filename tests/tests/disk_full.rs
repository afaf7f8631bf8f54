//! Promise: where the disk of the private cluster is full, writers are told so, what was acknowledged
//! stays, and everything goes on by itself once there is room.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;
use promises::{
    Ended, GuardedFolder, Running, Session, find_pg_config, orchestrator, orchestrator_program,
    run_to_end,
};

/// Room for a new cluster, its log and a few messages.
const DISK: &str = "size=160m";

/// `orchestrator up` on a small disk of its own: a file system in memory that only it and what it
/// starts can see, and that is gone with them.
struct SmallDisk {
    up: Running,
    folder: GuardedFolder,
}

impl SmallDisk {
    fn start() -> Self {
        let folder = GuardedFolder::new("store/cluster/postmaster.pid");
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let store = folder.path().join("store");
        fs::create_dir(&store).unwrap();
        let mut up = Command::new("unshare");
        up.args(namespaces());
        // The program takes the shell's place, and so its process id; what was needed to mount
        // stays behind, so that it is a program like any other.
        let script = "mount -t tmpfs -o \"$0\" none \"$1\" && shift && \
                      exec setpriv --ambient-caps=-all --inh-caps=-all -- \"$@\"";
        up.args(["sh", "-c", script, DISK]).arg(&store);
        let program = orchestrator();
        up.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => up.env(name, value),
                None => up.env_remove(name),
            };
        }
        up.args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&store);
        up.env("PG_CONFIG", find_pg_config());
        let up = Running::start(&mut up);
        up.home_page();
        Self { up, folder }
    }

    /// The disk, seen from here.
    fn disk(&self) -> PathBuf {
        let root = format!("/proc/{}/root", self.up.pid());
        let store = self.folder.path().join("store");
        Path::new(&root).join(store.strip_prefix("/").unwrap())
    }

    /// Writes until nothing more fits.
    fn fill(&self) -> PathBuf {
        let filler = self.disk().join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let zeroes = std::io::copy(&mut std::io::repeat(0), &mut file);
        let kind = zeroes.unwrap_err().kind();
        assert_eq!(kind, std::io::ErrorKind::StorageFull);
        filler
    }

    /// A session as the superuser, by the socket that is on the disk.
    async fn connect(&self, database: &str) -> Session {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.disk().join("socket"));
        Session::open(config.user("postgres").dbname(database)).await
    }

    /// A command for the private cluster, where its disk can be seen.
    fn say(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.up.pid().to_string()]);
        if !Uid::effective().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg("--")
            .arg(orchestrator_program())
            .args(arguments);
        command
            .arg("--data-dir")
            .arg(self.folder.path().join("store"));
        command.env_remove("DATABASE_URL");
        run_to_end(&mut command)
    }
}

/// Whoever is not root is it in a namespace of his own, as far as mounting goes.
fn namespaces() -> &'static [&'static str] {
    match Uid::effective().is_root() {
        true => &["--mount"],
        false => &["--user", "--map-current-user", "--keep-caps", "--mount"],
    }
}

#[test]
fn a_full_disk_is_named_and_all_goes_on_once_there_is_room() {
    let small = SmallDisk::start();
    let written = small.say(&["write", "viewings-1", "VideoViewed"]);
    assert_eq!(written.code, Some(0), "{written:?}");

    let filler = small.fill();
    // More than what is left of the page at hand, and of little use to compression.
    let data = format!("{{\"text\": \"{}\"}}", noise(60_000));
    let mut acknowledged = 1;
    let refused = loop {
        let ended = small.say(&["write", "noise-1", "Noise", &data]);
        match ended.code {
            Some(0) => acknowledged += 1,
            _ => break ended,
        }
        assert!(acknowledged < 1_000, "the disk is not full");
    };
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    for part in [
        "No space left on device",
        "Free space",
        "what was not acknowledged",
    ] {
        assert!(refused.stderr.contains(part), "no {part:?} in {refused:?}");
    }

    fs::remove_file(filler).unwrap();
    let again = small.say(&["write", "noise-1", "Noise", &data]);
    assert_eq!(again.code, Some(0), "{again:?}");
    acknowledged += 1;
    let read = small.say(&["read", "$all"]);
    assert_eq!(read.stdout.lines().count(), acknowledged, "{}", read.stderr);
    small.up.stop();
}

/// A store as version 0.2 made it.
const STORE_OF_0_2: &str = include_str!("../fixtures/store-0.2.sql");

#[tokio::test]
async fn an_update_on_a_full_disk_changes_nothing_and_is_made_once_there_is_room() {
    const UPDATE: &str = "ALTER EXTENSION message_store UPDATE";
    const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'message_store'";
    const WRITE: &str =
        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-1', 'A', '{}')";
    let small = SmallDisk::start();
    small
        .connect("postgres")
        .await
        .run("CREATE DATABASE old")
        .await
        .unwrap();
    let session = small.connect("old").await;
    // Not by VERSION '0.2.0': PostgreSQL's shortest way there is back from the present version.
    let create = "CREATE EXTENSION message_store VERSION '0.1.0'; \
                  ALTER EXTENSION message_store UPDATE TO '0.2.0'";
    session.run(create).await.unwrap();
    session.run(STORE_OF_0_2).await.unwrap();
    session.run(WRITE).await.unwrap();
    let filler = small.fill();
    let refused = session.error(UPDATE).await;
    assert_eq!(refused.sqlstate, "53100", "{refused:?}");
    assert_eq!(session.value(VERSION).await.as_deref(), Some("0.2.0"));

    fs::remove_file(filler).unwrap();
    session.run(UPDATE).await.unwrap();
    assert_eq!(
        session.value(VERSION).await.as_deref(),
        Some(env!("CARGO_PKG_VERSION"))
    );
    session.run(WRITE).await.unwrap();
    let messages = "SELECT count(*) FROM message_store.get_category_messages('viewings')";
    assert_eq!(session.bigint(messages).await, 2);
    small.up.stop();
}

/// Letters in an order that does not repeat.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 33 & 15).unwrap())
    };
    (0..length).map(letter).collect()
}
