//! A driver or client library, and the program in tests/peers/ that uses it.
//!
//! A program is given a category, a protocol, a path and a number. It writes three messages to a stream,
//! reads them, writes one with a wrong expected version, says `following` and follows the category until
//! it has seen that number of messages. It prints a line for each answer.

use std::collections::BTreeMap;
use std::process::Command;

use promises::Running;

use crate::programs;
use crate::store::{Path, Store};
use crate::table::{self, Row};

/// Messages that each writes to a stream of its own.
const OWN: usize = 3;
/// Who writes to the category while it follows, and how much.
const WRITERS: usize = 2;
const WRITTEN_BY_EACH: usize = 100;
const OPERATIONS: [&str; 4] = ["write", "read", "conflict", "follow"];
const FOLLOWED: usize = OWN + WRITERS * WRITTEN_BY_EACH;

pub struct Client {
    /// As the table calls it, without its version.
    pub name: &'static str,
    /// The source, from tests/peers/ on.
    pub program: &'static str,
    /// `text`, `binary`, or both.
    pub protocols: &'static [&'static str],
    /// Whether the error that it hands on has the SQLSTATE.
    pub shows_sqlstate: bool,
    /// The name of the only database that it connects to.
    pub database: Option<&'static str>,
    /// What it needs in pgbouncer's own configuration.
    pub pooler_settings: &'static str,
}

impl Client {
    /// One that knows both protocols and shows all that PostgreSQL says.
    pub const fn new(name: &'static str, program: &'static str) -> Self {
        Self {
            name,
            program,
            protocols: &["text", "binary"],
            shows_sqlstate: true,
            database: None,
            pooler_settings: "",
        }
    }

    /// Runs it wherever the table claims something: what gave the right answer must be what is claimed.
    pub async fn keep_the_table(&self) {
        let program = programs::command(self.program);
        // Fewer sessions than clients, so that they take turns.
        let store = Store::create(self.database, self.pooler_settings, 2).await;
        let mut ran = BTreeMap::new();
        for row in Row::all_of(self.name) {
            for path in Path::ALL {
                if row.claims_anything(path.name()) {
                    let operations = self.run(&program, &store, &row.protocol, path).await;
                    ran.insert((row.protocol.clone(), path.name()), operations);
                }
            }
        }
        assert_eq!(table::cells_of(self.name), ran, "{}", self.name);
    }

    /// Runs it with something else than a store, which must give the same answers.
    pub async fn get_the_same_answers(&self, store: &Store) {
        let program = programs::command(self.program);
        for protocol in self.protocols {
            let operations = self.run(&program, store, protocol, Path::Direct).await;
            assert_eq!(operations, OPERATIONS, "{} in {protocol}", self.name);
        }
    }

    /// Runs it twice in transaction mode, over the same session to the server, without what it needs
    /// there: the second must be told `refusal`.
    pub async fn is_refused_without_its_needs(&self, protocol: &str, refusal: &str) {
        let program = programs::command(self.program);
        let store = Store::create(self.database, self.pooler_settings, 1).await;
        // It believes that its session is its own.
        let told = Path::Session.name();
        let run = |category| {
            start(
                &program,
                &store,
                Path::Transaction,
                [category, protocol, told],
            )
        };
        let first = run("first");
        write_beside(&store, Path::Direct, "first").await;
        first.wait_for_print("done");
        let second = run("second");
        write_beside(&store, Path::Direct, "second").await;
        second.wait_for_log(refusal);
    }

    /// The operations whose answers are right; what is wrong about the others is printed.
    async fn run(
        &self,
        program: &Command,
        store: &Store,
        protocol: &str,
        path: Path,
    ) -> Vec<&'static str> {
        let client = self
            .name
            .replace(|letter| !char::is_alphanumeric(letter), "");
        let category = format!("{client}:{protocol}:{}", path.name());
        let arguments = [&category, protocol, path.name()];
        let running = start(program, store, path, arguments);
        running.wait_for_print("following");
        write_beside(store, path, &category).await;
        running.wait_for_print("done");
        let printed = running.printed();

        let at = format!("{} in {protocol}, {}", self.name, path.name());
        let lines_of = |operation| -> Vec<_> {
            let lines = printed.lines();
            lines
                .filter(|line| line.split(' ').next() == Some(operation))
                .collect()
        };
        assert_eq!(lines_of("format"), [format!("format {protocol}")], "{at}");
        let sqlstate = if self.shows_sqlstate { "P0001" } else { "-" };
        let conflict = format!(
            "conflict {sqlstate} Wrong expected version: 7 (Stream: {category}-1, Stream Version: 2)"
        );
        let followed = messages_of(store, &category).await;
        assert_eq!(followed.len(), FOLLOWED);
        let expected = [
            (
                "write",
                (0..OWN).map(|number| format!("write {number}")).collect(),
            ),
            (
                "read",
                (0..OWN)
                    .map(|number| format!("read {number} Noted {number}"))
                    .collect(),
            ),
            ("conflict", vec![conflict]),
            ("follow", followed),
        ];
        let right = expected.into_iter().filter(|(operation, expected)| {
            let is_right = lines_of(operation) == *expected;
            if !is_right {
                eprintln!("{at}: {:?}\nand not {expected:?}", lines_of(operation));
            }
            is_right
        });
        right.map(|(operation, _)| operation).collect()
    }
}

/// Starts a program with a category, a protocol and the name of a path. The kernel kills it when the
/// test's thread ends.
fn start(program: &Command, store: &Store, path: Path, arguments: [&str; 3]) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    command.arg(program.get_program()).args(program.get_args());
    command.args(arguments).arg(FOLLOWED.to_string());
    store.set_environment(&mut command, path);
    Running::start(&mut command)
}

/// Others write to the category on the same path, until they are done.
async fn write_beside(store: &Store, path: Path, category: &str) {
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let session = store.connect(path).await;
        let write = format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, \
               '{category}-writer{number}', 'Noted', '{{\"number\": 0}}')"
        );
        writers.push(tokio::spawn(async move {
            for _ in 0..WRITTEN_BY_EACH {
                session.run(&write).await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

/// What who follows the category must print.
async fn messages_of(store: &Store, category: &str) -> Vec<String> {
    let session = store.database.connect().await;
    let rows = session
        .run(&format!(
            "SELECT 'follow ' || global_position \
               FROM message_store.get_category_messages('{category}', 1, 1000)"
        ))
        .await;
    rows.unwrap().into_iter().flatten().flatten().collect()
}
