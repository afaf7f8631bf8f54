//! Every function of the schema, with whatever arguments, in whatever state of a session, while an
//! administrator cancels and alters: no backend ends, no panic text, no XX000, and nobody becomes
//! more.
//!
//! 10^5 calls in the ordinary run; `FUZZ_CALLS=10000000` makes more, and PROMISES_SEED others. The
//! calls of each session are the same for the same seed; how sessions interleave is not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

use promises::{Cluster, Random, seed, server_program};

mod counts;
mod disturber;
mod functions;
mod oracle;
mod states;
mod values;
mod wire;

use counts::Counts;
use disturber::{FOR_GOOD, Victim, disturb};
use functions::{Function, one_of};
use states::State;
use wire::{Request, Wire};

/// Calls of the ordinary run.
const CALLS: u64 = 100_000;
/// Encodings of databases that can have a store, and how many tenths of the calls each gets. Clients
/// have others too.
const ENCODINGS: [(&str, u64); 1] = [("UTF8", 10)];
/// Who calls, and how many tenths of the calls each makes.
const ROLES: [(&str, u64); 3] = [("m", 5), ("n", 4), ("su", 1)];
/// Calls of the time of one store, and how many of them come after it was broken for good.
const CALLS_OF_A_STORE: u64 = 5_000;
const CALLS_AFTER: u64 = 200;
/// Calls between two times that a session forgets everything and makes its subscriptions anew.
const FORGET_EVERY: u64 = 60;
/// Calls of one session between two disturbances that it asks for.
const DISTURB_EVERY: u64 = 20;
/// Calls that are told where one breaks the server.
const TOLD: usize = 30;

#[test]
fn no_call_breaks_the_server() {
    let calls = std::env::var("FUZZ_CALLS").map_or(CALLS, |calls| calls.parse().unwrap());
    println!("PROMISES_SEED={} FUZZ_CALLS={calls}", seed());
    // Whatever waits ends soon; a server under valgrind takes twenty times as long.
    let (statement_timeout, lock_timeout) = match server_program() {
        Some(_) => ("10s", "4s"),
        None => ("500ms", "200ms"),
    };
    // Little stack, so that recursion ends soon; the readers' conditions are there to be tried.
    let cluster = Cluster::start(&[
        ("max_stack_depth", "1MB"),
        ("statement_timeout", statement_timeout),
        ("lock_timeout", lock_timeout),
        ("message_store.sql_condition", "on"),
        ("max_worker_processes", "16"),
        ("log_min_messages", "log"),
        ("log_min_error_statement", "panic"),
    ]);
    let counts = Mutex::new(Counts::default());
    let wrongs = Mutex::new(Wrongs::default());
    let is_over = AtomicBool::new(false);
    let (counts_ref, wrongs_ref, cluster_ref) = (&counts, &wrongs, &cluster);
    let is_over_ref = &is_over;
    thread::scope(|scope| {
        for (number, (encoding, tenths)) in ENCODINGS.into_iter().enumerate() {
            scope.spawn(move || {
                let calls = calls * tenths / 10;
                let stores = calls.div_ceil(CALLS_OF_A_STORE);
                for store in 0..stores {
                    if is_over_ref.load(Ordering::Relaxed) {
                        break;
                    }
                    let game = Game {
                        cluster: cluster_ref,
                        encoding,
                        number: number as u64 * 1_000_000 + store,
                        wrongs: wrongs_ref,
                        last: Mutex::default(),
                        is_over: is_over_ref,
                    };
                    counts_ref.lock().unwrap().add(game.play(calls / stores));
                }
            });
        }
    });
    oracle::require_calm_log(&cluster).unwrap();
    wrongs.into_inner().unwrap().require_none();
    let counts = counts.into_inner().unwrap();
    counts.print();
    counts.require_depth();
    if calls >= CALLS {
        counts.require_breadth();
    }
}

/// Answers that nobody may see, each with the call that got it first.
#[derive(Default)]
struct Wrongs(BTreeMap<String, String>);

impl Wrongs {
    fn require_none(&self) {
        let told: Vec<String> = self
            .0
            .iter()
            .map(|(wrong, call)| format!("{wrong}\nto {call}"))
            .collect();
        assert!(told.is_empty(), "{}", told.join("\n\n"));
    }
}

