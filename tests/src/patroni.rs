//! Two servers under Debian's Patroni with etcd, each in a network of its own: what fails here fails as
//! it does between machines. As root, one at a time in a process.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{bin_dir, output_of};
use crate::guardian::Guardian;

/// How long a cluster may take to become whole.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Ends what runs in networks, and removes them.
const REMOVE_NETWORKS: &str = r#"
for network in "$@"; do
  ip netns pids "$network" | xargs --no-run-if-empty kill -9
  ip netns delete "$network"
done
"#;

/// The names of the servers.
const NODES: [&str; 2] = ["a", "b"];

/// What Patroni asks of a standby before it promotes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// Only a standby that has everything is promoted.
    Synchronous,
    /// A standby is promoted that lacks up to a mebibyte of WAL.
    Asynchronous,
}

/// A cluster of two. It ends with us.
pub struct PatroniCluster {
    replication: Replication,
    networks: Networks,
    folder: TempDir,
    // Dropped first: what runs is gone by the time the folder goes.
    processes: Vec<Child>,
}

struct Networks {
    prefix: String,
    subnet: String,
    _guardian: Guardian,
}

impl Networks {
    fn make() -> Self {
        let id = std::process::id();
        let prefix = format!("ms{id}");
        // Addresses that are set aside for tests of networks.
        let subnet = format!("198.{}.{}", 18 + id / 250 % 2, id % 250);
        let names = ["hub", "etcd", "a", "b"].map(|name| format!("{prefix}-{name}"));
        let guardian = Guardian::start(REMOVE_NETWORKS, &names);
        let networks = Self {
            prefix,
            subnet,
            _guardian: guardian,
        };
        networks.ip("netns add {}-hub");
        networks.ip("-n {}-hub link add bridge type bridge");
        networks.ip("-n {}-hub link set bridge up");
        for (number, name) in (10..).zip(["etcd", "a", "b"]) {
            networks.ip(&format!("netns add {{}}-{name}"));
            networks.ip(&format!(
                "link add {{}}-{name} netns {{}}-hub type veth peer name eth0 netns {{}}-{name}"
            ));
            networks.ip(&format!(
                "-n {{}}-hub link set {{}}-{name} master bridge up"
            ));
            networks.ip(&format!(
                "-n {{}}-{name} address add {}.{number}/24 dev eth0",
                networks.subnet
            ));
            networks.ip(&format!("-n {{}}-{name} link set eth0 up"));
            networks.ip(&format!("-n {{}}-{name} link set lo up"));
        }
        // Who tests is on the network as well.
        networks.ip("link add {}-us netns {}-hub type veth peer name {}");
        networks.ip("-n {}-hub link set {}-us master bridge up");
        networks.ip(&format!("address add {}.1/24 dev {{}}", networks.subnet));
        networks.ip("link set {} up");
        networks
    }

    /// Runs `ip`, with our prefix wherever `{}` is.
    fn ip(&self, arguments: &str) {
        let arguments = arguments.replace("{}", &self.prefix);
        output_of(Command::new("ip").args(arguments.split(' ')));
    }

    fn address(&self, name: &str) -> String {
        let number = match name {
            "etcd" => 10,
            "a" => 11,
            _ => 12,
        };
        format!("{}.{number}", self.subnet)
    }

    /// A program in one of the networks, as the user of servers.
    fn command(&self, name: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &format!("{}-{name}", self.prefix)])
            .args([
                "setpriv",
                "--reuid=postgres",
                "--regid=postgres",
                "--clear-groups",
            ])
            .args([
                "env",
                "--ignore-environment",
                "LC_ALL=C.UTF-8",
                "PATH=/usr/bin:/bin",
            ])
            .arg(program)
            .stdin(Stdio::null());
        command
    }
}

