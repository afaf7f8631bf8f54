//! What a work found out, with all that a reader needs to judge it: the file `<work>.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::comparison::{Comparison, Contest, Identity, Ratio};
use crate::goal::Verdict;
use crate::machine::Machine;
use crate::series::{Line, Series};
use crate::server::ServerFacts;
use crate::work::Work;

/// One work, measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub work: String,
    /// Its heading.
    pub title: String,
    /// Interleaved rounds of each line-up.
    pub rounds: usize,
    /// Whether it only shows that everything runs.
    pub quick: bool,
    /// Of this repository; with a `+` where files were changed since. Nothing outside a clone.
    pub commit: Option<String>,
    /// Where it was measured.
    pub machine: Machine,
    /// Whom it measured.
    pub servers: Vec<ServerFacts>,
    /// What it found, with all runs.
    pub comparisons: Vec<Comparison>,
}

/// The file: what was measured, and what follows from it.
#[derive(Serialize)]
struct Saved<'a> {
    #[serde(flatten)]
    record: &'a Record,
    figures: Vec<FigureAt>,
    ratios: Vec<RatioAt>,
    growths: Vec<Growth>,
}

/// What ours is held to by itself, with the setting it was measured under.
#[derive(Serialize)]
struct FigureAt {
    setting: String,
    contestant: String,
    verdict: Verdict,
}

/// A ratio with the setting it was measured under.
#[derive(Serialize)]
struct RatioAt {
    setting: String,
    #[serde(flatten)]
    ratio: Ratio,
}

/// How a contestant's cost grows along a series.
#[derive(Serialize)]
struct Growth {
    series: String,
    contestant: String,
    growth: f64,
    verdict: Option<Verdict>,
}

impl Record {
    /// Runs a work.
    pub fn measure(work: &Work, rounds: usize, quick: bool) -> Self {
        let bench = Bench::new(rounds, quick);
        let comparisons = (work.run)(&bench);
        Self {
            work: work.name.to_owned(),
            title: work.title.to_owned(),
            rounds,
            quick,
            commit: commit(),
            machine: Machine::this(),
            servers: bench.servers.take(),
            comparisons,
        }
    }

    /// All contests with their settings, those along an axis too.
    pub fn contests(&self) -> Vec<(String, &Contest)> {
        let contests = self
            .comparisons
            .iter()
            .flat_map(|comparison| match comparison {
                Comparison::Contest(contest) => vec![(contest.label.clone(), contest)],
                Comparison::Series(series) => series.settings(),
            });
        contests.collect()
    }

    /// Whoever ran, once each.
    pub fn identities(&self) -> Vec<&Identity> {
        let mut identities: Vec<&Identity> = Vec::new();
        let contests = self.contests();
        for contestant in contests
            .iter()
            .flat_map(|(_, contest)| contest.contestants())
        {
            if !identities.contains(&&contestant.identity) {
                identities.push(&contestant.identity);
            }
        }
        identities
    }

    /// How, where and on what it was measured, in a sentence.
    pub fn facts(&self) -> String {
        let rounds = match self.rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} interleaved rounds"),
        };
        let servers = self.servers.iter().map(ServerFacts::to_string);
        let mut facts = vec![format!("{rounds} on {}", self.machine)];
        facts.extend(servers);
        facts.extend(self.commit.iter().map(|commit| format!("commit {commit}")));
        facts.join("; ")
    }

    /// Writes the file and returns its path.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let saved = Saved::of(self);
        let file = file_of(folder, &self.work);
        let text = serde_json::to_string_pretty(&saved)? + "\n";
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Reads what an earlier run saved.
    pub fn load(folder: &Path, work: &str) -> Result<Self> {
        let file = file_of(folder, work);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("cannot read what was measured, {}", file.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not what was measured", file.display()))
    }
}

impl<'a> Saved<'a> {
    fn of(record: &'a Record) -> Self {
        let contests = record.contests();
        let figures = contests.iter().filter_map(|(setting, contest)| {
            Some(FigureAt {
                setting: setting.clone(),
                contestant: contest.ours.identity.name.clone(),
                verdict: contest.verdict()?,
            })
        });
        let ratios = contests.iter().flat_map(|(setting, contest)| {
            contest.ratios().map(|ratio| RatioAt {
                setting: setting.clone(),
                ratio,
            })
        });
        let growths = record
            .comparisons
            .iter()
            .flat_map(|comparison| match comparison {
                Comparison::Contest(_) => Vec::new(),
                Comparison::Series(series) => Growth::of(series),
            });
        Self {
            record,
            figures: figures.collect(),
            ratios: ratios.collect(),
            growths: growths.collect(),
        }
    }
}

impl Growth {
    fn of(series: &Series) -> Vec<Self> {
        let growth = |line: Line<'_>| Self {
            series: series.label.clone(),
            contestant: line.identity.name.clone(),
            growth: line.growth,
            verdict: line.verdict,
        };
        series.lines().into_iter().map(growth).collect()
    }
}

fn file_of(folder: &Path, work: &str) -> PathBuf {
    folder.join(format!("{work}.json"))
}

/// The commit of the sources; nothing where they are no clone or there is no git.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments);
        let output = git.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changes.is_empty() { "" } else { "+" };
    Some(commit + mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use serde_json::Value;

    #[test]
    fn what_is_saved_has_all_runs_and_what_follows_and_can_be_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let record = sample::record();
        let text = fs::read_to_string(record.save(folder.path()).unwrap()).unwrap();
        let saved: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            saved["comparisons"][0]["ours"]["runs"],
            serde_json::json!(sample::OURS)
        );
        assert_eq!(saved["comparisons"][0]["others"][0]["version"], "1.3");
        assert_eq!(saved["ratios"][0]["spread"]["median"], 2.0);
        assert_eq!(saved["ratios"][0]["verdict"]["reached"], false);
        assert_eq!(saved["ratios"][1]["setting"], "a tick, 10,000");
        assert_eq!(saved["growths"][0]["growth"], 3.0);

        let again = Record::load(folder.path(), "write").unwrap();
        again.save(folder.path()).unwrap();
        let file = file_of(folder.path(), "write");
        assert_eq!(fs::read_to_string(file).unwrap(), text);
    }

    #[test]
    fn what_was_measured_is_read_to_its_last_digit() {
        for number in 1..100_000 {
            let run = f64::from(number) / 997.0;
            let read: f64 = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
            assert_eq!(read.to_bits(), run.to_bits(), "{run}");
        }
    }

    #[test]
    fn a_contestant_of_several_contests_is_one() {
        let record = sample::record();
        let names: Vec<&str> = record
            .identities()
            .iter()
            .map(|identity| identity.name.as_str())
            .collect();
        assert_eq!(names, ["ours", "Peer & <Co>", "a full scan"]);
    }

    #[test]
    fn what_was_not_measured_yet_is_an_error_that_names_the_file() {
        let error = Record::load(Path::new("/nowhere"), "write").unwrap_err();
        assert!(format!("{error:#}").contains("/nowhere/write.json"));
    }
}