/// The time of one store.
struct Game<'a> {
    cluster: &'a Cluster,
    encoding: &'static str,
    /// Which one of all: each has numbers of its own.
    number: u64,
    wrongs: &'a Mutex<Wrongs>,
    /// The last calls of all sessions.
    last: Mutex<VecDeque<String>>,
    /// Something is broken: nobody goes on.
    is_over: &'a AtomicBool,
}

impl Game<'_> {
    fn play(&self, calls: u64) -> Counts {
        let database = format!("fuzz_{}", self.encoding.to_lowercase());
        let mut postgres = self.open_unhurried("postgres", "UTF8");
        self.set(&mut postgres, &database);
        let mut admin = self.open_unhurried(&database, self.encoding);
        let functions = Function::all(&mut admin);
        let mut counts = self.phase(
            &database,
            &functions,
            calls - CALLS_AFTER.min(calls / 10),
            0,
        );
        self.require(oracle::require_sound(&mut admin));
        let broken = FOR_GOOD[(self.number % FOR_GOOD.len() as u64) as usize];
        admin.rows(broken).unwrap();
        counts.add(self.phase(&database, &functions, CALLS_AFTER.min(calls / 10), 1));
        drop(admin);
        let gone = postgres.rows(&format!("DROP DATABASE {database} WITH (FORCE)"));
        gone.unwrap();
        counts
    }

    /// Some calls of everybody, with a disturber.
    fn phase(&self, database: &str, functions: &[Function], calls: u64, phase: u64) -> Counts {
        let victims: [Mutex<Victim>; ROLES.len()] = Default::default();
        let (words, heard) = mpsc::sync_channel(1);
        let mut counts = Counts::default();
        thread::scope(|scope| {
            let mut admin = self.open_unhurried(database, self.encoding);
            // Players have to end for a mistake to be put right: it does not wait for them.
            admin.rows("RESET lock_timeout").unwrap();
            let (random, all) = (self.random(9 + phase), &victims);
            let disturber = scope.spawn(move || disturb(admin, all, &heard, random));
            let players = ROLES.into_iter().zip(&victims).enumerate();
            let players = players.map(|(number, ((role, tenths), victim))| {
                let player = Player {
                    game: self,
                    database,
                    role,
                    victim,
                    random: self.random(2 * number as u64 + phase),
                    counts: Counts::default(),
                    // What comes after the store was broken is disturbed no more.
                    words: (phase == 0).then(|| words.clone()),
                };
                scope.spawn(move || player.play(functions, calls * tenths / 10))
            });
            let players: Vec<_> = players.collect();
            drop(words);
            for player in players {
                counts.add(player.join().unwrap());
            }
            counts.disturb(disturber.join().unwrap());
        });
        counts
    }

    fn random(&self, number: u64) -> Random {
        Random(seed().wrapping_add(self.number * 1_000 + number))
    }

    /// Makes the store and what is around it; the roles are the cluster's.
    fn set(&self, postgres: &mut Wire, database: &str) {
        let encoding = self.encoding;
        let create = format!(
            "CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        );
        postgres.rows(&create).unwrap();
        let mut admin = self.open_unhurried(database, encoding);
        for part in include_str!("fuzz/scene.sql").split(";;\n") {
            admin.rows(part).unwrap();
        }
    }

    fn open(&self, database: &str, role: &str, client_encoding: &str) -> Wire {
        Wire::open(self.cluster.socket_dir(), database, role, client_encoding).unwrap()
    }

    /// A session of the superuser, whose statements take the time that they need.
    fn open_unhurried(&self, database: &str, client_encoding: &str) -> Wire {
        let mut wire = self.open(database, "postgres", client_encoding);
        let unhurried = wire.rows("SET statement_timeout = 0; SET lock_timeout = 0");
        unhurried.unwrap();
        wire
    }

    /// Ends the test where something is wrong, and tells how to come here again.
    fn require<T>(&self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|wrong| {
            self.is_over.store(true, Ordering::Relaxed);
            let last: Vec<String> = self.last.lock().unwrap().iter().cloned().collect();
            panic!(
                "PROMISES_SEED={}, store {} in {}: {wrong}\nthe last calls:\n{}\nthe log: {:?}",
                seed(),
                self.number,
                self.encoding,
                last.join("\n"),
                oracle::require_calm_log(self.cluster)
            )
        })
    }
}

