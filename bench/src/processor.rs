//! Processor time, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use promises::Session;

/// The programs and sessions whose processor time counts.
pub struct Meter<'a> {
    session: &'a Session,
    program: Option<i32>,
    /// Of whose sessions, where not of everybody's.
    role: Option<&'static str>,
    begun: Instant,
    before: HashMap<i32, f64>,
}

impl<'a> Meter<'a> {
    /// Begins to count for an orchestrator of this process id, and for its sessions in the
    /// database.
    pub async fn start(session: &'a Session, program: i32) -> Self {
        Self::begin(session, Some(program), None).await
    }

    /// Begins to count for the sessions that orchestrators have as this role.
    pub async fn start_for_role(session: &'a Session, role: &'static str) -> Self {
        Self::begin(session, None, Some(role)).await
    }

    async fn begin(session: &'a Session, program: Option<i32>, role: Option<&'static str>) -> Self {
        let pids = pids(session, program, role).await;
        Self {
            session,
            program,
            role,
            before: pids.into_iter().map(|pid| (pid, seconds(pid))).collect(),
            begun: Instant::now(),
        }
    }

    /// Per cent of one core since the start.
    pub async fn percent(&self) -> f64 {
        let elapsed = self.begun.elapsed().as_secs_f64();
        let pids = pids(self.session, self.program, self.role).await;
        // A session that came later began with nothing.
        let used = pids
            .into_iter()
            .map(|pid| seconds(pid) - self.before.get(&pid).copied().unwrap_or_default());
        used.sum::<f64>() / elapsed * 100.0
    }
}

async fn pids(session: &Session, program: Option<i32>, role: Option<&str>) -> Vec<i32> {
    let sql = "SELECT pid FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name = 'orchestrator' \
           AND ($1::name IS NULL OR usename = $1)";
    let rows = session.query(sql, &[&role]).await.unwrap();
    let sessions = rows.iter().map(|row| row.get(0));
    program.into_iter().chain(sessions).collect()
}

/// Seconds for which the machine's processors were busy since it started, with whatever.
pub fn busy_seconds() -> f64 {
    /// The kernel counts in hundredths here.
    const A_SECOND: f64 = 100.0;
    let text = fs::read_to_string("/proc/stat").unwrap();
    busy_ticks(text.lines().next().unwrap_or_default()) / A_SECOND
}

/// Of `cpu user nice system idle iowait irq softirq steal guest guest_nice`: guests are in user already.
fn busy_ticks(line: &str) -> f64 {
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    let busy = [0, 1, 2, 5, 6];
    busy.iter().filter_map(|column| ticks.get(*column)).sum()
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
    fn who_is_idle_or_waits_is_not_busy() {
        assert_eq!(busy_ticks("cpu  1 2 4 1000 1000 8 16 1000 0 0"), 31.0);
        assert!(busy_seconds() > 0.0);
    }

    #[test]
    fn a_process_that_works_uses_its_processor() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(seconds(pid) > 0.0);
    }
}
