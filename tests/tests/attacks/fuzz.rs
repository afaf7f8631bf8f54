//! Every function of the schema, with whatever arguments, wherever it can be called: no backend ends,
//! no panic text, no XX000, and nobody becomes more.
//!
//! 10^5 calls in the ordinary run, the same every time; `FUZZ_CALLS=10000000` makes more, and
//! PROMISES_SEED others.

use std::collections::BTreeMap;
use std::sync::Arc;

use promises::{Cluster, Database, Random, Session, seed};
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

mod arguments;
mod places;

use arguments::{Function, one_of};
use places::Place;

/// Calls of the ordinary run.
const CALLS: i64 = 100_000;
/// Encodings, and how many tenths of the calls each gets.
const ENCODINGS: [(&str, i64); 3] = [("UTF8", 6), ("LATIN1", 2), ("SQL_ASCII", 2)];
/// Calls between two mistakes of an administrator, and calls that one of them lasts.
const MISTAKE_EVERY: i64 = 900;
const MISTAKE_LASTS: i64 = 60;
/// Calls between two times that sessions forget everything, and that one ends.
const FORGET_EVERY: i64 = 400;
const BEGIN_ANEW_EVERY: i64 = 5_000;
/// Calls that are told where one breaks the server.
const TOLD: usize = 12;

/// What a superuser changes by mistake, and how it is put right.
const MISTAKES: [(&str, &str); 9] = [
    (
        "ALTER TYPE message_store.message ADD ATTRIBUTE more text",
        "ALTER TYPE message_store.message DROP ATTRIBUTE more",
    ),
    (
        "ALTER TYPE message_store.tick_result ADD ATTRIBUTE more text",
        "ALTER TYPE message_store.tick_result DROP ATTRIBUTE more",
    ),
    (
        "ALTER TYPE message_store.new_message ADD ATTRIBUTE more text",
        "ALTER TYPE message_store.new_message DROP ATTRIBUTE more",
    ),
    (
        "ALTER TABLE message_store.messages RENAME data TO other",
        "ALTER TABLE message_store.messages RENAME other TO data",
    ),
    (
        "ALTER TABLE message_store.messages ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE message_store.messages DISABLE ROW LEVEL SECURITY",
    ),
    (
        "ALTER INDEX message_store.messages_category RENAME TO away; \
         CREATE INDEX messages_category ON message_store.messages (id)",
        "DROP INDEX message_store.messages_category; \
         ALTER INDEX message_store.away RENAME TO messages_category",
    ),
    (
        "ALTER INDEX message_store.messages_stream RENAME TO away; \
         CREATE INDEX messages_stream ON message_store.messages (time, id)",
        "DROP INDEX message_store.messages_stream; \
         ALTER INDEX message_store.away RENAME TO messages_stream",
    ),
    (
        "ALTER TABLE message_store.parked RENAME TO away",
        "ALTER TABLE message_store.away RENAME TO parked",
    ),
    (
        "ALTER SEQUENCE message_store.messages_global_position_seq CACHE 20",
        "ALTER SEQUENCE message_store.messages_global_position_seq CACHE 1",
    ),
];

/// What came of calls.
#[derive(Default)]
struct Count {
    calls: i64,
    /// Those that were not refused for what they were given.
    past: i64,
}

/// By encoding, place and function.
#[derive(Default)]
struct Counts(BTreeMap<String, Count>);

impl Counts {
    fn note(&mut self, of: String, past: bool) {
        let count = self.0.entry(of).or_default();
        count.calls += 1;
        count.past += i64::from(past);
    }

    fn add(&mut self, other: Self) {
        for (of, count) in other.0 {
            let sum = self.0.entry(of).or_default();
            sum.calls += count.calls;
            sum.past += count.past;
        }
    }

