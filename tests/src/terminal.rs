//! A terminal of a known size, and a program that runs on it.

use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long an awaited event may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(180);

/// What was printed, and whether that is all.
#[derive(Default)]
struct Printed {
    state: Mutex<(String, bool)>,
    grew: Condvar,
}

/// A program on a terminal. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    printed: Arc<Printed>,
}

impl Terminal {
    /// Starts a command on a terminal that has so many columns, and 24 lines.
    pub fn start(columns: u16, command: &mut Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let ends = openpty(&size, None).unwrap();
        command.stdin(ends.slave.try_clone().unwrap());
        command.stdout(ends.slave.try_clone().unwrap());
        command.stderr(ends.slave);
        let child = command.spawn().unwrap();
        // Ours must be closed, or the terminal never ends.
        for give_back in [Command::stdin, Command::stdout, Command::stderr] {
            give_back(command, std::process::Stdio::null());
        }
        let printed = Arc::new(Printed::default());
        let ours = Arc::clone(&printed);
        let mut screen = File::from(ends.master);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // A terminal whose program is gone says so by an error.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).replace('\r', "");
                ours.state.lock().unwrap().0.push_str(&text);
                ours.grew.notify_all();
            }
            ours.state.lock().unwrap().1 = true;
            ours.grew.notify_all();
        });
        Self { child, printed }
    }

    /// Blocks until the text is printed.
    pub fn wait_for(&self, text: &str) {
        let is_waiting = |state: &mut (String, bool)| !state.1 && !state.0.contains(text);
        let state = self.printed.state.lock().unwrap();
        let waited = self
            .printed
            .grew
            .wait_timeout_while(state, PATIENCE, is_waiting);
        let (state, _) = waited.unwrap();
        assert!(state.0.contains(text), "no {text:?} in:\n{}", state.0);
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits for the end of the program; returns how it ended and all that it printed.
    pub fn wait_for_exit(mut self) -> (ExitStatus, String) {
        let is_waiting = |state: &mut (String, bool)| !state.1;
        let state = self.printed.state.lock().unwrap();
        let waited = self
            .printed
            .grew
            .wait_timeout_while(state, PATIENCE, is_waiting);
        let (state, time) = waited.unwrap();
        assert!(!time.timed_out(), "does not end:\n{}", state.0);
        let text = state.0.clone();
        drop(state);
        (self.child.wait().unwrap(), text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