/// One session of a role, and those that follow when it is terminated.
struct Player<'a> {
    game: &'a Game<'a>,
    database: &'a str,
    role: &'static str,
    victim: &'a Mutex<Victim>,
    random: Random,
    counts: Counts,
    words: Option<mpsc::SyncSender<()>>,
}

impl Player<'_> {
    fn play(mut self, functions: &[Function], calls: u64) -> Counts {
        let mut wire = self.connect();
        for call in 0..calls {
            if self.game.is_over.load(Ordering::Relaxed) {
                break;
            }
            if call % FORGET_EVERY == 0 {
                self.forget(&mut wire);
            }
            if call % DISTURB_EVERY == DISTURB_EVERY - 1
                && let Some(words) = &self.words
            {
                // Where the disturber is busy, that is disturbance enough.
                let _ = words.try_send(());
            }
            let function = one_of(functions, &mut self.random);
            let state = State::any(function, &mut self.random);
            let requests = state.requests(function, self.role, &mut self.random);
            if let Some(sqlstates) = self.exchange(&mut wire, state, &requests) {
                let sqlstates: Vec<&str> = sqlstates.iter().map(String::as_str).collect();
                let encoding = self.game.encoding;
                self.counts
                    .note(encoding, state, &function.signature, &sqlstates);
            }
        }
        self.counts
    }

    /// The session's state is gone, and its role's subscriptions are as they were.
    fn forget(&mut self, wire: &mut Wire) {
        let anew = include_str!("fuzz/subscriptions.sql").replace("{me}", self.role);
        let mut requests: Vec<Request> = vec!["ROLLBACK".into(), "DISCARD ALL".into()];
        requests.extend(anew.split(";\n").map(Request::from));
        self.exchange(wire, State::Query, &requests);
    }

    /// Plays it, judges what is answered, and returns its SQLSTATEs; `None` where the session was
    /// terminated, and another one took its place.
    fn exchange(
        &mut self,
        wire: &mut Wire,
        state: State,
        requests: &[Request],
    ) -> Option<Vec<String>> {
        let told = format!("{} in {state:?}: {}", self.role, tell(requests));
        {
            let mut last = self.game.last.lock().unwrap();
            last.push_back(told.clone());
            if last.len() > TOLD {
                last.pop_front();
            }
        }
        match wire.play(requests) {
            Ok(refusals) => {
                for refusal in &refusals {
                    if let Err(wrong) = oracle::judge(refusal) {
                        let wrongs = &mut self.game.wrongs.lock().unwrap().0;
                        wrongs
                            .entry(wrong)
                            .or_insert_with(|| format!("store {}: {told}", self.game.number));
                    }
                }
                let sqlstates = refusals.into_iter().map(|refusal| refusal.sqlstate);
                Some(sqlstates.collect())
            }
            Err(gone) => {
                let was_terminated = self.victim.lock().unwrap().is_terminated;
                let judged = oracle::judge_end(&gone, was_terminated);
                self.game
                    .require(judged.map_err(|wrong| format!("{wrong}\nto {told}")));
                *wire = self.connect();
                None
            }
        }
    }

    fn connect(&mut self) -> Wire {
        let own = self.game.encoding;
        let client_encoding = *one_of(
            &[own, own, own, "UTF8", "LATIN1", "SQL_ASCII"],
            &mut self.random,
        );
        let wire = self.game.open(self.database, self.role, client_encoding);
        *self.victim.lock().unwrap() = Victim {
            pid: wire.pid,
            is_terminated: false,
        };
        wire
    }
}

/// Requests as a person reads them.
fn tell(requests: &[Request]) -> String {
    let told = requests.iter().map(|request| match request {
        Request::Simple(sql) => sql.escape_ascii().to_string(),
        Request::Extended {
            sql,
            parameters,
            rows,
        } => {
            format!("{sql} by {rows} rows with {parameters:?}")
        }
    });
    told.collect::<Vec<_>>().join("\n    ")
}
