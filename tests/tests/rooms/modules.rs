//! The modules of a crate, read from their source: a file is a module.

use std::fs;
use std::path::Path;

/// A module and its text, without comments and tests.
pub struct Module {
    file: String,
    path: Vec<String>,
    text: String,
}

/// The modules of the crate whose sources lie in `folder`.
pub fn read(folder: &Path) -> Vec<Module> {
    let (mut modules, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
            let name = if name == "lib" { "" } else { name };
            let module = Module::of(
                &name.replace('/', "::"),
                &fs::read_to_string(&path).unwrap(),
            );
            modules.push(Module {
                file: file.to_owned(),
                ..module
            });
        }
    }
    modules.sort_by(|one, other| one.path.cmp(&other.path));
    modules
}

/// The names of modules each of which uses the next, and the last is the first; empty for none.
pub fn circle(modules: &[Module]) -> Vec<String> {
    let mut done = vec![false; modules.len()];
    for number in 0..modules.len() {
        let mut on_the_way = Vec::new();
        if walk(modules, number, &mut on_the_way, &mut done) {
            let names = on_the_way.iter().map(|number| modules[*number].name());
            return names.collect();
        }
    }
    Vec::new()
}

/// Whether a circle was met, which `on_the_way` then is.
fn walk(modules: &[Module], number: usize, on_the_way: &mut Vec<usize>, done: &mut [bool]) -> bool {
    if let Some(start) = on_the_way.iter().position(|passed| *passed == number) {
        on_the_way.drain(..start);
        on_the_way.push(number);
        return true;
    }
    if done[number] {
        return false;
    }
    on_the_way.push(number);
    for used in modules[number].used_numbers(modules) {
        if walk(modules, used, on_the_way, done) {
            return true;
        }
    }
    on_the_way.pop();
    done[number] = true;
    false
}

impl Module {
    /// A module by its name, such as `pg::lock`; empty for the crate's own.
    pub fn of(name: &str, text: &str) -> Self {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        Self {
            file: String::new(),
            path: segments(name),
            text: text.lines().map(code).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.path.join("::")
    }

    /// Its file, from the folder of the crate's sources.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether it is the module of this name or lies in it.
    pub fn is_within(&self, name: &str) -> bool {
        self.path.first().is_some_and(|first| first == name)
    }

    /// Whether it has SQL that reads or writes the table.
    pub fn has_sql_of(&self, table: &str) -> bool {
        let words: Vec<&str> = self
            .text
            .split(|character: char| {
                !(character.is_alphanumeric() || matches!(character, '_' | '.'))
            })
            .filter(|word| !word.is_empty())
            .collect();
        let name = format!("message_store.{table}");
        words
            .windows(2)
            .any(|pair| matches!(pair[0], "FROM" | "INTO" | "UPDATE" | "JOIN") && pair[1] == name)
    }

    /// The modules it uses: by `use`, by a path in its code, or by the name of one it declares.
    pub fn used<'a>(&self, modules: &'a [Self]) -> Vec<&'a Self> {
        let numbers = self.used_numbers(modules).into_iter();
        numbers.map(|number| &modules[number]).collect()
    }

    fn used_numbers(&self, modules: &[Self]) -> Vec<usize> {
        let mut used: Vec<usize> = self
            .paths()
            .into_iter()
            .filter_map(|path| self.resolve(&path, modules))
            .filter(|number| modules[*number].path != self.path)
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Every path in the text, that of `use a::{b, c}` as `a::b` and `a::c`.
    fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        let mut rest = self.text.as_str();
        while let Some(at) = rest.find("::") {
            let start = rest[..at]
                .rfind(|character: char| !is_of_path(character))
                .map_or(0, |before| before + 1);
            let end = rest[at..]
                .find(|character: char| !is_of_path(character))
                .map_or(rest.len(), |length| at + length);
            let path = &rest[start..end];
            rest = &rest[end..];
            if path.ends_with("::") && rest.starts_with('{') {
                let length = closing(rest);
                paths.extend(branches(path, &rest[1..length]));
                rest = &rest[length..];
            } else {
                paths.push(segments(path));
            }
        }
        paths
    }

    /// The number of the module that a path leads to or into.
    fn resolve(&self, path: &[String], modules: &[Self]) -> Option<usize> {
        let mut path: &[String] = path;
        let mut from = self.path.clone();
        match path.first()?.as_str() {
            "crate" => {
                from.clear();
                path = &path[1..];
            }
            "super" => {
                while path.first().is_some_and(|first| first == "super") {
                    from.pop();
                    path = &path[1..];
                }
            }
            "self" => path = &path[1..],
            child => {
                let declares = |line: &str| {
                    let line = line.trim().trim_start_matches("pub ");
                    line == format!("mod {child};")
                };
                if !self.text.lines().any(declares) {
                    return None;
                }
            }
        }
        let whole: Vec<String> = from.into_iter().chain(path.iter().cloned()).collect();
        (1..=whole.len()).rev().find_map(|length| {
            modules
                .iter()
                .position(|module| module.path == whole[..length])
        })
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split("::")
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_of_path(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | ':')
}

/// Where the brace closes that a text begins with.
fn closing(text: &str) -> usize {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The paths of a `use` tree.
fn branches(before: &str, tree: &str) -> Vec<Vec<String>> {
    let (mut paths, mut start, mut depth) = (Vec::new(), 0, 0);
    let ends = tree.char_indices().chain([(tree.len(), ',')]);
    for (at, character) in ends {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let branch = tree[start..at].trim();
                start = (at + 1).min(tree.len());
                match branch.split_once('{') {
                    Some((more, inner)) => {
                        let inner = inner.trim_end().trim_end_matches('}');
                        paths.extend(branches(&format!("{before}{more}"), inner));
                    }
                    None if branch.is_empty() || branch == "self" => paths.push(segments(before)),
                    None => {
                        let name = branch.split(" as ").next().unwrap_or_default();
                        paths.push(segments(&format!("{before}{name}")));
                    }
                }
            }
            _ => {}
        }
    }
    paths
}
