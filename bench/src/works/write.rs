//! Writes, one message a transaction: `write_message`, Message DB's, and a bare prepared INSERT
//! into a table with the same columns and indexes, which is the limit of PostgreSQL itself. Then
//! other event stores, each beside ours through the same client, and queues.

use promises::Cluster;

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Unit};
use crate::line_up::LineUp;
use crate::peers::{self, Scripted, Task};
use crate::pgbench::{Load, Script};
use crate::server::create_bare_table;
use crate::viewing::{DATA, METADATA, TYPE, write_to};

/// How many clients write how, and how many times better ours is to be.
struct Setting {
    clients: u32,
    commits: &'static str,
    /// Of a session.
    options: &'static str,
    to_message_db: Option<f64>,
    to_bare_insert: Option<f64>,
}

const NATIVE: Setting = Setting {
    clients: 8,
    commits: "native fsync",
    options: "",
    to_message_db: None,
    to_bare_insert: None,
};

const SETTINGS: &[Setting] = &[
    Setting {
        clients: 1,
        to_message_db: Some(1.4),
        to_bare_insert: Some(1.0),
        ..NATIVE
    },
    NATIVE,
    Setting {
        clients: 32,
        to_message_db: Some(5.0),
        to_bare_insert: Some(1.0),
        ..NATIVE
    },
    Setting {
        clients: 64,
        commits: "commits of 1 ms",
        options: "-c commit_delay=1000 -c commit_siblings=0",
        to_message_db: Some(25.0),
        to_bare_insert: Some(1.0),
    },
];

/// Clients beside event stores in other languages, and beside queues.
const CLIENTS: u32 = 8;

/// All in one category, to a stream each.
const STREAM: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let mut contests = beside_bare_insert(bench, &cluster);
    let seconds = bench.sized(3.0, 0.2);
    let options = [
        format!("--clients={CLIENTS}"),
        format!("--seconds={seconds}"),
    ];
    let label = format!("{CLIENTS} clients");
    for peer in peers::driven() {
        let ours = (label.as_str(), peers::message_store());
        let line_up = peer.line_up(bench, &cluster, ours, "write", &options);
        contests.push(line_up.interleave(bench));
    }
    let queues = peers::queues(&cluster);
    if !queues.is_empty() {
        let ours = Scripted::ours(peers::message_store());
        let task = Task::Write {
            clients: CLIENTS,
            seconds: bench.sized(3, 1),
        };
        let label = format!("{CLIENTS} clients, queues");
        let line_up = peers::line_up(bench, &cluster, &label, (&ours, &queues), task);
        contests.push(line_up.interleave(bench));
    }
    contests.into_iter().map(Comparison::from).collect()
}

fn beside_bare_insert(bench: &Bench, cluster: &Cluster) -> Vec<Contest> {
    let store = bench.block_on(async {
        let store = cluster.create_store().await;
        create_bare_table(&store.connect().await).await;
        store
    });
    peers::install_message_db(cluster);
    let write_message = Script::new(&write_to(STREAM));
    let values = format!(
        "INSERT INTO bare.messages (id, stream_name, position, type, data, metadata) \
         VALUES (gen_random_uuid(), {STREAM}, 0, '{TYPE}', '{DATA}', '{METADATA}')"
    );
    let insert = Script::new(&format!("{values};"));
    let insert_returning = Script::new(&format!("{values} RETURNING position;"));

    let compare = |setting: &Setting| {
        let clients = setting.clients;
        let load = Load {
            clients,
            seconds: bench.sized(3, 1),
            options: setting.options.to_owned(),
        };
        let label = match clients {
            1 => format!("1 client, {}", setting.commits),
            _ => format!("{clients} clients, {}", setting.commits),
        };
        let unit = Unit::rate("messages a second");
        let line_up = LineUp::new(&label, unit, peers::message_store(), || {
            write_message.rate(cluster, &store.name, &load)
        });
        let line_up = line_up.against(peers::message_db(), || {
            write_message.rate(cluster, peers::MESSAGE_DB, &load)
        });
        let line_up = held_to(line_up, setting.to_message_db);
        let line_up = line_up.against(peers::bare_insert(), || {
            insert.rate(cluster, &store.name, &load)
        });
        let line_up = held_to(line_up, setting.to_bare_insert);
        let line_up = line_up.against(peers::insert_returning(), || {
            insert_returning.rate(cluster, &store.name, &load)
        });
        line_up.interleave(bench)
    };
    SETTINGS.iter().map(compare).collect()
}

fn held_to(line_up: LineUp<'_>, goal: Option<f64>) -> LineUp<'_> {
    match goal {
        Some(goal) => line_up.at_least(goal),
        None => line_up,
    }
}
