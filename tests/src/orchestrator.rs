//! The program `orchestrator`, as a user runs it: started, watched by what it prints, signalled,
//! killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::database::Database;
use crate::program::{Profile, build_program};

/// How long an awaited event may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(180);
/// The pause between two looks whether a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What `run` and `up` say when the home page can be asked for.
const ANNOUNCEMENT: &str = "Home page: ";
/// The same for metrics.
const METRICS: &str = "Metrics: ";
/// The same for the dashboard.
const DASHBOARD: &str = "Dashboard: ";

/// Whom the dashboard works as; roles belong to the cluster, which tests share.
const OPERATOR: &str = "DO $$ BEGIN CREATE ROLE operator LOGIN IN ROLE message_store_admin; \
     EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";

/// Any free port, and pauses short enough for a test; all else is the default.
const PACE: &str = r#"
[web]
listen = "127.0.0.1:0"
[delivery]
retry_min_ms = 20
retry_max_ms = 200
"#;

/// The chapter's home page, for [`Database::deploy`].
pub const HOME_PAGE: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:home-page"
category = "viewings"
init = "message_store.ensure_home_page"
handlers = { VideoViewed = "message_store.increment_videos_watched" }
"#;

/// The same with its read model declared, for rebuilds and `verify`.
pub const DECLARED_HOME_PAGE: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:home-page"
category = "viewings"
init = "message_store.ensure_home_page"
read_model = [{ table = "message_store.read_model_pages", where = "page_name = 'home'" }]
handlers = { VideoViewed = "message_store.increment_videos_watched" }
"#;

/// What `orchestrator up` starts: the home page, the most watched, and the service that registers
/// viewings.
pub const DEMO: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:home-page"
category = "viewings"
init = "message_store.ensure_home_page"
handlers = { VideoViewed = "message_store.increment_videos_watched" }
[[aggregators]]
subscriber_id = "aggregators:most-watched"
category = "viewings"
init = "message_store.ensure_most_watched"
handlers = { VideoViewed = "message_store.count_views_per_video" }
[[services]]
subscriber_id = "services:viewings"
category = "viewings:command"
handlers = { RegisterViewing = "message_store.register_viewing" }
"#;

/// The built program: ORCHESTRATOR names it, else it is built once.
pub fn orchestrator_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("ORCHESTRATOR") {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => build_program("orchestrator", Profile::Release),
    })
}

/// `orchestrator` with nothing of our environment that it would read. The kernel kills it when
/// the thread that starts it ends, in whatever way: start it from the test's own.
pub fn orchestrator() -> Command {
    orchestrator_at(orchestrator_program())
}

/// The same, for a copy of the program that another user can reach.
pub fn orchestrator_at(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "PG",
            "ORCHESTRATOR",
            "DATABASE_URL",
            "RUST_LOG",
            "COLUMNS",
            "LINES",
        ]
        .iter()
        .any(|ours| text.starts_with(ours))
        {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

impl Database<'_> {
    /// The libpq address of this database for a role.
    pub fn url(&self, role: &str) -> String {
        let socket_dir = self.cluster.socket_dir().display();
        format!("postgresql://{role}@/{}?host={socket_dir}", self.name)
    }

    /// Runs a command of the orchestrator on this database to its end, as the role `message_store`.
    pub fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = orchestrator();
        command.args(arguments);
        run_to_end(command.args(["--url", &self.url("message_store")]))
    }

    /// A configuration for this database, to be run as the role `message_store`.
    pub fn deploy(&self, subscriptions: &str) -> Deployment {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, subscriptions.to_owned() + PACE).unwrap();
        Deployment {
            folder: Arc::new(folder),
            file,
            url: self.url("message_store"),
        }
    }

    /// The same, with a dashboard for whoever comes over the loopback.
    pub async fn deploy_with_dashboard(&self, subscriptions: &str) -> Deployment {
        self.connect().await.run(OPERATOR).await.unwrap();
        self.deploy(&format!(
            "{subscriptions}\n[dashboard]\nenabled = true\nlisten = \"127.0.0.1:0\"\nurl = \"{}\"\n",
            self.url("operator")
        ))
    }
}

/// A configuration in a folder of its own, and the address of its database.
pub struct Deployment {
    /// Gone with us and what we started.
    pub folder: Arc<TempDir>,
    /// The configuration.
    pub file: PathBuf,
    /// The database.
    pub url: String,
}

impl Deployment {
    /// `orchestrator run`.
    pub fn run(&self) -> Command {
        let mut command = orchestrator();
        command.arg("run").arg("--config").arg(&self.file);
        command.args(["--url", &self.url]);
        command
    }

    /// Starts `orchestrator run`; returns when it listens, to signals too. It may not have
    /// reached the database by then.
    pub fn start(&self) -> Running {
        let mut running = Running::start(&mut self.run());
        running.folder = Some(Arc::clone(&self.folder));
        running.home_page();
        running
    }
}

