//! Where a function is called: in a query, a cursor, a handler, a trigger, wherever SQL can stand.

use promises::Random;

use super::arguments::one_of;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    Query,
    From,
    Cursor,
    HeldCursor,
    Do,
    ExceptionBlock,
    Savepoint,
    ReadOnly,
    RepeatableRead,
    Serializable,
    Prepared,
    Portal,
    Parallel,
    Handler,
    Trigger,
    DeferredTrigger,
    Default,
    IndexExpression,
    View,
    Aborted,
    HostilePath,
    HostileTemp,
    TinyMemory,
    Timeout,
    Cancel,
    InvalidText,
    Procedure,
}

const ALL: [Place; 26] = [
    Place::Query,
    Place::From,
    Place::Cursor,
    Place::HeldCursor,
    Place::Do,
    Place::ExceptionBlock,
    Place::Savepoint,
    Place::ReadOnly,
    Place::RepeatableRead,
    Place::Serializable,
    Place::Prepared,
    Place::Portal,
    Place::Parallel,
    Place::Handler,
    Place::Trigger,
    Place::DeferredTrigger,
    Place::Default,
    Place::IndexExpression,
    Place::View,
    Place::Aborted,
    Place::HostilePath,
    Place::HostileTemp,
    Place::TinyMemory,
    Place::Timeout,
    Place::Cancel,
    Place::InvalidText,
];

/// Bytes that are no text in UTF-8.
const INVALID: [&str; 5] = [r"\xff", r"\xc3\x28", r"\xed\xa0\x80", r"\xe9", r"\xf8\x88"];

impl Place {
    /// Any; plain queries are half of all, and a procedure stands alone.
    pub fn any(random: &mut Random, is_procedure: bool) -> Self {
        if is_procedure {
            return Self::Procedure;
        }
        match random.below(4) {
            0 => Self::Query,
            1 => Self::From,
            _ => *one_of(&ALL, random),
        }
    }

    /// Whether it goes by the extended protocol.
    pub fn is_portal(self) -> bool {
        self == Self::Portal
    }

