//! Stores that are used by SQL alone: the scripts of pgbench in a folder of `bench/peers/`.

use std::fs;

use promises::{Cluster, Database};

use super::driver::{Client, output_of};
use super::folder;
use crate::bench::Bench;
use crate::comparison::{Identity, Unit};
use crate::line_up::LineUp;
use crate::pgbench::{Load, Script};
use crate::server::drop_database;

/// Messages that a transaction of `write_batch.sql` writes and one of `catch_up.sql` handles.
const BATCH: u32 = 1_000;

/// A store with its scripts.
pub struct Scripted {
    /// Who it is.
    pub identity: Identity,
    /// Of its scripts.
    pub(super) folder: &'static str,
    /// The script that makes a log of batches.
    pub(super) fill: &'static str,
    /// Makes what `prepare.sql` needs.
    pub(super) installer: Option<Client>,
}

/// What everybody in a line-up does once a run.
#[derive(Clone, Copy)]
pub enum Task {
    /// Clients write one message a transaction, for so many seconds.
    Write {
        /// At the same time.
        clients: u32,
        /// How long.
        seconds: u32,
    },
    /// One client writes a batch a transaction, for so many seconds.
    WriteBatch {
        /// How long.
        seconds: u32,
    },
    /// One client handles a log that is there.
    CatchUp {
        /// How long it is: whole batches.
        messages: u32,
    },
}

/// The same task by ours and by all others, each run in a new database.
pub fn line_up<'a>(
    bench: &'a Bench,
    cluster: &'a Cluster,
    label: &str,
    (ours, others): (&'a Scripted, &'a [Scripted]),
    task: Task,
) -> LineUp<'a> {
    let unit = Unit::rate("messages a second");
    let run = |store: &'a Scripted| move || store.rate(bench, cluster, task);
    let line_up = LineUp::new(label, unit, ours.identity.clone(), run(ours));
    others.iter().fold(line_up, |line_up, other| {
        line_up.against(other.identity.clone(), run(other))
    })
}

impl Scripted {
    /// Ours, under a name that says what of it runs.
    pub fn ours(identity: Identity) -> Self {
        Self {
            identity,
            folder: "message_store",
            fill: "write_batch",
            installer: None,
        }
    }

    /// Messages a second in a new database.
    fn rate(&self, bench: &Bench, cluster: &Cluster, task: Task) -> f64 {
        let database = bench.block_on(cluster.create_database());
        self.prepare(&database);
        let for_seconds = |script: &str, clients, seconds| {
            let load = Load {
                clients,
                seconds,
                options: String::new(),
            };
            self.script(script).rate(cluster, &database.name, &load)
        };
        let rate = match task {
            Task::Write { clients, seconds } => for_seconds("write", clients, seconds),
            Task::WriteBatch { seconds } => {
                for_seconds("write_batch", 1, seconds) * f64::from(BATCH)
            }
            Task::CatchUp { messages } => self.catch_up(bench, &database, messages),
        };
        bench.block_on(drop_database(database));
        rate
    }

    fn prepare(&self, database: &Database<'_>) {
        if let Some(installer) = self.installer {
            installer.prepare(database);
        }
        let mut psql = database.cluster.client_command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"])
            .args(["--dbname", &database.name, "--file"])
            .arg(folder().join(self.folder).join("prepare.sql"));
        output_of(&mut psql);
    }

    fn catch_up(&self, bench: &Bench, database: &Database<'_>, messages: u32) -> f64 {
        let repeat = |script: &str| {
            let script = self.script(script);
            script.repeat(database.cluster, &database.name, messages / BATCH, "")
        };
        repeat(self.fill);
        let session = bench.block_on(database.connect());
        bench.block_on(session.run("VACUUM (ANALYZE)")).unwrap();
        let rate = repeat("catch_up") * f64::from(BATCH);
        let sql = "SELECT sum(viewings)::bigint FROM bench.viewing_counts";
        let counted = bench.block_on(session.bigint(sql));
        let folder = self.folder;
        assert_eq!(
            counted,
            i64::from(messages),
            "{folder}: every message is counted once"
        );
        rate
    }

    fn script(&self, name: &str) -> Script {
        let file = folder().join(self.folder).join(format!("{name}.sql"));
        let sql = fs::read_to_string(&file);
        Script::new(&sql.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    }
}
