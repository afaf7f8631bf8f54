//! Reads of one message of a stream, by its position and the last one: ours and Message DB's.

use crate::bench::Bench;
use crate::comparison::Comparison;
use crate::log::Log;
use crate::pgbench::Script;

/// How many times better than Message DB.
const GOAL: f64 = 1.5;

/// Measures them.
pub fn run(bench: &Bench) -> Vec<Comparison> {
    let log = Log::fill(bench);
    for call in [
        "get_stream_messages('viewings-7', 3, 1)",
        "get_last_stream_message('viewings-7')",
    ] {
        bench.block_on(log.require_same_messages(call));
    }
    let (last_stream, last_position) = (log.streams - 1, log.messages_of_a_stream() - 1);
    let compare = |label: &str, script: &Script| {
        let line_up = log.line_up(label, script).at_least(GOAL);
        line_up.interleave(bench).into()
    };
    let by_position = Script::new(&format!(
        "\\set stream random(0, {last_stream})\n\\set pos random(0, {last_position})\n\
         SELECT * FROM get_stream_messages('viewings-' || :stream, :pos, 1);"
    ));
    let last = Script::new(&format!(
        "\\set stream random(0, {last_stream})\n\
         SELECT * FROM get_last_stream_message('viewings-' || :stream);"
    ));
    vec![
        compare("a message by its position", &by_position),
        compare("the last message", &last),
    ]
}
