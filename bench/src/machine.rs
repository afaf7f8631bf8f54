//! What the figures were measured on.

use std::fmt;
use std::fs;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// The facts that a reader of the figures needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// That this process may use.
    pub cores: usize,
    /// The model, as the kernel names it.
    pub cpu: String,
    /// All of it, in megabytes.
    pub memory_mb: u64,
    /// Its release.
    pub kernel: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let unknown = || "unknown".to_owned();
        let memory = value_of(&read("/proc/meminfo"), "MemTotal");
        let memory_kb: Option<u64> =
            memory.and_then(|memory| memory.split(' ').next()?.parse().ok());
        Self {
            cores: available_parallelism().map_or(1, usize::from),
            cpu: value_of(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            memory_mb: memory_kb.unwrap_or_default() / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gigabytes = (self.memory_mb as f64 / 1024.0).round();
        write!(
            formatter,
            "{} cores ({}), {gigabytes} GB, Linux {}",
            self.cores, self.cpu, self.kernel
        )
    }
}

/// The first `name : value` of a file of the kernel's.
fn value_of(text: &str, name: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_the_kernel_s_is_found_by_its_whole_name() {
        let text = "model\t\t: 85\nmodel name\t: A CPU @ 2.6GHz\nmodel name\t: another\n";
        assert_eq!(
            value_of(text, "model name").as_deref(),
            Some("A CPU @ 2.6GHz")
        );
        assert_eq!(value_of(text, "name"), None);
    }
}
