//! What cleans up after a test however the test ends.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A shell that waits until we are dropped or the test's process is gone, in whatever way. Dropping it
/// returns when all is cleaned up.
#[derive(Debug)]
pub(crate) struct Guardian {
    shell: Child,
    // It ends with us, and the shell's input with it.
    held: Option<ChildStdin>,
}

impl Guardian {
    /// One that will run `script`, which has `arguments` from `$1` on.
    pub(crate) fn start(script: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("cat > /dev/null\n{script}"), "guardian"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for the group of the tests.
            .process_group(0)
            .spawn()
            .unwrap();
        let held = shell.stdin.take();
        Self { shell, held }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        drop(self.held.take());
        let _ = self.shell.wait();
    }
}
