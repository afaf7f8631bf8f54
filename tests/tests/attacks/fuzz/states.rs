//! Where a function is called: in a query, a cursor, a handler, a trigger, wherever SQL can stand.

use promises::Random;

use super::functions::{Function, below, one_of};
use super::values::INVALID;
use super::wire::Request;

/// A state of the session that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Query,
    From,
    Lateral,
    Cursor,
    CursorAcrossSavepoint,
    HeldCursor,
    Do,
    Loop,
    Chained,
    ExceptionBlock,
    Savepoint,
    ReadOnly,
    RepeatableRead,
    Serializable,
    Prepared,
    Portal,
    Parameters,
    Parallel,
    Copy,
    Handler,
    HandlerWithOpenCursor,
    Trigger,
    TriggerOnMessages,
    DeferredTrigger,
    Default,
    IndexExpression,
    View,
    Aborted,
    HostilePath,
    HostileTemp,
    RowSecurity,
    Replica,
    TinyMemory,
    Timeout,
    Cancel,
    InvalidText,
    RawBytes,
    Procedure,
}

pub const ALL: [State; 38] = [
    State::Query,
    State::From,
    State::Lateral,
    State::Cursor,
    State::CursorAcrossSavepoint,
    State::HeldCursor,
    State::Do,
    State::Loop,
    State::Chained,
    State::ExceptionBlock,
    State::Savepoint,
    State::ReadOnly,
    State::RepeatableRead,
    State::Serializable,
    State::Prepared,
    State::Portal,
    State::Parameters,
    State::Parallel,
    State::Copy,
    State::Handler,
    State::HandlerWithOpenCursor,
    State::Trigger,
    State::TriggerOnMessages,
    State::DeferredTrigger,
    State::Default,
    State::IndexExpression,
    State::View,
    State::Aborted,
    State::HostilePath,
    State::HostileTemp,
    State::RowSecurity,
    State::Replica,
    State::TinyMemory,
    State::Timeout,
    State::Cancel,
    State::InvalidText,
    State::RawBytes,
    State::Procedure,
];

impl State {
    /// Any: half of the calls are plain queries. A procedure stands alone.
    pub fn any(function: &Function, random: &mut Random) -> Self {
        if function.is_procedure {
            return Self::Procedure;
        }
        match random.below(4) {
            0 => Self::Query,
            1 => Self::From,
            _ => ALL[below(ALL.len() - 1, random)],
        }
    }

    /// Whether an error of the call comes back as an error. A handler's is the subscription's.
    pub fn tells(self) -> bool {
        !matches!(self, Self::Handler | Self::HandlerWithOpenCursor)
    }

