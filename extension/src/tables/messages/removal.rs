//! Messages that leave the log, or lose what they say.

use crate::error::Error;
use crate::pg::parameter::{Parameter, bigint, bigints, bytes};
use crate::pg::spi::{Row, Statement, sql};
use crate::tables::owner;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{INT8ARRAYOID, INT8OID, JSONBOID, JSONPATHOID, TEXTOID, UUIDOID};

/// `$2`: the position in the stream before which they are.
static OF_STREAM: Statement = Statement::new(
    c"SELECT m.global_position, m.time FROM message_store.messages m \
       WHERE m.stream_name OPERATOR(pg_catalog.=) $1 AND m.position OPERATOR(pg_catalog.<) $2 \
       ORDER BY m.position LIMIT $3",
    &[TEXTOID, INT8OID, INT8OID],
);
/// `$2`, `$3`: after and up to which global position.
static OF_CATEGORY: Statement = Statement::new(
    c"SELECT m.global_position, m.time FROM message_store.messages m \
       WHERE message_store.category(m.stream_name::pg_catalog.varchar) OPERATOR(pg_catalog.=) $1 \
         AND m.global_position OPERATOR(pg_catalog.>) $2 \
         AND m.global_position OPERATOR(pg_catalog.<=) $3 \
       ORDER BY m.global_position LIMIT $4",
    &[TEXTOID, INT8OID, INT8OID, INT8OID],
);
/// `$1`: after which global position.
static NEXT: Statement = Statement::new(
    c"SELECT m.global_position, m.stream_name FROM message_store.messages m \
       WHERE m.global_position OPERATOR(pg_catalog.>) $1 ORDER BY m.global_position LIMIT $2",
    &[INT8OID, INT8OID],
);
/// Streams, the last position that went of each, and whether nothing is left of it: what stays lies behind
/// what goes. The look for it is a subquery that stands for one row: a join would read the whole log.
static DELETE: Statement = Statement::new(
    c"WITH gone AS (
        DELETE FROM message_store.messages m
         WHERE m.global_position OPERATOR(pg_catalog.=) ANY ($1)
        RETURNING m.stream_name, m.position
      ), ended AS (
        SELECT g.stream_name, pg_catalog.max(g.position) AS position, pg_catalog.count(*) AS count
          FROM gone g GROUP BY g.stream_name
      )
      SELECT e.stream_name, e.position, e.count, coalesce((
               SELECT m.position FROM message_store.messages m
                WHERE m.stream_name OPERATOR(pg_catalog.=) e.stream_name
                ORDER BY m.position DESC LIMIT 1), 0) OPERATOR(pg_catalog.<=) e.position
        FROM ended e",
    &[INT8ARRAYOID],
);
/// What is left of metadata. Which category a message is correlated with decides who reads it: that
/// stays. What is no text is no name of a stream.
macro_rules! what_stays_of_metadata {
    () => {
        "'{\"erased\": true}'::pg_catalog.jsonb OPERATOR(pg_catalog.||) coalesce( \
           pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('correlationStreamName', \
             CASE WHEN pg_catalog.jsonb_typeof( \
                         m.metadata OPERATOR(pg_catalog.->) 'correlationStreamName') \
                       OPERATOR(pg_catalog.=) 'string' \
                  THEN message_store.category((m.metadata OPERATOR(pg_catalog.->>) \
                         'correlationStreamName')::pg_catalog.varchar) END)), '{}')"
    };
}
static FIRST: Statement = Statement::new(
    c"SELECT true FROM message_store.messages m \
       WHERE m.stream_name OPERATOR(pg_catalog.=) $1 AND m.position OPERATOR(pg_catalog.=) 0",
    &[TEXTOID],
);
/// The columns of a message that is meant: its place, and whether it has lost already what it said.
macro_rules! place_and_whether_erased {
    () => {
        concat!(
            "SELECT m.global_position, \
                    m.data OPERATOR(pg_catalog.=) '{}' AND m.metadata OPERATOR(pg_catalog.=) (",
            what_stays_of_metadata!(),
            ") FROM message_store.messages m WHERE "
        )
    };
}
/// An object without fields has nothing to be found but itself.
static IS_COMPARISON: Statement = Statement::new(
    c"SELECT true FROM pg_catalog.jsonb_path_query('{}', $1, $2, true) found \
       WHERE pg_catalog.jsonb_typeof(found) OPERATOR(pg_catalog.=) ANY ('{boolean,\"null\"}')",
    &[JSONPATHOID, JSONBOID],
);
static MEANT_BY_STREAM: Statement = Statement::new(
    sql!(
        place_and_whether_erased!(),
        "m.stream_name OPERATOR(pg_catalog.=) $1"
    ),
    &[TEXTOID],
);
static MEANT_BY_ID: Statement = Statement::new(
    sql!(
        place_and_whether_erased!(),
        "m.id OPERATOR(pg_catalog.=) $1"
    ),
    &[UUIDOID],
);
static MEANT_BY_PATH: Statement = Statement::new(
    sql!(
        place_and_whether_erased!(),
        "pg_catalog.jsonb_path_exists(m.metadata, $1, $2, true)"
    ),
    &[JSONPATHOID, JSONBOID],
);
static MEANT_BY_PATH_IN_CATEGORY: Statement = Statement::new(
    sql!(
        place_and_whether_erased!(),
        "message_store.category(m.stream_name::pg_catalog.varchar) OPERATOR(pg_catalog.=) $3 \
         AND pg_catalog.jsonb_path_exists(m.metadata, $1, $2, true)"
    ),
    &[JSONPATHOID, JSONBOID, TEXTOID],
);
static ERASE: Statement = Statement::new(
    sql!(
        "UPDATE message_store.messages m SET data = '{}', metadata = ",
        what_stays_of_metadata!(),
        " WHERE m.global_position OPERATOR(pg_catalog.=) ANY ($1)"
    ),
    &[INT8ARRAYOID],
);

