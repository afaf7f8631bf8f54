//! Instructions, counted by valgrind in a PostgreSQL of one process.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::Command;

use promises::Cluster;

use super::Writer;

/// Messages to count, after as many that are not.
const MESSAGES: usize = 1_000;

/// Whether there is valgrind.
pub(super) fn can_be_counted(cluster: &Cluster) -> bool {
    let output = valgrind(cluster).arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

/// The difference between a process that writes twice as many messages and one that writes them
/// once, so that its start and end and the first message do not count.
pub(super) fn measure(writer: &Writer<'_>) -> f64 {
    let once = instructions_of(writer, MESSAGES);
    let twice = instructions_of(writer, 2 * MESSAGES);
    (twice - once) / MESSAGES as f64
}

/// All that a process takes which writes so many messages. The server must be stopped.
fn instructions_of(writer: &Writer<'_>, messages: usize) -> f64 {
    let mut postgres = valgrind(writer.cluster);
    postgres
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(writer.cluster.bin_dir().join("postgres"))
        .args(["--single", "-F", "-c", "search_path=message_store,public"])
        .arg("-D")
        .arg(writer.cluster.data_dir())
        .arg(&writer.database)
        .stdin(script(&writer.statement, messages));
    let output = postgres.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    // PostgreSQL goes on after an error here, and succeeds.
    let wrote = output.status.success() && !printed.contains("ERROR:");
    collected_in(&printed)
        .filter(|_| wrote)
        .unwrap_or_else(|| panic!("{postgres:?} ({}): {printed}", output.status))
}

/// `env` finds it on the PATH.
fn valgrind(cluster: &Cluster) -> Command {
    let mut command = cluster.server_command("/usr/bin/env");
    command.arg("valgrind");
    command
}

/// A command a line.
fn script(statement: &str, messages: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    writeln!(file, "PREPARE write AS {statement}").unwrap();
    write!(file, "{}", "EXECUTE write\n".repeat(messages)).unwrap();
    file.rewind().unwrap();
    file
}

/// Of `==4711== Collected : 123456`.
fn collected_in(printed: &str) -> Option<f64> {
    let line = printed.lines().find(|line| line.contains("Collected : "))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_the_last_word_of_its_line() {
        let printed = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(collected_in(printed), Some(123_456.0));
        assert_eq!(collected_in("env: 'valgrind': No such file"), None);
    }
}