    /// Prints them, and requires that enough calls were more than refused.
    fn require_depth(&self) {
        let mut total = Count::default();
        let mut never = Vec::new();
        for (of, Count { calls, past }) in &self.0 {
            println!("{calls:>9} calls, {past:>9} past the checks: {of}");
            if of.starts_with("function") && *past == 0 {
                never.push(of);
            }
            if of.starts_with("encoding") {
                total.calls += calls;
                total.past += past;
            }
        }
        println!("{} calls, {} past the checks", total.calls, total.past);
        assert!(
            total.past * 10 >= total.calls * 3,
            "too few get past the checks"
        );
        assert!(never.is_empty(), "never past its checks: {never:?}");
    }
}

#[test]
fn no_call_breaks_the_server() {
    let calls = std::env::var("FUZZ_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    println!("PROMISES_SEED={} FUZZ_CALLS={calls}", seed());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let counts = runtime.block_on(async {
        let cluster = Arc::new(Cluster::start(&[("max_stack_depth", "1MB")]));
        let admin = cluster.connect("postgres", "postgres").await;
        let mut games = Vec::new();
        for (number, (encoding, tenths)) in ENCODINGS.into_iter().enumerate() {
            let name = format!("fuzz_{}", encoding.to_lowercase());
            let create = format!(
                "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
            );
            admin.run(&create).await.unwrap();
            let game = Game {
                cluster: cluster.clone(),
                name,
                encoding,
                calls: calls * tenths / 10,
                random: Random(seed().wrapping_add(number as u64)),
                counts: Counts::default(),
                last: Vec::new(),
            };
            game.set().await;
            games.push(tokio::spawn(game.play()));
        }
        let mut counts = Counts::default();
        for game in games {
            counts.add(game.await.unwrap());
        }
        let log = cluster.log();
        for sign in ["terminated by signal", "PANIC:", "TRAP:"] {
            let lines: Vec<&str> = log.lines().filter(|line| line.contains(sign)).collect();
            assert!(lines.is_empty(), "PROMISES_SEED={}: {lines:#?}", seed());
        }
        let more = "SELECT rolname FROM pg_roles \
                    WHERE rolname IN ('m', 'n') AND (rolsuper OR rolcreaterole)";
        assert!(admin.run(more).await.unwrap().is_empty());
        counts
    });
    counts.require_depth();
}

/// One database's share of the calls.
struct Game {
    cluster: Arc<Cluster>,
    name: String,
    encoding: &'static str,
    calls: i64,
    random: Random,
    counts: Counts,
    /// The last calls.
    last: Vec<String>,
}

impl Game {
    /// Makes the store and who is in it; roles are the cluster's, so one database after another.
    async fn set(&self) {
        let admin = self.cluster.connect(&self.name, "postgres").await;
        for part in include_str!("fuzz/scene.sql").split(";;\n") {
            let made = admin.run(part).await;
            made.unwrap_or_else(|error| panic!("{part}: {error:?}"));
        }
    }

    async fn play(mut self) -> Counts {
        let cluster = self.cluster.clone();
        let database = Database {
            cluster: &cluster,
            name: self.name.clone(),
        };
        let admin = database.connect().await;
        let functions = Function::all(&admin).await;
        let mut sessions = [
            database.connect_as("m").await,
            database.connect_as("n").await,
            database.connect().await,
        ];
        let mut mistake: Option<&str> = None;
        for call in 0..self.calls {
            if call % MISTAKE_EVERY == 0 {
                let (made, righted) = *one_of(&MISTAKES, &mut self.random);
                admin.run(made).await.unwrap();
                mistake = Some(righted);
            }
            if call % MISTAKE_EVERY == MISTAKE_LASTS
                && let Some(righted) = mistake.take()
            {
                admin.run(righted).await.unwrap();
            }
            self.call(&functions, &sessions).await;
            if call % FORGET_EVERY == FORGET_EVERY - 1 {
                for session in &sessions {
                    let _ = session.simple_query("ROLLBACK").await;
                    let _ = session.simple_query("DISCARD ALL").await;
                }
            }
            if call % BEGIN_ANEW_EVERY == BEGIN_ANEW_EVERY - 1 {
                sessions[0] = database.connect_as("m").await;
            }
        }
        if let Some(righted) = mistake {
            admin.run(righted).await.unwrap();
        }
        require_sound(&admin).await;
        self.counts
    }

