//! Somebody who does what a page says: with a psql, a shell, and a folder for files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use promises::{bin_dir, orchestrator_program, remove_pg_variables};
use tempfile::TempDir;

use super::expectation::check;
use super::interpreter::Interpreter;
use super::statements::statements;
use super::{Block, repository};

/// The name the pages call us by, and what keeps it from outliving the shell it was started from.
const ORCHESTRATOR: &str = "#!/bin/sh\nexec setpriv --pdeathsig KILL -- 'PROGRAM' \"$@\"\n";

/// The reader of one page.
pub struct Reader {
    psql: Interpreter,
    shell: Interpreter,
    folder: TempDir,
}

impl Reader {
    /// Sits down before the database at this address.
    pub fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("programs");
        fs::create_dir(&programs).unwrap();
        let program = orchestrator_program().display().to_string();
        let orchestrator = programs.join("orchestrator");
        fs::write(&orchestrator, ORCHESTRATOR.replace("PROGRAM", &program)).unwrap();
        fs::set_permissions(&orchestrator, Permissions::from_mode(0o755)).unwrap();
        symlink(
            repository().join("examples"),
            folder.path().join("examples"),
        )
        .unwrap();

        let mut psql = Command::new(bin_dir().join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--dbname", url]);

        let mut shell = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        shell
            .args(["--noprofile", "--norc"])
            .env(
                "PATH",
                format!("{}:{}:{path}", programs.display(), bin_dir().display()),
            )
            .env("DATABASE_URL", url)
            // Who reads the pages has one role for everything, in a cluster of its own.
            .env("ORCHESTRATOR__DATABASE__ALLOW_SUPERUSER", "true")
            .env("ORCHESTRATOR_LISTEN", "127.0.0.1:0");
        for command in [&mut psql, &mut shell] {
            remove_pg_variables(command);
            command.env("LC_ALL", "C.UTF-8").current_dir(folder.path());
        }
        Self {
            psql: Interpreter::start(&psql),
            shell: Interpreter::start(&shell),
            folder,
        }
    }

    /// Gives the shell a variable that the page names.
    pub fn export(&mut self, name: &str, value: &str) {
        self.type_command(name, &format!("export {name}='{value}'"), "");
    }

    /// Does what a block says, with a pause after each statement and each command.
    pub async fn read(&mut self, block: &Block, pause: &impl AsyncFn()) {
        match block.language.as_str() {
            "sql" if first_line(block).ends_with(".sql") && !first_line(block).contains('/') => {
                save(self.folder.path(), block);
            }
            "sql" => {
                if block.text.starts_with("-- examples/") {
                    compare_with_file(block);
                }
                self.query(block, pause).await;
            }
            "console" => self.type_commands(block, pause).await,
            "toml" => save(self.folder.path(), block),
            // What builds and installs us would do so again; what needs more than our store is run by
            // a test of its own.
            "sh" => {}
            "js" | "pgtap" | "python" | "rust" => compare_with_file(block),
            other => panic!("{}: nobody knows how to read {other:?}", block.place),
        }
    }

    async fn query(&mut self, block: &Block, pause: &impl AsyncFn()) {
        let place = &block.place;
        let mut printed = String::new();
        for statement in statements(&block.text) {
            let say_end = r"\echo END";
            printed.push_str(&self.psql.carry_out(place, &statement, say_end).0);
            pause().await;
        }
        match &block.shown {
            Some(shown) => check(place, shown, &printed),
            None => assert!(
                !printed.contains("ERROR:") && !printed.contains("FATAL:"),
                "{place} fails:\n{printed}"
            ),
        }
    }

    /// Lines of `$ ` are commands, those of `> ` go on with one; the rest is what is printed.
    async fn type_commands(&mut self, block: &Block, pause: &impl AsyncFn()) {
        let mut lines = block.text.lines().peekable();
        while let Some(line) = lines.next() {
            let first = line.strip_prefix("$ ");
            let mut command = first
                .unwrap_or_else(|| panic!("{}: a command begins with $", block.place))
                .to_owned();
            while let Some(line) = lines.next_if(|line| line.starts_with("> ")) {
                command.push('\n');
                command.push_str(&line[2..]);
            }
            let mut shown = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
                shown.push(line);
            }
            self.type_command(&block.place, &command, &shown.join("\n"));
            pause().await;
        }
    }

    fn type_command(&mut self, place: &str, command: &str, shown: &str) {
        // The shell reads its commands from where a program would read its input.
        let commands = format!("{{ {command}\n}} < /dev/null");
        let (printed, code) = self.shell.carry_out(place, &commands, "echo \"END $?\"");
        let lines = printed.lines().filter(|line| !is_job_notice(line));
        let printed = lines.collect::<Vec<_>>().join("\n");
        assert_eq!(code, "0", "{place}: {command}\n{printed}");
        check(place, shown, &printed);
    }
}

/// What a shell that nobody types into says of a background job that was killed, whenever.
fn is_job_notice(line: &str) -> bool {
    line.starts_with("bash: line ") && line.contains(" Killed ")
}

fn save(folder: &Path, block: &Block) {
    let name = first_line(block);
    let kind = format!(".{}", block.language);
    assert!(name.ends_with(&kind), "{}: which file?", block.place);
    fs::write(folder.join(name), &block.text).unwrap();
}

fn first_line(block: &Block) -> &str {
    let line = block.text.lines().next().unwrap_or_default();
    line.trim_start_matches(['#', '/', '-', ' '])
}

fn compare_with_file(block: &Block) {
    let name = first_line(block);
    let file = fs::read_to_string(repository().join(name))
        .unwrap_or_else(|error| panic!("{}: {name}: {error}", block.place));
    let (_, part) = block.text.split_once('\n').unwrap_or_default();
    let indented = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    let (part, file) = (indented(part), indented(&file));
    assert!(
        file.windows(part.len()).any(|lines| lines == part),
        "{}: {name} has no such part",
        block.place
    );
}
