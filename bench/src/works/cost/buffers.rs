//! Shared buffers, as EXPLAIN counts them, within functions too.

use serde_json::Value;

use super::Writer;
use crate::bench::Bench;

/// How many of the first messages of a session do not count: they fill its caches.
const WARM_UP: u32 = 20;

/// The mean of many messages after a checkpoint. A buffer counts each time it is looked at, and
/// once more where the message is the first to change it.
pub(super) fn measure(bench: &Bench, writer: &Writer<'_>) -> f64 {
    let messages = bench.sized(1_000, 50);
    bench.block_on(async {
        let session = writer.connect().await;
        let prepare = format!("PREPARE write AS {}", writer.statement);
        for sql in [
            "SET synchronous_commit = off",
            &prepare,
            &"EXECUTE write;".repeat(WARM_UP as usize),
            "CHECKPOINT",
        ] {
            session.run(sql).await.unwrap();
        }
        let mut touched = 0;
        for _ in 0..messages {
            let sql = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE write";
            touched += touched_in(&session.value(sql).await.unwrap());
        }
        touched as f64 / f64::from(messages)
    })
}

/// All of a plan: a node's counts hold those of the nodes below it.
fn touched_in(explained: &str) -> u64 {
    let explained: Value = serde_json::from_str(explained).unwrap();
    let plan = &explained[0]["Plan"];
    let counts = [
        "Shared Hit Blocks",
        "Shared Read Blocks",
        "Shared Dirtied Blocks",
    ];
    counts
        .iter()
        .map(|count| plan[count].as_u64().unwrap())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_planning_and_of_nodes_below_are_not_added() {
        let explained = r#"[{
            "Plan": {
              "Shared Hit Blocks": 10, "Shared Read Blocks": 2, "Shared Dirtied Blocks": 3,
              "Shared Written Blocks": 100,
              "Plans": [{"Shared Hit Blocks": 4}]
            },
            "Planning": {"Shared Hit Blocks": 50}
        }]"#;
        assert_eq!(touched_in(explained), 15);
    }
}
