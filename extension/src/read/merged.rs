//! Reading a category, or everything, from all shards: what a router does.

use super::page::BatchSize;
use crate::error::Error;
use crate::message::{self, GLOBAL_POSITION, STREAM_NAME};
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::composite::{self, Composite};
use crate::pg::parameter::bigint;
use crate::pg::rows::Rows;
use crate::pg::spi::{Row, Statement, sql};
use crate::pg::text::Text;
use crate::tables::messages::COLUMNS;
use pgrx::pg_sys::BuiltinOid::{INT8OID, VARCHAROID};

sql_functions! {
    merged(category: Varchar, position: Bigint, batch_size: Bigint, correlation: Varchar, consumer_group_member: Bigint, consumer_group_size: Bigint) => merged,
}

/// How many messages each shard is asked for in one look where all are wanted.
const AT_ONCE: i64 = 10_000;

/// How many shards the router knows, and the version of their map: both of one look.
static KNOWN: Statement = Statement::new(
    sql!("SELECT known[1], known[2] FROM message_store_router.known() AS known"),
    &[],
);

/// How far the shard has drawn that has drawn furthest.
static FURTHEST: Statement = Statement::new(
    sql!("SELECT pg_catalog.max(drawn) FROM message_store_router.advance_position(0) AS drawn"),
    &[],
);

/// The answers of all shards. In a select list the rows are not put into a tuplestore first.
static ANSWERS: Statement = Statement::new(
    sql!(
        "SELECT message_store_router.get_settled_messages(
            $1::pg_catalog.varchar, $2, $3, $4::pg_catalog.varchar, $5, $6, $7, $8)"
    ),
    &[
        VARCHAROID, INT8OID, INT8OID, VARCHAROID, INT8OID, INT8OID, INT8OID, INT8OID,
    ],
);

/// Looks at all shards, mostly once. What was drawn furthest is told to all, so that a shard where nothing is
/// written holds nobody back; and only what lies at or below the least of their horizons is given out
/// (`docs/decisions/0023-shards.md`).
fn merged(call: &Call<'_>) -> Result<Reply, Error> {
    let batch_size = call.bigint("batch_size");
    BatchSize::from_argument(batch_size)?;
    let limit = BatchSize::limit(batch_size);
    let [shards, map] = KNOWN.run_whole(&[], numbers);
    let mut look = Look {
        category: call.text("category"),
        position: call.bigint("position").unwrap_or(1),
        share: limit.map_or(AT_ONCE, |limit| share(limit, shards)),
        correlation: call.text("correlation"),
        member: call.bigint("consumer_group_member"),
        group_size: call.bigint("consumer_group_size"),
        shards,
        map,
    };
    let mut page = Page {
        rows: Rows::begin(call, &message::TYPES),
        room: limit.map_or(usize::MAX, |limit| limit as usize),
    };
    loop {
        let returned = look.fill(&mut page);
        // A shard that had more than its share was complete up to so many messages at least.
        if page.room == 0 || returned.number < look.share as usize {
            return Ok(page.rows.finish());
        }
        // The page is not full, so all up to there was returned.
        look.position = returned.complete_to.saturating_add(1);
    }
}

/// Of a page, each shard has about one share. A little more of each, and one look mostly fills it.
fn share(batch_size: i64, shards: i64) -> i64 {
    const FEW: i64 = 100;
    if batch_size < FEW || shards == 1 {
        return batch_size;
    }
    let share = batch_size / shards;
    batch_size.min(share + share / 10 + 30)
}

/// What all shards are asked for.
struct Look<'a> {
    category: Option<Text<'a>>,
    position: i64,
    /// How many messages of each.
    share: i64,
    correlation: Option<Text<'a>>,
    member: Option<i64>,
    group_size: Option<i64>,
    shards: i64,
    map: i64,
}

struct Page {
    rows: Rows<COLUMNS>,
    /// How many messages may still be put into it.
    room: usize,
}

struct Returned {
    number: usize,
    /// Up to this position every message was returned for which there was room.
    complete_to: i64,
}

impl Look<'_> {
    fn fill(&self, page: &mut Page) -> Returned {
        let [furthest] = FURTHEST.run_whole(&[], numbers);
        let arguments = [
            self.category.map(|name| name.datum()),
            bigint(self.position),
            bigint(self.share),
            self.correlation.map(|name| name.datum()),
            self.member.and_then(bigint),
            self.group_size.and_then(bigint),
            bigint(furthest),
            bigint(self.map),
        ];
        ANSWERS.run_whole(&arguments, |rows| {
            let answers: Vec<Answer<'_>> = composite::column(rows, 0, &message::TYPES);
            let (horizons, messages): (Vec<_>, Vec<_>) = answers.iter().partition(is_horizon);
            // Where one has not answered, nothing is known of any.
            let is_whole = horizons.len() as i64 == self.shards;
            let horizon = horizons.into_iter().map(position).min();
            page.put(messages, horizon.filter(|_| is_whole).unwrap_or(0))
        })
    }
}

impl Page {
    fn put(&mut self, mut messages: Vec<&Answer<'_>>, horizon: i64) -> Returned {
        messages.retain(|message| position(message) <= horizon);
        // Each shard's are in order already; such a sort merges them.
        messages.sort_by_key(|message| position(message));
        messages.truncate(self.room);
        for message in &messages {
            pgrx::check_for_interrupts!();
            self.rows.push(|| message.values());
        }
        self.room -= messages.len();
        Returned {
            number: messages.len(),
            complete_to: horizon,
        }
    }
}

type Answer<'a> = Composite<'a, COLUMNS>;

/// A shard's last row says how far it has told everything.
fn is_horizon(answer: &&Answer<'_>) -> bool {
    answer.text(STREAM_NAME).is_none()
}

fn position(answer: &Answer<'_>) -> i64 {
    answer.bigint(GLOBAL_POSITION).unwrap_or_default()
}

/// The columns of the one row; 0 for NULL.
fn numbers<const N: usize>(rows: &[Row]) -> [i64; N] {
    let row = rows.first();
    std::array::from_fn(|number| row.and_then(|row| row.bigint(number)).unwrap_or_default())
}