    async fn call(&mut self, functions: &[Function], sessions: &[Session; 3]) {
        // A tenth are a superuser's.
        let who = match self.random.below(10) {
            0 => 2,
            number => usize::from(number > 5),
        };
        let function = one_of(functions, &mut self.random);
        let place = Place::any(&mut self.random, function.is_procedure);
        let arguments = function.arguments(&mut self.random);
        let statements = place.statements(&function.name, &arguments, &mut self.random);
        self.last.push(format!("{who}: {statements:?}"));
        if self.last.len() > TOLD {
            self.last.remove(0);
        }
        let mut past = true;
        for sql in &statements {
            match play(&sessions[who], sql, place.is_portal()).await {
                Ok(()) => {}
                Err(Trouble::Refused(state)) => past &= !is_for_arguments(&state),
                Err(Trouble::Broken(what)) => panic!(
                    "PROMISES_SEED={} in {}: {what}\nthe last calls:\n{}",
                    seed(),
                    self.encoding,
                    self.last.join("\n")
                ),
            }
        }
        self.counts
            .note(format!("encoding {}", self.encoding), past);
        self.counts.note(format!("place {place:?}"), past);
        self.counts
            .note(format!("function {}", function.name), past);
    }
}

enum Trouble {
    Refused(SqlState),
    Broken(String),
}

/// Runs it, and looks at what an error says; the rows do not matter.
async fn play(session: &Session, sql: &str, by_portal: bool) -> Result<(), Trouble> {
    let result = if by_portal {
        session.query(sql, &[]).await.map(drop)
    } else {
        session.simple_query(sql).await.map(drop)
    };
    let Err(error) = result else { return Ok(()) };
    let Some(said) = error.as_db_error() else {
        // Not all that a database in SQL_ASCII answers can be read by a client in UTF-8.
        return match session.is_closed() {
            true => Err(Trouble::Broken(format!("{error:?}: {sql}"))),
            false => Ok(()),
        };
    };
    let text = format!("{said:?}").to_lowercase();
    let is_of_a_panic = ["panicked", "unwrap()", "unreachable", "assertion"]
        .iter()
        .any(|word| text.contains(word));
    // Two changes of one row of a catalog at a time are PostgreSQL's own.
    let is_internal =
        said.code().code().starts_with("XX") && said.message() != "tuple concurrently updated";
    if is_internal || is_of_a_panic {
        return Err(Trouble::Broken(format!("{said:?}: {sql}")));
    }
    Err(Trouble::Refused(said.code().clone()))
}

/// A call is past the checks of its arguments when it did something, or failed at what it did.
fn is_for_arguments(state: &SqlState) -> bool {
    const FOR_ARGUMENTS: [&str; 15] = [
        "22023", "22P02", "42883", "42601", "42703", "42P02", "42725", "22021", "22P05", "2201W",
        "22003", "42804", "42602", "25P02", "0A000",
    ];
    FOR_ARGUMENTS.contains(&state.code())
}

/// Streams have no holes, and global positions rise in them.
async fn require_sound(admin: &Session) {
    let holes = "SELECT count(*) FROM (
        SELECT position, global_position,
               row_number() OVER w - 1 AS place, lag(global_position) OVER w AS before
        FROM message_store.messages
        WINDOW w AS (PARTITION BY stream_name ORDER BY position)) s
        WHERE position <> place OR before >= global_position";
    let answer = admin.simple_query(holes).await.unwrap();
    let is_none = |message: &SimpleQueryMessage| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("0"));
    assert!(answer.iter().any(is_none), "streams have holes");
}
