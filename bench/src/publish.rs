//! The page of performance: its plots, and the section of each work between two marks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::plot::Plot;
use crate::record::Record;
use crate::report::{name_of, write_plots};
use crate::rows::table;
use crate::work::Work;

/// The page in the folder of documents, and the folder of its plots beside it.
const PAGE: &str = "performance.md";
const PLOTS: &str = "performance";

/// A page that has a section for each work.
pub struct Page {
    file: PathBuf,
    plots: PathBuf,
}

impl Page {
    /// Looks that the page is there with the marks of all works, before anything is measured.
    pub fn open(documents: &Path, works: &[&Work]) -> Result<Self> {
        let page = Self {
            file: documents.join(PAGE),
            plots: documents.join(PLOTS),
        };
        let text = page.read()?;
        for work in works {
            page.with_section(&text, work.name, "")?;
        }
        Ok(page)
    }

    /// Writes the plots and the section of a work.
    pub fn publish(&self, record: &Record, plots: &[Plot]) -> Result<()> {
        if record.quick {
            bail!("the figures of a quick run mean nothing: {}", record.work);
        }
        write_plots(&self.plots, plots)?;
        let section = section(record, plots);
        let text = self.with_section(&self.read()?, &record.work, &section)?;
        fs::write(&self.file, text).with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn read(&self) -> Result<String> {
        fs::read_to_string(&self.file)
            .with_context(|| format!("cannot read {}", self.file.display()))
    }

    fn with_section(&self, text: &str, work: &str, section: &str) -> Result<String> {
        replace_section(text, work, section).with_context(|| self.file.display().to_string())
    }
}

/// Puts a section between `<!-- bench: work -->` and the next `<!-- /bench -->`, lines of their
/// own, and leaves all else as it is.
fn replace_section(text: &str, work: &str, section: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- bench: {work} -->"), "<!-- /bench -->");
    let mut replaced = String::new();
    let mut lines = text.split_inclusive('\n');
    loop {
        let Some(line) = lines.next() else {
            bail!("has no line {begin}");
        };
        replaced.push_str(line);
        if line.trim_end() == begin {
            break;
        }
    }
    replaced.push_str(section);
    let Some(line) = lines
        .by_ref()
        .take_while(|line| !line.starts_with("<!-- bench: "))
        .find(|line| line.trim_end() == end)
    else {
        bail!("has no line {end} after {begin}");
    };
    replaced.push_str(line);
    replaced.extend(lines);
    Ok(replaced)
}

/// Plots, table, contestants and facts, in Markdown.
fn section(record: &Record, plots: &[Plot]) -> String {
    let mut section = String::from("\n");
    for plot in plots {
        section += &format!("![{}]({PLOTS}/{})\n\n", plot.title, plot.file_name);
    }
    section += &markdown_table(record);
    section += "\n";
    for identity in record.identities() {
        section += &format!(
            "- {}: {}\n",
            escaped(&name_of(identity)),
            escaped(&identity.guarantees)
        );
    }
    section + &format!("\n{}.\n\n", record.facts())
}

fn markdown_table(record: &Record) -> String {
    let (headings, rows) = table(record);
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = vec!["---".to_owned(); headings.len()];
    let mut table = line(headings.into_iter().map(str::to_owned).collect()) + &line(rule);
    for row in rows {
        table += &line(row.iter().map(|cell| escaped(cell)).collect());
    }
    table
}

/// Text that Markdown takes as it is.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use crate::work::WORKS;

    const TEXT: &str = "# Speed\n\n<!-- bench: write -->\nold\n<!-- /bench -->\n\n\
         <!-- bench: write_batch -->\n<!-- /bench -->\nend, without a newline";

    #[test]
    fn only_what_stands_between_the_marks_of_the_work_is_replaced() {
        let once = replace_section(TEXT, "write", "new\n").unwrap();
        assert_eq!(once, TEXT.replace("old", "new"));
        assert_eq!(replace_section(&once, "write", "new\n").unwrap(), once);
        let other = replace_section(TEXT, "write_batch", "new\n").unwrap();
        assert!(other.contains("old\n") && other.contains("write_batch -->\nnew\n<!-- /bench"));
    }

    #[test]
    fn a_mark_that_is_missing_is_named() {
        let error = |text| replace_section(text, "write", "").unwrap_err().to_string();
        assert_eq!(error("# Speed\n"), "has no line <!-- bench: write -->");
        let unclosed = "<!-- bench: write -->\n<!-- bench: read -->\n<!-- /bench -->\n";
        assert!(error(unclosed).starts_with("has no line <!-- /bench --> after"));
    }

    #[test]
    fn a_page_without_the_marks_is_refused_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Page::open(folder.path(), &[&WORKS[0]]).map(|_| ());
        let error = format!("{:#}", open().unwrap_err());
        assert!(error.contains("cannot read"), "{error}");
        fs::write(folder.path().join(PAGE), "# Speed\n").unwrap();
        let error = format!("{:#}", open().unwrap_err());
        assert!(
            error.ends_with("performance.md: has no line <!-- bench: write -->"),
            "{error}"
        );
        fs::write(folder.path().join(PAGE), TEXT).unwrap();
        open().unwrap();
    }

    #[test]
    fn a_section_shows_plots_table_contestants_and_facts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(PAGE), TEXT).unwrap();
        let plot = Plot {
            file_name: "write.svg".to_owned(),
            title: "Writes".to_owned(),
            svg: "<svg/>".to_owned(),
        };
        let page = Page::open(folder.path(), &[&WORKS[0]]).unwrap();
        page.publish(&sample::record(), &[plot]).unwrap();
        let text = page.read().unwrap();
        for part in [
            "![Writes](performance/write.svg)\n\n| Setting |",
            "|  | Peer &amp; &lt;Co> | 10.0 messages a second | 2.00x (1.00–2.00) | at least",
            "- Peer &amp; &lt;Co> 1.3: everything\n",
            "commit 0123456789ab.\n\n<!-- /bench -->",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let written = fs::read_to_string(folder.path().join("performance/write.svg"));
        assert_eq!(written.unwrap(), "<svg/>");
    }
}