    /// What is sent for a call by `role`.
    pub fn requests(self, function: &Function, role: &str, random: &mut Random) -> Vec<Request> {
        let call = function.call(role, random);
        let quoted = call.replace('\'', "''");
        // What stands in a message is run by whoever handles it.
        let for_anybody = quoted.replace(&format!("{role}.trap()"), "true");
        let select = format!("SELECT {call}");
        let other = match role {
            "m" => "n",
            _ => "m",
        };
        // No limit of time holds in a commit, where held cursors are run and deferred triggers fire.
        let waits = ["wait_for", "pg_sleep"]
            .iter()
            .any(|word| call.contains(word));
        let before_commit = match waits {
            true => "SET CONSTRAINTS ALL IMMEDIATE",
            false => "SELECT 1",
        };
        match self {
            Self::Query => one(select),
            Self::From => one(format!("SELECT * FROM {call}")),
            Self::Lateral => one(format!(
                "SELECT * FROM generate_series(1, 3) g, LATERAL {call} AS c LIMIT 2"
            )),
            Self::Cursor => in_transaction(
                "BEGIN",
                &format!(
                    "DECLARE c SCROLL CURSOR FOR SELECT {call}; FETCH 1 FROM c; \
                     MOVE BACKWARD ALL FROM c; FETCH ALL FROM c; CLOSE c"
                ),
            ),
            Self::CursorAcrossSavepoint => in_transaction(
                "BEGIN",
                &format!(
                    "DECLARE c CURSOR FOR SELECT g, message_store.hash_64(g::varchar) \
                     FROM generate_series(1, 9) g; SAVEPOINT a; FETCH 2 FROM c; {select}; \
                     SELECT message_store.tick('of:{other}', 3); FETCH 2 FROM c; ROLLBACK TO a; \
                     FETCH 2 FROM c; {select}; FETCH ALL FROM c"
                ),
            ),
            Self::HeldCursor => vec![
                match waits {
                    true => format!("BEGIN; DECLARE held CURSOR FOR {select}"),
                    false => format!("DECLARE held CURSOR WITH HOLD FOR {select}"),
                }
                .into(),
                format!("FETCH 1 FROM held; SELECT message_store.tick('of:{other}', 3)").into(),
                "FETCH ALL FROM held".into(),
                "ROLLBACK; CLOSE ALL".into(),
            ],
            Self::Do => one(format!("DO $fuzz$ BEGIN PERFORM {call}; END $fuzz$")),
            Self::Loop => one(format!(
                "DO $fuzz$ DECLARE r record; BEGIN FOR r IN SELECT * FROM {call} LOOP \
                   PERFORM message_store.tick('of:{other}', 1); EXIT; END LOOP; END $fuzz$"
            )),
            Self::Chained => one(format!(
                "DO $fuzz$ BEGIN PERFORM {call}; COMMIT; PERFORM {call}; ROLLBACK; \
                   PERFORM {call}; END $fuzz$"
            )),
            Self::ExceptionBlock => one(format!(
                "DO $fuzz$ BEGIN BEGIN PERFORM {call}; PERFORM 1 / 0; \
                   EXCEPTION WHEN OTHERS THEN NULL; END; PERFORM {call}; END $fuzz$"
            )),
            Self::Savepoint => in_transaction(
                "BEGIN",
                &format!("SAVEPOINT a; {select}; ROLLBACK TO a; {select}; RELEASE a"),
            ),
            Self::ReadOnly => in_transaction("BEGIN READ ONLY", &select),
            Self::RepeatableRead => {
                in_transaction("BEGIN ISOLATION LEVEL REPEATABLE READ", &select)
            }
            Self::Serializable => in_transaction(
                "BEGIN ISOLATION LEVEL SERIALIZABLE",
                &format!("SELECT 1; {select}"),
            ),
            Self::Prepared => vec![
                format!("PREPARE p AS {select}").into(),
                "EXECUTE p".into(),
                one_of(
                    &[
                        "ALTER TABLE fuzz.pages ADD COLUMN IF NOT EXISTS more text",
                        "ALTER TABLE fuzz.pages DROP COLUMN IF EXISTS more",
                        "CREATE OR REPLACE FUNCTION fuzz.prepare() RETURNS void LANGUAGE sql AS ''",
                        "ANALYZE fuzz.pages",
                    ],
                    random,
                )
                .to_string()
                .into(),
                "EXECUTE p".into(),
                "DEALLOCATE ALL".into(),
            ],
            Self::Portal => vec![Request::Extended {
                sql: format!("SELECT * FROM {call}"),
                parameters: Vec::new(),
                rows: i32::try_from(random.below(3)).unwrap(),
            }],
            Self::Parameters => {
                let (call, parameters) = function.call_with_parameters(role, random);
                vec![Request::Extended {
                    sql: format!("SELECT {call}"),
                    parameters,
                    rows: i32::try_from(random.below(3)).unwrap(),
                }]
            }
            Self::Parallel => vec![
                "SELECT set_config(name, 'on', false) FROM pg_settings \
                 WHERE name IN ('force_parallel_mode', 'debug_parallel_query')"
                    .into(),
                one_of(
                    &[
                        format!("SELECT {call} FROM generate_series(1, 3)"),
                        "SELECT message_store.category(name), message_store.id(name), \
                           message_store.hash_64(name), message_store.cardinal_id(name), \
                           message_store.is_category(name) FROM fuzz.names"
                            .to_owned(),
                    ],
                    random,
                )
                .clone()
                .into(),
                "RESET ALL".into(),
            ],
            Self::Copy => one(format!("COPY (SELECT {call}) TO STDOUT")),
            Self::Handler => {
                let subscriber = *one_of(&["of:m", "of:n", "run:m", "run:n"], random);
                let batch_size = one_of(&[1, 3, 50], random);
                vec![
                    write_sql("fuzz-h", "T", &for_anybody).into(),
                    format!("SELECT message_store.tick('{subscriber}', {batch_size})").into(),
                    format!("SELECT message_store.start('{subscriber}')").into(),
                ]
            }
            Self::HandlerWithOpenCursor => vec![
                format!(
                    "BEGIN; DECLARE outer_cursor CURSOR FOR SELECT * FROM fuzz.names; \
                     FETCH 1 FROM outer_cursor; SELECT pg_advisory_lock_shared(7); {}; \
                     SAVEPOINT a; SELECT message_store.tick('of:{other}'); \
                     FETCH 1 FROM outer_cursor; ROLLBACK TO a; \
                     SELECT message_store.tick('run:{other}'); FETCH ALL FROM outer_cursor; COMMIT",
                    write_sql("fuzz-h", "T", &for_anybody)
                )
                .into(),
                "ROLLBACK; SELECT pg_advisory_unlock_all()".into(),
            ],
            Self::Trigger => one(format!(
                "INSERT INTO fuzz.triggers VALUES ('SELECT {quoted}')"
            )),
            Self::TriggerOnMessages => one(write_sql("other-1", "Trigger", &for_anybody)),
            Self::DeferredTrigger => in_transaction(
                "BEGIN",
                &format!(
                    "CREATE TEMP TABLE d (sql text) ON COMMIT DROP; \
                     CREATE CONSTRAINT TRIGGER d AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED \
                       FOR EACH ROW EXECUTE FUNCTION fuzz.run(); \
                     INSERT INTO d VALUES ('SELECT {quoted}'), ('SELECT {role}.trap()'), \
                       ('INSERT INTO d VALUES (''SELECT {role}.trap()'')'); \
                     SELECT message_store.tick('of:{other}'); {before_commit}"
                ),
            ),
            Self::Default => in_transaction(
                "BEGIN",
                &format!(
                    "CREATE TEMP TABLE t (x int, y text DEFAULT ({call})::text) ON COMMIT DROP; \
                     INSERT INTO t VALUES (1), (2)"
                ),
            ),
            Self::IndexExpression => in_transaction(
                "BEGIN",
                &format!(
                    "CREATE TEMP TABLE t (x varchar) ON COMMIT DROP; \
                     INSERT INTO t VALUES ('a-1'), (''), (NULL), ('-'); \
                     CREATE INDEX ON t (message_store.category(x), message_store.id(x), \
                       message_store.cardinal_id(x), message_store.hash_64(x), \
                       message_store.is_category(x)); \
                     SELECT * FROM t WHERE message_store.category(x) = 'a'; {select}"
                ),
            ),
            Self::View => in_transaction(
                "BEGIN",
                &format!("CREATE TEMP VIEW v AS SELECT {call} AS x; SELECT * FROM v"),
            ),
            Self::Aborted => vec![
                "BEGIN; SELECT 1 / 0".into(),
                select.into(),
                "ROLLBACK".into(),
            ],
            Self::HostilePath => vec![
                format!("SET search_path = {role}, pg_temp, message_store, pg_catalog").into(),
                select.into(),
                format!("SELECT message_store.tick('of:{role}', 3)").into(),
                "RESET search_path".into(),
            ],
            Self::HostileTemp => vec![
                format!(
                    "CREATE TEMP TABLE messages (x int); CREATE TEMP TABLE pg_class (x int); \
                     CREATE DOMAIN pg_temp.name AS pg_catalog.text CHECK ({role}.trap()); \
                     CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK ({role}.trap()); \
                     CREATE TYPE pg_temp.message AS (id varchar); \
                     CREATE FUNCTION pg_temp.to_jsonb(anyelement) RETURNS bigint LANGUAGE sql AS \
                       'SELECT {role}.trap()::int::bigint'"
                )
                .into(),
                select.into(),
                "DISCARD TEMP".into(),
            ],
            Self::RowSecurity => vec![
                "SET row_security = off".into(),
                select.into(),
                "RESET row_security".into(),
            ],
            Self::Replica => vec![
                "SET session_replication_role = replica".into(),
                select.into(),
                "RESET session_replication_role".into(),
            ],
            Self::TinyMemory => vec![
                "SET work_mem = '64kB'; SET hash_mem_multiplier = 1".into(),
                format!("SELECT * FROM {call}").into(),
                "RESET work_mem; RESET hash_mem_multiplier".into(),
            ],
            Self::Timeout => vec![
                format!("SET statement_timeout = {}", 1 + random.below(4)).into(),
                format!("SELECT {call}, {call}").into(),
                "RESET statement_timeout".into(),
            ],
            // The cancel is there before the call, which meets it at its first look.
            Self::Cancel => one(format!(
                "SELECT pg_cancel_backend(pg_backend_pid()), {call}"
            )),
            Self::InvalidText => {
                let bytes: String = one_of(INVALID, random)
                    .iter()
                    .map(|byte| format!("\\x{byte:02x}"))
                    .collect();
                invalid_text(role, &bytes, &call)
            }
            Self::RawBytes => {
                let mut requests = invalid_text(role, "{bad}", &call);
                let bad = *one_of(INVALID, random);
                for request in &mut requests {
                    if let Request::Simple(sql) = request {
                        *sql = replace(sql, b"{bad}", bad);
                    }
                }
                if random.below(2) == 0 {
                    let mut anywhere = select.into_bytes();
                    let place = below(anywhere.len(), random);
                    anywhere.splice(place..place, bad.iter().copied());
                    requests.push(Request::Simple(anywhere));
                }
                requests
            }
            Self::Procedure => match random.below(4) {
                0 => one(format!("DO $fuzz$ BEGIN CALL {call}; END $fuzz$")),
                1 => in_transaction("BEGIN", &format!("SELECT 1; CALL {call}")),
                2 => vec![Request::Extended {
                    sql: format!("CALL {call}"),
                    parameters: Vec::new(),
                    rows: 1,
                }],
                _ => one(format!("CALL {call}")),
            },
        }
    }
}

