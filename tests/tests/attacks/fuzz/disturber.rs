//! An administrator who cancels, terminates and alters while the others call.

use std::sync::Mutex;
use std::sync::mpsc::Receiver;

use promises::Random;

use super::functions::one_of;
use super::wire::Wire;

/// What a superuser changes by mistake, and how it is put right.
const MISTAKES: [(&str, &str); 20] = [
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
        "ALTER TYPE message_store.fetched_message ADD ATTRIBUTE more text",
        "ALTER TYPE message_store.fetched_message DROP ATTRIBUTE more",
    ),
    (
        "ALTER TYPE message_store.message RENAME ATTRIBUTE data TO other",
        "ALTER TYPE message_store.message RENAME ATTRIBUTE other TO data",
    ),
    (
        "ALTER TABLE message_store.messages RENAME data TO other",
        "ALTER TABLE message_store.messages RENAME other TO data",
    ),
    (
        "ALTER TABLE message_store.messages ALTER position TYPE numeric",
        "ALTER TABLE message_store.messages ALTER position TYPE bigint",
    ),
    (
        "ALTER TABLE message_store.messages ADD more text DEFAULT 'more'",
        "ALTER TABLE message_store.messages DROP more",
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
        "ALTER TABLE message_store.subscriptions RENAME handlers TO other",
        "ALTER TABLE message_store.subscriptions RENAME other TO handlers",
    ),
    (
        "ALTER SEQUENCE message_store.messages_global_position_seq CACHE 20",
        "ALTER SEQUENCE message_store.messages_global_position_seq CACHE 1",
    ),
    (
        "ALTER FUNCTION message_store.get_all_messages PARALLEL SAFE",
        "ALTER FUNCTION message_store.get_all_messages PARALLEL UNSAFE",
    ),
    (
        "ALTER FUNCTION message_store.tick STABLE STRICT PARALLEL SAFE",
        "ALTER FUNCTION message_store.tick VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE",
    ),
    (
        "ALTER FUNCTION message_store.write_message SECURITY DEFINER SET search_path = fuzz",
        "ALTER FUNCTION message_store.write_message SECURITY INVOKER RESET search_path",
    ),
    (
        "ALTER FUNCTION fuzz.handle(message_store.message) RENAME TO away",
        "ALTER FUNCTION fuzz.away(message_store.message) RENAME TO handle",
    ),
    (
        "ALTER ROLE m SET statement_timeout = '3ms'",
        "ALTER ROLE m RESET statement_timeout",
    ),
    (
        "REVOKE SELECT ON message_store.messages FROM message_store",
        "GRANT SELECT ON message_store.messages TO message_store",
    ),
];

/// What is done once and not put right: the players make their subscriptions anew.
const BLOWS: [&str; 12] = [
    "UPDATE message_store.subscriptions SET options = '[]'",
    "UPDATE message_store.subscriptions SET options = '{\"batch_size\": -1}'",
    "UPDATE message_store.subscriptions SET handlers = '{\"$any\": 7}'",
    "UPDATE message_store.subscriptions SET source = ''",
    "UPDATE message_store.subscription_progress SET position = -5, attempts = -9223372036854775808",
    "UPDATE message_store.subscription_progress SET lease = 9223372036854775807",
    "UPDATE message_store.subscription_progress SET position = 9223372036854775807",
    "INSERT INTO message_store.parked (subscriber_id, global_position, stream_name, type, status) \
     SELECT subscriber_id, -1, '', '', 'retry' FROM message_store.subscriptions \
     ON CONFLICT DO NOTHING",
    "DELETE FROM message_store.subscription_progress",
    "VACUUM message_store.messages",
    "ANALYZE; CHECKPOINT",
    "REINDEX TABLE message_store.messages",
];

/// What is done at the end of a store's time.
pub const FOR_GOOD: [&str; 9] = [
    "ALTER TYPE message_store.message DROP ATTRIBUTE metadata",
    "ALTER TYPE message_store.new_message DROP ATTRIBUTE data CASCADE",
    "ALTER TYPE message_store.message ALTER ATTRIBUTE position TYPE text",
    "DROP INDEX message_store.messages_stream",
    "ALTER TABLE message_store.messages DROP COLUMN metadata CASCADE",
    "ALTER TABLE message_store.messages DROP CONSTRAINT messages_pkey",
    "DROP TABLE message_store.messages CASCADE; SELECT message_store.create_store()",
    "DROP TABLE message_store.messages CASCADE; \
     CREATE TABLE message_store.messages (global_position int, position text)",
    "DROP EXTENSION message_store CASCADE; CREATE EXTENSION message_store",
];

/// A player's session of the moment, as the disturber knows it.
#[derive(Default)]
pub struct Victim {
    /// The server process.
    pub pid: i32,
    /// Whether it was terminated.
    pub is_terminated: bool,
}

/// What a disturber did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbances {
    /// Alterations that were made and put right.
    pub mistakes: u64,
    /// Alterations that stay, and upkeep.
    pub blows: u64,
    pub terminations: u64,
    pub cancellations: u64,
}

/// Disturbs once for every word from the players, until they are gone; then all is put right.
pub fn disturb(
    mut admin: Wire,
    victims: &[Mutex<Victim>],
    words: &Receiver<()>,
    mut random: Random,
) -> Disturbances {
    let mut done = Disturbances::default();
    let mut mistake = None;
    while words.recv().is_ok() {
        if let Some(righted) = mistake.take() {
            put_right(&mut admin, righted);
            continue;
        }
        let victim = one_of(victims, &mut random);
        match random.below(8) {
            0..3 => {
                mistake = make(&mut admin, one_of(&MISTAKES, &mut random));
                done.mistakes += u64::from(mistake.is_some());
            }
            3 => {
                let blow: &&str = one_of(&BLOWS, &mut random);
                done.blows += u64::from(admin.rows(blow).is_ok());
            }
            4 => {
                let mut victim = victim.lock().unwrap();
                victim.is_terminated = true;
                done.terminations += 1;
                let _ = admin.rows(&format!("SELECT pg_terminate_backend({})", victim.pid));
            }
            _ => {
                let pid = victim.lock().unwrap().pid;
                done.cancellations += 1;
                let _ = admin.rows(&format!("SELECT pg_cancel_backend({pid})"));
            }
        }
    }
    if let Some(righted) = mistake {
        put_right(&mut admin, righted);
    }
    done
}

/// Makes a mistake, unless somebody is in the way; returns how it is put right.
fn make(admin: &mut Wire, (sql, righted): &(&str, &'static str)) -> Option<&'static str> {
    admin.rows(sql).ok().map(|_| *righted)
}

/// Whoever is in the way ends: their statements have a limit of time.
fn put_right(admin: &mut Wire, sql: &str) {
    let mut tries = 0;
    while let Err(error) = admin.rows(sql) {
        tries += 1;
        assert!(tries < 300, "{error}");
    }
}