/// Runs a command that ends by itself.
pub fn run_to_end(command: &mut Command) -> Ended {
    let mut running = Running::start(command);
    let status = running.wait_for_exit();
    Ended {
        code: status.code(),
        stdout: running.printed.to_the_end(),
        stderr: running.logged.to_the_end(),
    }
}

/// Waits for the end of a program; fails where it goes on.
pub fn wait_for_end(program: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = program.try_wait().unwrap() {
            return status;
        }
        let process = program.id();
        assert!(
            started.elapsed() < PATIENCE,
            "process {process} does not end"
        );
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it logged, or the one line of its failure.
    pub stderr: String,
}

/// A running orchestrator, or a load. Dropping it kills it.
pub struct Running {
    child: Child,
    printed: Arc<Lines>,
    logged: Arc<Lines>,
    folder: Option<Arc<TempDir>>,
}

#[derive(Default)]
struct Lines {
    text: Mutex<(String, bool)>,
    grew: Condvar,
}

impl Lines {
    fn follow(source: impl std::io::Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let ours = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                let mut text = ours.text.lock().unwrap();
                text.0.push_str(&line);
                text.0.push('\n');
                drop(text);
                ours.grew.notify_all();
            }
            ours.text.lock().unwrap().1 = true;
            ours.grew.notify_all();
        });
        lines
    }

    fn so_far(&self) -> String {
        self.text.lock().unwrap().0.clone()
    }

    /// For a program that has ended.
    fn to_the_end(&self) -> String {
        let text = self.text.lock().unwrap();
        let text = self.grew.wait_while(text, |state| !state.1).unwrap();
        text.0.clone()
    }

    /// Blocks until there are `count` lines that hold `wanted`; returns the last of them.
    /// Fails where the program ends or the time is up before.
    fn wait_for(&self, wanted: &str, count: usize) -> Result<String, String> {
        let found = |text: &str| {
            let mut lines = text.lines().filter(|line| line.contains(wanted));
            lines.nth(count - 1).map(str::to_owned)
        };
        let is_waiting = |state: &mut (String, bool)| !state.1 && found(&state.0).is_none();
        let text = self.text.lock().unwrap();
        let (text, _) = self
            .grew
            .wait_timeout_while(text, PATIENCE, is_waiting)
            .unwrap();
        found(&text.0).ok_or_else(|| format!("no {wanted:?} (times {count}) in:\n{}", text.0))
    }
}

impl Running {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let printed = Lines::follow(child.stdout.take().unwrap());
        let logged = Lines::follow(child.stderr.take().unwrap());
        Self {
            child,
            printed,
            logged,
            folder: None,
        }
    }

    /// The address of the home page, without a slash at its end, as soon as it is announced.
    pub fn home_page(&self) -> String {
        let address = self.announced(ANNOUNCEMENT);
        address.trim_end_matches('/').to_owned()
    }

    /// The address of the dashboard, without `/admin`, as soon as it is announced.
    pub fn dashboard(&self) -> String {
        let address = self.announced(DASHBOARD);
        address.trim_end_matches("/admin").to_owned()
    }

    /// The address of the metrics, without `/metrics`, as soon as it is announced.
    pub fn metrics(&self) -> String {
        let address = self.announced(METRICS);
        address.trim_end_matches("/metrics").to_owned()
    }

    fn announced(&self, what: &str) -> String {
        match self.printed.wait_for(what, 1) {
            Ok(line) => line.trim_start_matches(what).to_owned(),
            Err(missing) => panic!("{missing}\nlog:\n{}", self.log()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.logged.so_far()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        self.printed.so_far()
    }

    /// Blocks until a line that it printed holds `text`.
    pub fn wait_for_print(&self, text: &str) -> String {
        self.printed.wait_for(text, 1).unwrap()
    }

    /// Blocks until a line of its log holds `text`.
    pub fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_logs(text, 1)
    }

    /// Blocks until `count` lines of its log hold `text`; returns the last of them.
    pub fn wait_for_logs(&self, text: &str, count: usize) -> String {
        self.logged.wait_for(text, count).unwrap()
    }

    /// True until it has ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Kills it, as `kill -9` does, and waits until it is gone.
    pub fn kill(mut self) {
        assert!(self.is_running(), "ended by itself:\n{}", self.log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for_end(&mut self.child)
    }

    /// Asks it to end by SIGTERM; it must do so with exit code 0.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{status}:\n{}", self.log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log of process {}:\n{}", self.pid(), self.log());
        }
    }
}

/// Whether a line of the server's log holds a statement that an orchestrator runs while nobody looks at a page
/// or the dashboard: it delivers, a new connection sets itself up and looks at what its role may do, and what
/// was parked is logged.
pub fn is_delivery(line: &str) -> bool {
    const CALLS: [&str; 9] = [
        "jsonb_build_object('role'",
        "pg_try_advisory_lock_shared",
        "can_retry AND last_failed_at",
        "wait_for_messages",
        "started_subscriptions",
        "record_horizons",
        "apply_retention",
        "message_store.tick",
        "orchestrator.own_session",
    ];
    CALLS.iter().any(|call| line.contains(call))
}