    /// What is sent, one after another.
    pub fn statements(self, function: &str, arguments: &str, random: &mut Random) -> Vec<String> {
        let call = format!("message_store.{function}({arguments})");
        let quoted = call.replace('\'', "''");
        let in_transaction = |begin: &str, body: String| {
            vec![format!("{begin}; {body}; COMMIT"), "ROLLBACK".to_owned()]
        };
        match self {
            Self::Query => vec![format!(
                "SET message_store.sql_condition = on; SELECT {call}"
            )],
            Self::Portal => vec![format!("SELECT {call}")],
            Self::From => vec![format!("SELECT * FROM {call}")],
            Self::Cursor => in_transaction(
                "BEGIN",
                format!(
                    "DECLARE c SCROLL CURSOR FOR SELECT {call}; FETCH 1 FROM c; \
                     MOVE BACKWARD ALL FROM c; FETCH ALL FROM c; CLOSE c"
                ),
            ),
            Self::HeldCursor => vec![
                format!("DECLARE held CURSOR WITH HOLD FOR SELECT {call}"),
                "FETCH ALL FROM held".to_owned(),
                "CLOSE ALL".to_owned(),
            ],
            Self::Do => vec![format!("DO $fuzz$ BEGIN PERFORM {call}; END $fuzz$")],
            Self::ExceptionBlock => vec![format!(
                "DO $fuzz$ BEGIN BEGIN PERFORM {call}; EXCEPTION WHEN OTHERS THEN NULL; END; \
                 PERFORM {call}; END $fuzz$"
            )],
            Self::Savepoint => in_transaction(
                "BEGIN",
                format!("SAVEPOINT a; SELECT {call}; ROLLBACK TO a; SELECT {call}; RELEASE a"),
            ),
            Self::ReadOnly => in_transaction("BEGIN READ ONLY", format!("SELECT {call}")),
            Self::RepeatableRead => in_transaction(
                "BEGIN ISOLATION LEVEL REPEATABLE READ",
                format!("SELECT {call}"),
            ),
            Self::Serializable => in_transaction(
                "BEGIN ISOLATION LEVEL SERIALIZABLE",
                format!("SELECT 1; SELECT {call}"),
            ),
            Self::Prepared => vec![
                format!("PREPARE p AS SELECT {call}"),
                "EXECUTE p".to_owned(),
                "ANALYZE fuzz.pages".to_owned(),
                "EXECUTE p".to_owned(),
                "DEALLOCATE ALL".to_owned(),
            ],
            Self::Parallel => vec![
                "SELECT set_config(name, 'on', false) FROM pg_settings \
                 WHERE name IN ('force_parallel_mode', 'debug_parallel_query')"
                    .to_owned(),
                format!("SELECT {call} FROM generate_series(1, 3)"),
                "RESET ALL".to_owned(),
            ],
            Self::Handler => {
                let subscriber = *one_of(&["of:m", "of:n"], random);
                vec![
                    format!(
                        "SELECT message_store.write_message(gen_random_uuid()::varchar, 'fuzz-h', \
                         'T', jsonb_build_object('sql', 'SELECT {quoted}'))"
                    ),
                    format!("SELECT message_store.tick('{subscriber}', 50)"),
                    format!("SELECT message_store.start('{subscriber}')"),
                ]
            }
            Self::Trigger => vec![format!(
                "INSERT INTO fuzz.triggers VALUES ('SELECT {quoted}')"
            )],
            Self::DeferredTrigger => in_transaction(
                "BEGIN",
                format!(
                    "CREATE TEMP TABLE d (sql text) ON COMMIT DROP; \
                     CREATE CONSTRAINT TRIGGER d AFTER INSERT ON d DEFERRABLE INITIALLY DEFERRED \
                       FOR EACH ROW EXECUTE FUNCTION fuzz.run(); \
                     INSERT INTO d VALUES ('SELECT {quoted}'), ('SELECT 1'); \
                     SELECT message_store.tick('of:n')"
                ),
            ),
            Self::Default => in_transaction(
                "BEGIN",
                format!(
                    "CREATE TEMP TABLE t (x int, y text DEFAULT ({call})::text) ON COMMIT DROP; \
                     INSERT INTO t VALUES (1), (2)"
                ),
            ),
            Self::IndexExpression => in_transaction(
                "BEGIN",
                format!(
                    "CREATE TEMP TABLE t (x varchar) ON COMMIT DROP; \
                     INSERT INTO t VALUES ('a-1'), (''), (NULL), ('-'); \
                     CREATE INDEX ON t (message_store.category(x), message_store.id(x), \
                       message_store.cardinal_id(x), message_store.hash_64(x), \
                       message_store.is_category(x)); \
                     SELECT * FROM t WHERE message_store.category(x) = 'a'; SELECT {call}"
                ),
            ),
            Self::View => in_transaction(
                "BEGIN",
                format!("CREATE TEMP VIEW v AS SELECT {call} AS x; SELECT * FROM v"),
            ),
            Self::Aborted => vec![
                "BEGIN; SELECT 1 / 0".to_owned(),
                format!("SELECT {call}"),
                "ROLLBACK".to_owned(),
            ],
            Self::HostilePath => vec![
                "SET search_path = fuzz, pg_temp, message_store, pg_catalog".to_owned(),
                format!("SELECT {call}"),
                "RESET search_path".to_owned(),
            ],
            Self::HostileTemp => vec![
                "CREATE TEMP TABLE messages (x int); CREATE TEMP TABLE pg_class (x int); \
                 CREATE TEMP TABLE subscriptions (x int)"
                    .to_owned(),
                format!("SELECT {call}"),
                "DISCARD TEMP".to_owned(),
            ],
            Self::TinyMemory => vec![
                format!("SET work_mem = '64kB'; SELECT {call}"),
                format!("SELECT * FROM {call}"),
                "RESET ALL".to_owned(),
            ],
            Self::Timeout => vec![
                format!("SET statement_timeout = {}", 1 + random.below(3)),
                format!("SELECT {call}, {call}"),
                "RESET statement_timeout".to_owned(),
            ],
            // The cancel is there before the call, which meets it at its first look.
            Self::Cancel => vec![format!(
                "SELECT pg_cancel_backend(pg_backend_pid()), {call}"
            )],
            Self::InvalidText => {
                let bytes = *one_of(&INVALID, random);
                vec![
                    format!(
                        "SELECT message_store.write_message(gen_random_uuid()::varchar, \
                         E'fuzz-{bytes}', E'T{bytes}', NULL)"
                    ),
                    format!(
                        "SELECT message_store.create_subscription(E's{bytes}', E'fuzz{bytes}', '{{}}')"
                    ),
                    format!("SELECT message_store.tick('of:m'), message_store.start(E's{bytes}')"),
                    format!(
                        "SELECT count(*) FROM message_store.get_stream_messages(E'fuzz-{bytes}')"
                    ),
                    format!(
                        "SELECT count(*) FROM message_store.get_category_messages(E'fuzz{bytes}', \
                         condition => E'type = ''T{bytes}'' ')"
                    ),
                    format!(
                        "SELECT message_store.category(E'{bytes}-{bytes}'), \
                         message_store.hash_64(E'{bytes}'), {call}"
                    ),
                ]
            }
            Self::Procedure => vec![format!("CALL {call}")],
        }
    }
}