fn one(sql: String) -> Vec<Request> {
    vec![sql.into()]
}

fn in_transaction(begin: &str, body: &str) -> Vec<Request> {
    vec![format!("{begin}; {body}; COMMIT").into(), "ROLLBACK".into()]
}

/// Writes a message whose handler or trigger runs a function; `quoted` stands in a literal.
fn write_sql(stream_name: &str, message_type: &str, quoted: &str) -> String {
    format!(
        "SELECT message_store.write_message(gen_random_uuid()::varchar, '{stream_name}', \
         '{message_type}', jsonb_build_object('sql', 'SELECT {quoted}'))"
    )
}

/// Text that is none, stored, read, handled, parked and shown wherever there is a place for it.
fn invalid_text(role: &str, bytes: &str, call: &str) -> Vec<Request> {
    let statements = [
        format!(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, E'fuzz{bytes}-{bytes}', \
             E'T{bytes}', jsonb_build_object(E'k{bytes}', E'v{bytes}'))"
        ),
        format!(
            "SELECT message_store.create_subscription(E's:{role}{bytes}', E'fuzz{bytes}', \
             jsonb_build_object(E'T{bytes}', 'fuzz.handle'), \
             jsonb_build_object('types', jsonb_build_array(E'T{bytes}')))"
        ),
        format!(
            "SELECT message_store.start(E's:{role}{bytes}'), message_store.tick(E's:{role}{bytes}'), \
               message_store.pause(E's:{role}{bytes}', E'r{bytes}')"
        ),
        format!(
            "SELECT message_store.park('fetched:{role}', global_position, E'e{bytes}', lease) \
             FROM message_store.fetch('fetched:{role}', 1, '1 min')"
        ),
        format!("SELECT * FROM message_store.get_stream_messages(E'fuzz{bytes}-{bytes}')"),
        format!(
            "SELECT * FROM message_store.get_category_messages(E'fuzz{bytes}', \
             condition => E'type = ''T{bytes}'' ')"
        ),
        format!(
            "SELECT message_store.category(E'{bytes}-{bytes}'), message_store.id(E'{bytes}-{bytes}'), \
             message_store.hash_64(E'{bytes}'), message_store.cardinal_id(E'a-{bytes}+{bytes}'), {call}"
        ),
        "SELECT * FROM message_store.parked_messages; \
         SELECT * FROM message_store.subscription_history; \
         SELECT * FROM message_store.subscription_status"
            .to_owned(),
    ];
    statements.into_iter().map(Request::from).collect()
}

fn replace(text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.windows(what.len()).position(|part| part == what) {
        replaced.extend_from_slice(&rest[..place]);
        replaced.extend_from_slice(by);
        rest = &rest[place + what.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
