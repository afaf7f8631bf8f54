//! What no call may come to, whatever it was given.

use promises::Cluster;

use super::wire::{Gone, Refusal, Wire};

/// Words of an answer that nobody may see: those of a broken assumption of ours.
const OF_A_PANIC: [&str; 6] = [
    "panicked",
    "unwrap()",
    "unreachable",
    "assertion",
    "overflow when",
    ".rs:",
];
/// Internal errors that PostgreSQL itself answers: where a catalog changes under a statement, and to
/// a parameter in a format that it does not know.
const OF_POSTGRESQL: [&str; 6] = [
    "unsupported jsonb version number",
    "unsupported jsonpath version number",
    "tuple concurrently updated",
    "tuple concurrently deleted",
    "cache lookup failed for",
    "could not open relation with OID",
];
/// Signs in the server's log that a process ended in no good way. A worker of a parallel query whose
/// leader is terminated ends with exit code 1.
const OF_A_CRASH: [&str; 5] = [
    "terminated by signal",
    "server process (PID",
    "PANIC:",
    "TRAP:",
    "because of crash of another",
];

/// What is wrong with an error, if anything is.
pub fn judge(refusal: &Refusal) -> Result<(), String> {
    let text = refusal.text.to_lowercase();
    let is_internal = refusal.sqlstate.starts_with("XX")
        && !OF_POSTGRESQL
            .iter()
            .any(|words| text.contains(&words.to_lowercase()));
    let is_of_a_panic = OF_A_PANIC.iter().any(|words| text.contains(words));
    match is_internal || is_of_a_panic {
        true => Err(format!("{}: {}", refusal.sqlstate, refusal.text)),
        false => Ok(()),
    }
}

/// What is wrong with a session's end: only one that was asked for is right. A session that is
/// terminated while its client does not read goes without a word.
pub fn judge_end(gone: &Gone, was_terminated: bool) -> Result<(), String> {
    match gone {
        Gone::Closed(_) if was_terminated => Ok(()),
        Gone::Closed(refusals) => Err(format!("the session ended: {refusals:?}")),
        Gone::Silent => Err("the server does not answer".to_owned()),
    }
}

/// Streams have no holes, and begin behind 0 only where their beginning was deleted; global positions
/// rise in them and are there once, as ids are.
const UNSOUND: &str = "
    SELECT stream_name, position FROM (
      SELECT stream_name, position, global_position, row_number() OVER w - 1 AS place,
        first_value(position) OVER w AS first, lag(global_position) OVER w AS before
      FROM message_store.messages
      WINDOW w AS (PARTITION BY stream_name ORDER BY position)) s
    WHERE position <> first + place OR before >= global_position
      OR (first > 0 AND message_store.deleted_up_to(stream_name) = 0)
    UNION ALL
    SELECT 'twice', max(position) FROM message_store.messages
    GROUP BY GROUPING SETS (global_position, id) HAVING count(*) > 1";
/// Roles that are more than they were, and code of theirs that ran as another.
const MORE: &str = "
    SELECT rolname, 'has become more' FROM pg_roles
    WHERE rolname NOT IN ('postgres', 'su')
      AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
    UNION ALL
    SELECT member::regrole::name, 'was granted ' || roleid::regrole FROM pg_auth_members
    WHERE member IN ('m'::regrole, 'n'::regrole) AND roleid <> 'message_store'::regrole
    UNION ALL
    SELECT last_value::text, 'times code of one role ran as another' FROM fuzz.sprung WHERE is_called
    UNION ALL
    SELECT c.oid::regclass::name, 'of the schema belongs to ' || relowner::regrole FROM pg_class c
    WHERE relnamespace = 'message_store'::regnamespace AND relowner <> 'postgres'::regrole";

/// What a store looks like that nobody broke; what is found else.
pub fn require_sound(admin: &mut Wire) -> Result<(), String> {
    for sql in [UNSOUND, MORE] {
        let found = admin.rows(sql)?;
        if !found.is_empty() {
            return Err(format!("{found:?}: {sql}"));
        }
    }
    Ok(())
}

/// The log tells of no process that ended in no good way.
pub fn require_calm_log(cluster: &Cluster) -> Result<(), String> {
    let log = cluster.log();
    let is_sign = |line: &&str| OF_A_CRASH.iter().any(|sign| line.contains(sign));
    let lines: Vec<&str> = log.lines().filter(is_sign).take(20).collect();
    lines
        .is_empty()
        .then_some(())
        .ok_or_else(|| format!("{lines:#?}"))
}
