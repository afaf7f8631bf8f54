//! Writes, one message a transaction: `write_message`, Message DB's, and a bare prepared INSERT
//! into a table with the same columns and indexes, which is the limit of PostgreSQL itself.

use crate::bench::Bench;
use crate::comparison::{Comparison, Unit};
use crate::line_up::LineUp;
use crate::peers;
use crate::pgbench::{Load, Script};
use crate::server::create_bare_table;
use crate::viewing::{DATA, METADATA, TYPE};

/// How many clients write, how commits are flushed, and the options of a session for it.
const SETTINGS: &[(u32, &str, &str)] = &[
    (1, "native fsync", ""),
    (8, "native fsync", ""),
    (32, "native fsync", ""),
    (
        64,
        "commits of 1 ms",
        "-c commit_delay=1000 -c commit_siblings=0",
    ),
];

/// All in one category, to a stream each.
const STREAM: &str = "'viewings-' || gen_random_uuid()::varchar";

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let cluster = bench.start_server(&[]);
    let store = bench.block_on(async {
        let store = cluster.create_store().await;
        create_bare_table(&store.connect().await).await;
        store
    });
    peers::install_message_db(&cluster);
    let write_message = Script::new(&format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, {STREAM}, \
         '{TYPE}', '{DATA}', '{METADATA}');"
    ));
    let insert = Script::new(&format!(
        "INSERT INTO bare.messages (id, stream_name, position, type, data, metadata) \
         VALUES (gen_random_uuid(), {STREAM}, 0, '{TYPE}', '{DATA}', '{METADATA}');"
    ));

    let compare = |(clients, commits, options): &(u32, &str, &str)| {
        let load = Load {
            clients: *clients,
            seconds: bench.sized(3, 1),
            options: (*options).to_owned(),
        };
        let label = match clients {
            1 => format!("1 client, {commits}"),
            _ => format!("{clients} clients, {commits}"),
        };
        let unit = Unit::rate("messages a second");
        LineUp::new(&label, unit, peers::message_store(), || {
            write_message.rate(&cluster, &store.name, &load)
        })
        .against(peers::message_db(), || {
            write_message.rate(&cluster, peers::MESSAGE_DB, &load)
        })
        .against(peers::bare_insert(), || {
            insert.rate(&cluster, &store.name, &load)
        })
        .interleave(bench)
        .into()
    };
    SETTINGS.iter().map(compare).collect()
}
