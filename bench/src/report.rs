//! What a person reads, and the files that go with it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::{Table, presets};

use crate::comparison::Identity;
use crate::plot::Plot;
use crate::record::Record;
use crate::rows::table;

/// The table of a work, who ran in it, and how it was measured.
pub fn text(record: &Record) -> String {
    let (headings, rows) = table(record);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings).add_rows(rows);
    let contestants: Vec<String> = record
        .identities()
        .into_iter()
        .map(|identity| format!("  {}: {}\n", name_of(identity), identity.guarantees))
        .collect();
    let warning = if record.quick {
        "A quick run shows that everything runs; its figures mean nothing.\n"
    } else {
        ""
    };
    format!(
        "{}\n\n{table}\n\n{}\n{}.\n{warning}",
        record.title,
        contestants.concat(),
        record.facts()
    )
}

/// Writes plots into a folder, which is made where it is missing.
pub fn write_plots(folder: &Path, plots: &[Plot]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for plot in plots {
        let file = folder.join(&plot.file_name);
        fs::write(&file, &plot.svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// A contestant's name with its version.
pub(crate) fn name_of(identity: &Identity) -> String {
    match &identity.version {
        Some(version) => format!("{} {version}", identity.name),
        None => identity.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_person_reads_every_contestant_with_what_it_guarantees_and_the_machine() {
        let text = text(&sample::record());
        for part in [
            "Writes\n",
            "Peer & <Co> 1.3: everything",
            "a full scan",
            "2.00x (1.00–2.00)",
            "3 interleaved rounds on 2 cores (A CPU)",
            "PostgreSQL 15.1 (fsync on); message_store 0.2.0; commit 0123456789ab.",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("mean nothing"), "{text}");
    }
}
