//! PostgreSQL's own load generator: many clients that run one script again and again.

use std::fs;

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
        let options = format!("-c search_path=message_store,public {}", load.options);
        let mut pgbench = cluster.client_command("pgbench");
        pgbench
            .env("PGOPTIONS", options)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .args(["--client", &load.clients.to_string()])
            .args(["--time", &load.seconds.to_string()])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_one_without_the_time_to_connect() {
        let printed = "latency average = 0.581 ms\ninitial connection time = 2.5 ms\n\
             tps = 1720.912000 (without initial connection time)\n";
        assert_eq!(rate_in(printed), Some(1720.912));
        assert_eq!(rate_in("pgbench: error: client 0 aborted"), None);
    }
}