/// A message that may go.
#[derive(Clone, Copy)]
pub struct Candidate {
    /// Its global position.
    pub global_position: i64,
    /// When it was written, in microseconds since 2000-01-01 00:00 UTC.
    pub time: i64,
}

impl Candidate {
    fn of(row: &Row) -> Self {
        Self {
            global_position: row.bigint(0).unwrap_or_default(),
            time: row.timestamp(1).unwrap_or_default(),
        }
    }
}

/// The first messages of a stream that are before a position in it.
pub fn of_stream(stream_name: &[u8], before: i64, limit: i64) -> Result<Vec<Candidate>, Error> {
    let arguments = [bytes(stream_name), bigint(before), bigint(limit)];
    candidates(&OF_STREAM, &arguments)
}

/// The first messages of a category after a global position, and not after another.
pub fn of_category(
    category: &[u8],
    (after, up_to): (i64, i64),
    limit: i64,
) -> Result<Vec<Candidate>, Error> {
    let arguments = [bytes(category), bigint(after), bigint(up_to), bigint(limit)];
    candidates(&OF_CATEGORY, &arguments)
}

fn candidates(statement: &Statement, arguments: &[Parameter]) -> Result<Vec<Candidate>, Error> {
    let _owner = owner::of("messages")?;
    let mut candidates = Vec::new();
    statement.run(arguments, |row| candidates.push(Candidate::of(row)));
    Ok(candidates)
}

/// Deletes messages; returns the streams that have none left, each with its last position. 39P01 where a
/// trigger did not let some go.
pub fn delete(global_positions: &[i64]) -> Result<Vec<(String, i64)>, Error> {
    let _owner = owner::of("messages")?;
    let mut deleted = 0;
    let mut ended = Vec::new();
    DELETE.run(&[bigints(global_positions)], |row| {
        deleted += row.bigint(2).unwrap_or_default();
        if row.boolean(3) {
            ended.extend(row.text(0).zip(row.bigint(1)));
        }
    });
    require_all(deleted, global_positions, "deleted")?;
    Ok(ended)
}

/// The next messages of all after a global position: each one's own, and its stream.
pub fn next(after: i64, limit: i64, mut each: impl FnMut(i64, String)) -> Result<(), Error> {
    let _owner = owner::of("messages")?;
    NEXT.run(&[bigint(after), bigint(limit)], |row| {
        if let (Some(position), Some(stream_name)) = (row.bigint(0), row.text(1)) {
            each(position, stream_name);
        }
    });
    Ok(())
}

/// Whether a stream has its first message still.
pub fn has_first(stream_name: &[u8]) -> Result<bool, Error> {
    let _owner = owner::of("messages")?;
    Ok(FIRST.look(&[bytes(stream_name)], |_| {}) > 0)
}

/// Which messages are to lose what they say.
#[derive(Clone, Copy)]
pub enum Meant<'a> {
    /// Those of a stream.
    Stream(&'a [u8]),
    /// The one with this `uuid`.
    Id(pg_sys::Datum),
    /// Those with metadata that have what a `jsonpath` finds, given its variables as a `jsonb`; in a
    /// category or in all.
    Path {
        path: pg_sys::Datum,
        variables: pg_sys::Datum,
        category: Option<&'a [u8]>,
    },
}

/// The messages that are meant.
#[derive(Default)]
pub struct Found {
    /// The global positions of those that say something.
    pub whole: Vec<i64>,
    /// How many have lost already what they said.
    pub erased: i64,
}

/// Whether a `jsonpath` compares instead of looking, so that it finds `true` or `false` in whatever it is
/// asked of; given its variables as a `jsonb`.
pub fn is_comparison(path: pg_sys::Datum, variables: pg_sys::Datum) -> Result<bool, Error> {
    let _owner = owner::of("messages")?;
    Ok(IS_COMPARISON.run(&[Some(path), Some(variables)], |_| {}) > 0)
}

/// Finds the messages that are meant.
pub fn meant(meant: Meant<'_>) -> Result<Found, Error> {
    let _owner = owner::of("messages")?;
    let mut found = Found::default();
    let each = |row: &Row| match row.boolean(1) {
        true => found.erased += 1,
        false => found.whole.extend(row.bigint(0)),
    };
    match meant {
        Meant::Stream(name) => MEANT_BY_STREAM.run(&[bytes(name)], each),
        Meant::Id(id) => MEANT_BY_ID.run(&[Some(id)], each),
        Meant::Path {
            path,
            variables,
            category: None,
        } => MEANT_BY_PATH.run(&[Some(path), Some(variables)], each),
        Meant::Path {
            path,
            variables,
            category: Some(category),
        } => {
            let arguments = [Some(path), Some(variables), bytes(category)];
            MEANT_BY_PATH_IN_CATEGORY.run(&arguments, each)
        }
    };
    found.whole.sort_unstable();
    Ok(found)
}

/// Takes what messages say.
pub fn erase(global_positions: &[i64]) -> Result<(), Error> {
    let _owner = owner::of("messages")?;
    let erased = ERASE.run(&[bigints(global_positions)], |_| {});
    require_all(erased as i64, global_positions, "changed")
}

fn require_all(done: i64, of: &[i64], word: &'static str) -> Result<(), Error> {
    match usize::try_from(done) {
        Ok(count) if count == of.len() => Ok(()),
        _ => Err(Error::NotRemoved(done, of.len(), word)),
    }
}
