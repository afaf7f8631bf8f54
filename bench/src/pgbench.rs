//! PostgreSQL's own load generator: many clients that run one script again and again.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use promises::Cluster;
use tempfile::NamedTempFile;

/// How a script is run.
pub struct Load {
    /// Connections at the same time.
    pub clients: u32,
    /// How long.
    pub seconds: u32,
    /// Settings of the sessions, such as `-c synchronous_commit=off`.
    pub options: String,
}

/// Transactions that were begun at a rate that was asked for.
pub struct Paced {
    /// Transactions a second that were reached.
    pub rate: f64,
    /// All of them; those of a client in their order.
    pub transactions: Vec<Transaction>,
}

/// One of them, as pgbench logs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transaction {
    /// Counted from 0.
    pub client: usize,
    /// From its begin, however late that was, until its commit was acknowledged.
    pub took: Duration,
    /// When its commit was acknowledged.
    pub ended: SystemTime,
}

/// SQL that each client runs again and again, prepared: each statement a transaction.
pub struct Script(NamedTempFile);

impl Script {
    /// Of one or more statements.
    pub fn new(sql: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::write(file.path(), sql).unwrap();
        Self(file)
    }

    /// Transactions a second, as pgbench counts them without the time to connect. The sessions
    /// have the search path that clients of Message DB have.
    pub fn rate(&self, cluster: &Cluster, database: &str, load: &Load) -> f64 {
        let for_seconds = ["--time", &load.seconds.to_string()];
        self.run(cluster, database, load.clients, &for_seconds, &load.options)
    }

    /// The same, but so many transactions a second are begun as long as a client is free, at random
    /// moments.
    pub fn paced(&self, cluster: &Cluster, database: &str, load: &Load, per_second: f64) -> Paced {
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("log");
        let paced = [
            "--time",
            &load.seconds.to_string(),
            &format!("--rate={per_second}"),
            "--log",
            &format!("--log-prefix={}", prefix.display()),
        ];
        let rate = self.run(cluster, database, load.clients, &paced, &load.options);
        let transactions = transactions_in(folder.path());
        Paced { rate, transactions }
    }

    /// The rate of so many transactions of one client.
    pub fn repeat(&self, cluster: &Cluster, database: &str, times: u32, options: &str) -> f64 {
        let transactions = ["--transactions", &times.to_string()];
        self.run(cluster, database, 1, &transactions, options)
    }

    fn run(
        &self,
        cluster: &Cluster,
        database: &str,
        clients: u32,
        amount: &[&str],
        options: &str,
    ) -> f64 {
        let options = format!("-c search_path=message_store,public {options}");
        let mut pgbench = cluster.client_command("pgbench");
        pgbench
            .env("PGOPTIONS", options)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .args(["--client", &clients.to_string()])
            .args(amount)
            .arg("--file")
            .arg(self.0.path())
            .arg(database);
        let output = pgbench.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        rate_in(&printed)
            .filter(|_| output.status.success())
            .unwrap_or_else(|| {
                let errors = String::from_utf8_lossy(&output.stderr);
                panic!("pgbench ({}): {printed}\n{errors}", output.status)
            })
    }
}

fn rate_in(printed: &str) -> Option<f64> {
    let rate = printed
        .lines()
        .find_map(|line| line.strip_prefix("tps = "))?;
    rate.split(' ').next()?.parse().ok()
}

/// A file for each thread, with lines in the order in which its clients came to their ends.
fn transactions_in(folder: &Path) -> Vec<Transaction> {
    let files = fs::read_dir(folder).unwrap();
    let logs = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let transactions = |log: String| log.lines().map(transaction).collect::<Vec<_>>();
    logs.flat_map(transactions).collect()
}

/// `client number took script seconds microseconds lag`, where `took` begins at the moment that was
/// planned, and `lag` is from there to the begin.
fn transaction(line: &str) -> Transaction {
    let fields: Vec<u64> = line
        .split(' ')
        .map(|field| field.parse().unwrap_or_else(|_| panic!("pgbench: {line}")))
        .collect();
    let [client, _, took, _, seconds, microseconds, lag] = fields[..] else {
        panic!("pgbench: {line}");
    };
    Transaction {
        client: client as usize,
        took: Duration::from_micros(took.saturating_sub(lag)),
        ended: SystemTime::UNIX_EPOCH
            + Duration::from_secs(seconds)
            + Duration::from_micros(microseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_begins_when_it_is_begun_and_not_when_it_was_due() {
        let expected = Transaction {
            client: 3,
            took: Duration::from_micros(1_500),
            ended: SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_250),
        };
        assert_eq!(transaction("3 17 1600 0 1700000000 250 100"), expected);
    }

    #[test]
    fn the_rate_is_the_one_without_the_time_to_connect() {
        let printed = "latency average = 0.581 ms\ninitial connection time = 2.5 ms\n\
             tps = 1720.912000 (without initial connection time)\n";
        assert_eq!(rate_in(printed), Some(1720.912));
        assert_eq!(rate_in("pgbench: error: client 0 aborted"), None);
    }
}
