//! Reads of a category by a member of a consumer group, which steps over the messages of the other
//! members, and reads of the messages that are correlated with another category: ours and Message
//! DB's.
//!
//! What a member's read costs beyond its share is the scan of the others' messages. That must not
//! depend on how many members there are: in the series members of larger groups go through as many
//! messages of the category, and return fewer.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use promises::Session;

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Unit};
use crate::line_up::{LineUp, interleave};
use crate::log::Log;
use crate::peers;
use crate::pgbench::{Load, Script};
use crate::series::Series;
use crate::spread::Spread;

/// Members of a group.
const GROUPS: [i64; 3] = [2, 8, 32];
/// The same along the axis, from where there is no other member on.
const SIZES: [i64; 4] = [1, 2, 8, 32];
/// How many times better than Message DB.
const GOAL: f64 = 2.0;
/// How much more a message may cost in a larger group.
const GROWTH: f64 = 1.2;
/// Messages of the category that a read of the series goes through, about.
const SCANNED: i64 = 4_000;
/// How often a read of the series is done: the fastest one counts.
const ATTEMPTS: usize = 3;

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let log = Log::fill(bench);
    let batch = bench.sized(1_000, 50);
    let mut comparisons: Vec<Comparison> = GROUPS
        .iter()
        .map(|size| read_as_member(bench, &log, batch, *size).into())
        .collect();
    comparisons.push(read_correlated(bench, &log, batch).into());
    comparisons.push(scan(bench, &log).into());
    comparisons
}

fn read_as_member(bench: &Bench, log: &Log, batch: i64, size: i64) -> Contest {
    let last = size - 1;
    let call = |position: &str, member: &str| {
        format!("get_category_messages('viewings', {position}, {batch}, NULL, {member}, {size})")
    };
    bench.block_on(log.require_same_messages(&call("100", &last.to_string())));
    // A member's streams may be fewer than its share.
    let latest = log.messages - batch * size * 3 / 2;
    let script = Script::new(&format!(
        "\\set pos random(1, {latest})\n\\set member random(0, {last})\nSELECT * FROM {};",
        call(":pos", ":member")
    ));
    let label = format!("a member of {size}, {} messages a read", counted(batch));
    let line_up = log.line_up(&label, &script).at_least(GOAL);
    line_up.interleave(bench)
}

fn read_correlated(bench: &Bench, log: &Log, batch: i64) -> Contest {
    let call = |position: &str| {
        format!("get_category_messages('viewings', {position}, {batch}, 'orders')")
    };
    bench.block_on(log.require_same_messages(&call("100")));
    let latest = log.messages - batch * 10;
    let script = Script::new(&format!(
        "\\set pos random(1, {latest})\nSELECT * FROM {};",
        call(":pos")
    ));
    let label = format!(
        "a tenth that is correlated, {} messages a read",
        counted(batch)
    );
    let plain = Script::new(&format!(
        "\\set pos random(1, {latest})\n
         SELECT id::varchar, stream_name, type, position, global_position, data::varchar, \
                metadata::varchar, time \
         FROM messages WHERE category(stream_name) = 'viewings' AND global_position >= :pos \
           AND category(metadata->>'correlationStreamName') = 'orders' \
         ORDER BY global_position LIMIT {batch};"
    ));
    let by_index = Load::one_reader_by_index(bench);
    let line_up = log.line_up(&label, &script).at_least(GOAL);
    let line_up = line_up.against(peers::plain_sql(), || {
        plain.rate(&log.cluster, &log.store, &by_index)
    });
    line_up.interleave(bench)
}

fn scan(bench: &Bench, log: &Log) -> Series {
    let reads = bench.sized(20, 5);
    let reader = |database| Reader {
        session: bench.block_on(log.connect(database)),
        latest: log.messages - SCANNED * 3 / 2,
        reads,
    };
    let (ours, theirs) = (reader(log.store.as_str()), reader(peers::MESSAGE_DB));
    let line_ups = SIZES.iter().map(|size| {
        let label = match size {
            1 => "1 member".to_owned(),
            _ => format!("{size} members"),
        };
        let unit = Unit::cost("ms per 1,000 messages of the category");
        LineUp::new(&label, unit, peers::message_store(), || {
            bench.block_on(ours.scan(*size))
        })
        .against(peers::message_db(), || bench.block_on(theirs.scan(*size)))
        .warmed_up()
    });
    let contests = interleave(bench, line_ups.collect());
    let sizes = SIZES.iter().map(|size| *size as f64);
    let label = "a member that goes through as many messages";
    Series::new(label, "members in the group", sizes.zip(contests)).growth_within(GROWTH)
}

/// Reads without sending rows to the client.
struct Reader {
    session: Session,
    /// The last position to begin at.
    latest: i64,
    reads: i64,
}

impl Reader {
    /// Milliseconds per 1,000 messages of the category that a member goes through, its own and
    /// others': the median of reads all over the log. It returns its share of them.
    async fn scan(&self, size: i64) -> f64 {
        let mut costs = Vec::new();
        for number in 0..self.reads {
            let position = 1 + self.latest * number / self.reads;
            costs.push(self.read(position, number % size, size).await);
        }
        Spread::of(&costs).median
    }

    async fn read(&self, position: i64, member: i64, size: i64) -> f64 {
        let batch = SCANNED / size;
        let sql = format!(
            "SELECT count(*), max(global_position) FROM
             get_category_messages('viewings', {position}, {batch}, NULL, {member}, {size})"
        );
        let mut fastest = Duration::MAX;
        let mut scanned = 0;
        for _ in 0..ATTEMPTS {
            let begun = Instant::now();
            let rows = self.session.run(&sql).await.unwrap();
            fastest = fastest.min(begun.elapsed());
            let number = |column: usize| rows[0][column].as_ref().unwrap().parse::<i64>().unwrap();
            assert_eq!(number(0), batch);
            scanned = number(1) - position + 1;
        }
        fastest.as_secs_f64() * 1_000.0 / (scanned as f64 / 1_000.0)
    }
}

fn counted(messages: i64) -> HumanCount {
    HumanCount(messages as u64)
}
