//! A program that reads commands and prints what comes of them: psql, or a shell.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a block may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// It, running. Dropping it ends it.
pub struct Interpreter {
    child: Child,
    input: ChildStdin,
    printed: Receiver<String>,
    blocks: usize,
}

impl Interpreter {
    /// Starts `program`; what it prints to standard error is in its place among the rest.
    pub fn start(program: &Command) -> Self {
        // The kernel ends it, and so what waits for it, when the thread of the test ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        command.args(["sh", "-c", "exec \"$@\" 2>&1", "sh"]);
        command.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            input: child.stdin.take().unwrap(),
            child,
            printed,
            blocks: 0,
        }
    }

    /// Has it carry out `commands`; returns what was printed. `say` is the command that prints
    /// what follows it, as a line of its own; what it prints after our word for the end is the
    /// second part.
    pub fn carry_out(&mut self, place: &str, commands: &str, say: &str) -> (String, String) {
        self.blocks += 1;
        let end = format!("end of block {}:", self.blocks);
        let commands = commands.trim_end();
        writeln!(self.input, "{commands}\n{}", say.replace("END", &end)).unwrap();
        self.input.flush().unwrap();
        let started = Instant::now();
        let mut printed = String::new();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.printed.recv_timeout(left) {
                Ok(line) => match line.strip_prefix(&end) {
                    Some(rest) => return (printed, rest.trim().to_owned()),
                    None => {
                        printed.push_str(&line);
                        printed.push('\n');
                    }
                },
                Err(_) => panic!("{place} does not come to an end:\n{commands}\n\n{printed}"),
            }
        }
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // Ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
