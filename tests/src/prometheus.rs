//! Debian's Prometheus, with our rules, asked as Grafana asks it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::orchestrator::Running;

/// A server of its own: any free port, data in a temporary folder. It ends with us.
pub struct Prometheus {
    /// Its process and its log.
    pub running: Running,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that asks an address every second, as the job `message_store`.
    pub fn start(target: &str, rules: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = target.trim_start_matches("http://");
        let rules = rules.canonicalize().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - job_name: message_store\n  \
               static_configs: [{{targets: ['{target}']}}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "prometheus"]);
        command.arg("--web.listen-address=127.0.0.1:0");
        command.arg(option("--config.file", &file));
        command.arg(option("--storage.tsdb.path", &folder.path().join("data")));
        let running = Running::start(&mut command);
        let line = running.wait_for_log("Listening on");
        let address = line.split("address=").nth(1).unwrap().trim().to_owned();
        running.wait_for_log("Server is ready");
        Self {
            running,
            address,
            _folder: folder,
        }
    }

    /// What it answers to an expression, a value for each series. An error of it fails the test.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.ask("query", &[("query", expression)]);
        answer["result"].as_array().unwrap().clone()
    }

    /// The rules of alerts as it has loaded them.
    pub fn rules(&self) -> Vec<Value> {
        let answer = self.ask("rules", &[]);
        let groups = answer["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        rules.cloned().collect()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let url = format!("http://{}/api/v1/{what}", self.address);
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent.get(&url).query_pairs(parameters.iter().copied());
        let text = request.call().unwrap().body_mut().read_to_string().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["status"], "success", "{parameters:?}: {text}");
        answer["data"].clone()
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}
