//! A page of docs/, taken apart into its blocks.
#![allow(dead_code, reason = "no test needs all of it")]

pub mod beside;
pub mod expectation;
mod interpreter;
pub mod links;
pub mod reader;
pub mod shop;
mod statements;

use std::path::{Path, PathBuf};

use reader::Reader;

/// The folder of the pages.
pub fn folder() -> PathBuf {
    repository().join("docs")
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A page.
pub struct Page {
    /// What a person would type, and what would come of it, in order.
    pub blocks: Vec<Block>,
}

/// A fenced block, with the text block that follows it.
pub struct Block {
    /// The heading of the section that it is in.
    pub section: String,
    /// File and line, for messages.
    pub place: String,
    /// What it is written in.
    pub language: String,
    /// What is between the fences.
    pub text: String,
    /// The block of `text` that comes next.
    pub shown: Option<String>,
}

impl Page {
    /// Reads docs/`name`.md.
    pub fn open(name: &str) -> Self {
        let text = std::fs::read_to_string(folder().join(format!("{name}.md"))).unwrap();
        let mut blocks: Vec<Block> = Vec::new();
        let mut section = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            if let Some(heading) = line.strip_prefix("## ") {
                heading.clone_into(&mut section);
            }
            let Some(language) = line.strip_prefix("```") else {
                continue;
            };
            let place = format!("docs/{name}.md:{}", number + 1);
            let text: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            let text = text.join("\n");
            if language == "text" {
                let before = blocks.last_mut().filter(|block| block.shown.is_none());
                let before = before.unwrap_or_else(|| panic!("{place}: whose output is this?"));
                before.shown = Some(text);
            } else {
                blocks.push(Block {
                    section: section.clone(),
                    place,
                    language: language.to_owned(),
                    text,
                    shown: None,
                });
            }
        }
        Self { blocks }
    }
}

/// Does what a section of a page says, in the database at this address. Whoever reads is returned, with
/// what he started.
pub async fn read_section(
    page: &str,
    section: &str,
    url: &str,
    variables: &[(&str, &str)],
) -> Reader {
    let page = Page::open(page);
    let mut reader = Reader::at(url);
    for (name, value) in variables {
        reader.export(name, value);
    }
    let blocks = page.blocks.iter();
    let blocks: Vec<_> = blocks.filter(|block| block.section == section).collect();
    assert!(!blocks.is_empty(), "nothing to do in {section:?}");
    for block in blocks {
        reader.read(block, &async || {}).await;
    }
    reader
}
