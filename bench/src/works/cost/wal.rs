//! Bytes of the write-ahead log.

use super::Writer;
use crate::bench::Bench;
use crate::pgbench::Script;

/// Of many transactions of one client. They come after a checkpoint and a warm-up, which leave
/// everybody with equally few pages to log as a whole; keys are random, so some are left.
pub(super) fn measure(bench: &Bench, writer: &Writer<'_>) -> f64 {
    let messages = bench.sized(20_000, 500);
    let script = Script::new(&format!("{};", writer.statement));
    let options = "-c synchronous_commit=off";
    let write = |messages| {
        script.repeat(writer.cluster, &writer.database, messages, options);
    };
    let session = bench.block_on(writer.connect());
    bench.block_on(session.run("CHECKPOINT")).unwrap();
    write(messages / 4);
    let written = || {
        let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        bench.block_on(session.bigint(sql))
    };
    let before = written();
    write(messages);
    (written() - before) as f64 / f64::from(messages)
}