impl PatroniCluster {
    /// Makes one, and returns when it has a primary and a standby that follows. Patroni calls the script that
    /// `on_role_change` returns for a folder where the server's socket is.
    pub fn start(replication: Replication, on_role_change: impl Fn(&Path) -> String) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("promises")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut cluster = Self {
            replication,
            networks: Networks::make(),
            folder,
            processes: Vec::new(),
        };
        cluster.start_etcd();
        for node in NODES {
            cluster.start_node(node, &on_role_change);
        }
        cluster.wait_until_whole();
        cluster
    }

    /// The folder of one of them, which is the user's that servers run as.
    fn folder_of(&self, name: &str) -> PathBuf {
        let user = User::from_name("postgres").unwrap().unwrap();
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        folder
    }

    fn spawn(&mut self, name: &str, mut command: Command) {
        let log = fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        let errors = log.try_clone().unwrap();
        self.processes
            .push(command.stdout(log).stderr(errors).spawn().unwrap());
    }

    fn start_etcd(&mut self) {
        let data = self.folder_of("etcd");
        let clients = format!("http://{}:2379", self.networks.address("etcd"));
        let peers = "http://127.0.0.1:2380";
        let mut command = self.networks.command("etcd", "etcd");
        command
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=default={peers}"))
            // Patroni 3.0 overwrites another's lock in its third interface, where it was held up itself.
            .arg("--enable-v2");
        self.spawn("etcd", command);
    }

    fn start_node(&mut self, node: &str, on_role_change: &impl Fn(&Path) -> String) {
        let folder = self.folder_of(node);
        let script = folder.join("on_role_change");
        fs::write(&script, on_role_change(&folder)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let configuration = self.folder.path().join(format!("{node}.yml"));
        fs::write(&configuration, self.configuration(node, &folder)).unwrap();
        let mut command = self.networks.command(node, "patroni");
        command.arg(&configuration);
        self.spawn(node, command);
    }

    fn configuration(&self, node: &str, folder: &Path) -> String {
        let (address, etcd) = (self.networks.address(node), self.networks.address("etcd"));
        let subnet = format!("{}.0/24", self.networks.subnet);
        let is_synchronous = self.replication == Replication::Synchronous;
        format!(
            r#"
scope: store
name: {node}
restapi: {{listen: "{address}:8008", connect_address: "{address}:8008"}}
etcd: {{host: "{etcd}:2379"}}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 2
    primary_start_timeout: 0
    synchronous_mode: {is_synchronous}
    postgresql: {{use_pg_rewind: true, parameters: {{max_connections: 60, max_prepared_transactions: 20}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, data-checksums]
  pg_hba: [local all all trust, host all all {subnet} trust, host replication all {subnet} trust]
postgresql:
  listen: "{address}:5432"
  connect_address: "{address}:5432"
  data_dir: "{folder}/data"
  bin_dir: "{programs}"
  pgpass: "{folder}/pgpass"
  callbacks: {{on_role_change: "{folder}/on_role_change"}}
  authentication: {{superuser: {{username: postgres}}, replication: {{username: replicator}}, rewind: {{username: postgres}}}}
  parameters: {{unix_socket_directories: "{folder}", fsync: "off", shared_buffers: 64MB}}
"#,
            folder = folder.display(),
            programs = bin_dir().display(),
        )
    }

    /// The libpq address of both for a role: connections go to the one that takes writes.
    pub fn url(&self, role: &str, database: &str) -> String {
        let [a, b] = NODES.map(|node| self.networks.address(node));
        format!(
            "postgresql://{role}@{a},{b}/{database}?target_session_attrs=read-write\
             &sslmode=disable&connect_timeout=2"
        )
    }

    /// The name of the other server.
    pub fn other(node: &str) -> &'static str {
        NODES.into_iter().find(|one| *one != node).unwrap()
    }

    /// Its members, as Patroni knows them: names, and what they are.
    fn members(&self) -> Vec<(String, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(1)))
            .build()
            .into();
        let asked = NODES.iter().find_map(|node| {
            let url = format!("http://{}:8008/cluster", self.networks.address(node));
            let text = agent.get(&url).call().ok()?.body_mut().read_to_string();
            serde_json::from_str::<Value>(&text.ok()?).ok()
        });
        let known = asked.unwrap_or_default();
        let members = known["members"].as_array().cloned().unwrap_or_default();
        let running = members.iter().filter(|member| {
            ["running", "streaming"].contains(&member["state"].as_str().unwrap_or(""))
        });
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        running
            .map(|member| (word(&member["name"]), word(&member["role"])))
            .collect()
    }

    /// Returns when there is a primary, and a standby that could take its place; the primary's name.
    pub fn wait_until_whole(&self) -> &'static str {
        let started = Instant::now();
        loop {
            let members = self.members();
            let has = |role: &str| members.iter().find(|member| member.1 == role);
            let standby = match self.replication {
                Replication::Synchronous => "sync_standby",
                Replication::Asynchronous => "replica",
            };
            if let (Some((leader, _)), Some(_)) = (has("leader"), has(standby)) {
                return NODES.into_iter().find(|node| node == leader).unwrap();
            }
            assert!(
                started.elapsed() < PATIENCE,
                "not whole: {members:?}\n{}",
                self.logs()
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The last that etcd and both Patronis said.
    pub fn logs(&self) -> String {
        let mut logs = String::new();
        for name in ["etcd", "a", "b"] {
            let log = self.folder.path().join(format!("{name}.log"));
            let log = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(20)..];
            logs.push_str(&format!("== {name}\n{}\n", last.join("\n")));
        }
        logs
    }

    /// Sends a signal to every process of a server, and to nothing of Patroni's.
    pub fn signal(&self, node: &str, signal: Signal) {
        let pid_file = self.folder.path().join(node).join("data/postmaster.pid");
        let text = fs::read_to_string(pid_file).unwrap();
        let postmaster = text.lines().next().unwrap().to_owned();
        let children = Command::new("pgrep")
            .args(["--parent", &postmaster])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        for pid in std::iter::once(postmaster.as_str()).chain(children.lines()) {
            // A child may be gone by now.
            let _ = kill(Pid::from_raw(pid.parse().unwrap()), signal);
        }
    }

    /// Pulls the plug of a server's network.
    pub fn cut(&self, node: &str) {
        self.networks
            .ip(&format!("-n {{}}-hub link set {{}}-{node} down"));
    }

    /// Puts it back.
    pub fn join(&self, node: &str) {
        self.networks
            .ip(&format!("-n {{}}-hub link set {{}}-{node} up"));
    }
}

impl Drop for PatroniCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
