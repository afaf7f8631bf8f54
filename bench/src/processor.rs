//! Processor time, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use promises::Session;

/// The programs and sessions whose processor time counts.
pub struct Meter<'a> {
    session: &'a Session,
    program: i32,
    begun: Instant,
    before: HashMap<i32, f64>,
}

impl<'a> Meter<'a> {
    /// Begins to count for an orchestrator of this process id, and for its sessions in the
    /// database.
    pub async fn start(session: &'a Session, program: i32) -> Self {
        let pids = pids(session, program).await;
        Self {
            session,
            program,
            before: pids.into_iter().map(|pid| (pid, seconds(pid))).collect(),
            begun: Instant::now(),
        }
    }

    /// Per cent of one core since the start.
    pub async fn percent(&self) -> f64 {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let pids = pids(self.session, self.program).await;
        // A session that came later began with nothing.
        let used = pids
            .into_iter()
            .map(|pid| seconds(pid) - self.before.get(&pid).copied().unwrap_or_default());
        used.sum::<f64>() / elapsed * 100.0
    }
}

async fn pids(session: &Session, program: i32) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'orchestrator'";
    let rows = session.query(sql, &[]).await.unwrap();
    let sessions = rows.iter().map(|row| row.get(0));
    std::iter::once(program).chain(sessions).collect()
}

/// Of a process with all its threads.
fn seconds(pid: i32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        // A thread may end while we look.
        let file = thread.unwrap().path().join("schedstat");
        on_processor(&fs::read_to_string(file).unwrap_or_default())
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Nanoseconds, from the kernel's `on processor, waiting for one, how often`.
fn on_processor(schedstat: &str) -> f64 {
    let first = schedstat.split_whitespace().next();
    first.map_or(0.0, |first| first.parse().unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_time_on_a_processor() {
        assert_eq!(on_processor("1500 20 3\n"), 1500.0);
        assert_eq!(on_processor(""), 0.0);
    }

    #[test]
    fn a_process_that_works_uses_its_processor() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(seconds(pid) > 0.0);
    }
}
