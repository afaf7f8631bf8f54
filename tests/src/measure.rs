//! What benchmarks share: ratios of interleaved rounds, and where the raw runs go.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Ratios of rounds: their median and range.
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The lowest one.
    pub lowest: f64,
    /// The highest one.
    pub highest: f64,
}

impl Spread {
    /// Of rates measured round by round.
    pub fn of(these: &[f64], those: &[f64]) -> Self {
        let mut ratios: Vec<f64> = these
            .iter()
            .zip(those)
            .map(|(this, that)| this / that)
            .collect();
        ratios.sort_by(f64::total_cmp);
        Self {
            median: ratios[ratios.len() / 2],
            lowest: ratios[0],
            highest: ratios[ratios.len() - 1],
        }
    }

    /// For the report.
    pub fn to_json(&self) -> Value {
        json!({ "median": self.median, "lowest": self.lowest, "highest": self.highest })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!(
            "{:.2} ({:.2}-{:.2})",
            self.median, self.lowest, self.highest
        );
        f.pad(&text)
    }
}

/// Writes the raw runs to `target/bench/<name>.json` and says so.
pub fn write_report(name: &str, report: &Value) {
    let file = output_folder().join(format!("{name}.json"));
    fs::write(&file, serde_json::to_string_pretty(report).unwrap()).unwrap();
    println!("raw runs: {}", file.display());
}

fn output_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    let folder = target.join("bench");
    fs::create_dir_all(&folder).unwrap();
    folder
}
