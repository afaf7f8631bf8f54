//! Promise: `deploy/kubernetes/cloudnative-pg.yaml` is what Kubernetes and CloudNativePG take, and
//! what it brings together fits: a field that they do not know, a value of another type, a file
//! that nobody mounts, a right that is missing. PostgreSQL 18 finds the extension in its image.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kcr_postgresql_cnpg_io::v1::clusters::ClusterSpec;
use promises::{Cluster, Running, find_pg_config, get, orchestrator, wait_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// CloudNativePG's Cluster as a whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only whether it can be read is asked")]
struct ClusterObject {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: ClusterSpec,
}

/// The objects of the example, in its order.
fn objects() -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = here.join("../deploy/kubernetes/cloudnative-pg.yaml");
    serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The only object of a kind.
fn object(kind: &str) -> Value {
    let mut found = objects();
    found.retain(|object| object["kind"] == kind);
    assert_eq!(found.len(), 1, "{kind}");
    found.remove(0)
}

/// What of `value` is none of `T`: the fields that it does not know, or its error.
fn misfits<T: DeserializeOwned>(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let read: Result<T, _> = serde_ignored::deserialize(value, |path| {
        // A field that may be missing is written with a question mark.
        found.push(format!(
            "unknown field {}",
            path.to_string().replace("?.", "")
        ));
    });
    found.extend(read.err().map(|error| error.to_string()));
    found
}

/// What of an object its own kind does not take.
fn misfits_of(object: &Value) -> Vec<String> {
    let text = |field: &str| object[field].as_str().unwrap();
    match (text("apiVersion"), text("kind")) {
        ("postgresql.cnpg.io/v1", "Cluster") => misfits::<ClusterObject>(object),
        ("apps/v1", "Deployment") => misfits::<Deployment>(object),
        ("v1", "ConfigMap") => misfits::<ConfigMap>(object),
        ("v1", "Service") => misfits::<Service>(object),
        (version, kind) => vec![format!("nobody takes {kind} of {version}")],
    }
}

#[test]
fn every_object_is_of_its_schema() {
    let found: Vec<_> = objects().iter().map(misfits_of).collect();
    assert_eq!(found.len(), 4);
    assert_eq!(found.concat(), [""; 0]);
}

#[test]
fn a_misspelt_field_and_a_wrong_type_are_seen() {
    let mut cluster = object("Cluster");
    cluster["spec"]["postgresql"]["extension"] = Value::Null;
    cluster["spec"]["managed"]["roles"][0]["inRole"] = "message_store".into();
    assert_eq!(
        misfits_of(&cluster),
        [
            "unknown field spec.managed.roles.0.inRole",
            "unknown field spec.postgresql.extension"
        ]
    );
    let mut cluster = object("Cluster");
    cluster["spec"]["instances"] = "three".into();
    assert_eq!(
        misfits_of(&cluster),
        ["invalid type: string \"three\", expected i64"]
    );
    let mut deployment = object("Deployment");
    deployment["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["http"] = "/".into();
    assert_eq!(
        misfits_of(&deployment),
        ["unknown field spec.template.spec.containers.0.livenessProbe.http"]
    );
}

fn texts<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let list = list.as_array().unwrap();
    list.iter().map(|one| one[key].as_str().unwrap()).collect()
}

#[test]
fn every_file_that_the_configuration_names_is_mounted() {
    let deployment = object("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mounts = &container["volumeMounts"];
    assert_eq!(texts(mounts, "name"), texts(&pod["volumes"], "name"));
    let folders = texts(mounts, "mountPath");

    let configuration = object("ConfigMap");
    let text = configuration["data"]["orchestrator.toml"].as_str().unwrap();
    let mut named: Vec<&str> = text
        .split(['"', '='])
        .filter(|word| word.starts_with("/run/"))
        .collect();
    named.push(container["args"][2].as_str().unwrap());
    assert_eq!(named.len(), 5, "{named:?}");
    for file in named {
        let (folder, _) = file.rsplit_once('/').unwrap();
        assert!(folders.contains(folder), "{file}");
    }
}

/// A subscription of the application, which owns its handler and its read model.
const SUBSCRIPTION: &str = "
    CREATE SCHEMA clicks;
    CREATE TABLE clicks.clicks (clicks bigint NOT NULL);
    INSERT INTO clicks.clicks VALUES (0);
    CREATE FUNCTION clicks.count(m message_store.message) RETURNS void
      LANGUAGE sql AS 'UPDATE clicks.clicks SET clicks = clicks + 1';
    SELECT message_store.create_subscription('aggregators:clicks', 'click',
      '{\"Clicked\": \"clicks.count\"}', '{\"read_model\": [\"clicks.clicks\"]}');
    SELECT message_store.start('aggregators:clicks');
    SELECT message_store.write_message(gen_random_uuid()::varchar, 'click-1', 'Clicked', '{}')";

#[tokio::test]
async fn its_roles_may_what_they_are_for_and_its_configuration_runs() {
    // Roles belong to the cluster, and these have names that others may use.
    let cluster = Cluster::start(&[]);
    let database = cluster.create_database().await;
    let session = database.connect().await;
    let example = object("Cluster");
    let initdb = &example["spec"]["bootstrap"]["initdb"];
    let owner = initdb["owner"].as_str().unwrap();
    let name = &database.name;
    for statement in [
        format!("CREATE ROLE {owner} LOGIN"),
        format!("ALTER DATABASE {name} OWNER TO {owner}"),
    ] {
        session.run(&statement).await.unwrap();
    }
    for statement in initdb["postInitApplicationSQL"].as_array().unwrap() {
        session.run(statement.as_str().unwrap()).await.unwrap();
    }
    for role in example["spec"]["managed"]["roles"].as_array().unwrap() {
        let groups = role["inRoles"].as_array().unwrap().iter();
        let groups: Vec<_> = groups.map(|group| group.as_str().unwrap()).collect();
        let (role, groups) = (role["name"].as_str().unwrap(), groups.join(", "));
        let statement = format!("CREATE ROLE {role} LOGIN IN ROLE {groups}");
        session.run(&statement).await.unwrap();
    }
    let application = database.connect_as(owner).await;
    application.run(SUBSCRIPTION).await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let configuration = object("ConfigMap");
    let text = configuration["data"]["orchestrator.toml"].as_str().unwrap();
    let mut command = orchestrator();
    command.args(["run", "--config", &file("orchestrator.toml", text)]);
    for setting in [
        format!("database.url={}", database.url("orchestrator")),
        format!("database.password_file={}", file("password", "secret")),
        format!("dashboard.url={}", database.url("dashboard")),
        format!(
            "dashboard.operator_token_file={}",
            file("token", &"t".repeat(48))
        ),
        "dashboard.listen=127.0.0.1:0".to_owned(),
        "metrics.listen=127.0.0.1:0".to_owned(),
        "web.listen=127.0.0.1:0".to_owned(),
    ] {
        command.args(["--set", &setting]);
    }
    let running = Running::start(&mut command);
    let ready = running.metrics() + "/readyz";
    wait_for(|| get(&ready), |(status, _)| *status == 200);
    let settled = "SELECT message_store.wait_for('aggregators:clicks', 1, '60 s')";
    assert_eq!(application.value(settled).await.as_deref(), Some("t"));
    assert_eq!(application.bigint("TABLE clicks.clicks").await, 1);

    let operator = database.connect_as("dashboard").await;
    let steer = "SELECT message_store.pause('aggregators:clicks', 'tried')";
    operator.run(steer).await.unwrap();
    running.stop();
}

/// What PL/Proxy is to `CREATE EXTENSION`, where it is missing: the body of a function is not read.
const LIKE_PLPROXY: [(&str, &str); 2] = [
    ("plproxy.control", "default_version = '1'"),
    (
        "plproxy--1.sql",
        "CREATE LANGUAGE plproxy HANDLER pg_catalog.plpgsql_call_handler",
    ),
];

/// `tests/containers/run` sees that the image has these folders.
#[tokio::test]
async fn a_server_without_the_extension_finds_it_in_the_image() {
    let installed = Installed::ask(&find_pg_config());
    if installed.major < 18 {
        println!("left out: PostgreSQL 17 and older look for extensions in their own folders only");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let program = installed.copy_without_extension(folder.path());
    let image = folder.path().join("extensions/message-store");
    installed.fill_image(&image);
    // As CloudNativePG sets them.
    let image = image.display();
    let control_path = format!("$system:{image}/share");
    let library_path = format!("$libdir:{image}/lib");
    let cluster = Cluster::start_program(
        program,
        &[
            ("extension_control_path", &control_path),
            ("dynamic_library_path", &library_path),
        ],
    );

    let database = cluster.create_database().await;
    let session = database.connect().await;
    for (own_folders, missing) in [
        ("extension_control_path = '$system'", "0A000"),
        ("dynamic_library_path = '$libdir'", "58P01"),
    ] {
        let create = format!("SET {own_folders}; CREATE EXTENSION message_store");
        let refused = session.error(&create).await;
        assert_eq!(refused.sqlstate, missing, "{refused:?}");
    }
    session.run("CREATE EXTENSION message_store").await.unwrap();
    session
        .run("SELECT message_store.create_store()")
        .await
        .unwrap();
    session.run(SUBSCRIPTION).await.unwrap();
    let tick = "SELECT message_store.tick('aggregators:clicks')";
    session.run(tick).await.unwrap();
    assert_eq!(session.bigint("TABLE clicks.clicks").await, 1);
    let read = "SELECT count(*) FROM message_store.get_stream_messages('click-1')";
    assert_eq!(session.bigint(read).await, 1);
    session
        .run(
            "CREATE EXTENSION message_store_test;
             BEGIN;
             SELECT message_store_test.given_message('click-1', 'Clicked', '{}');
             SELECT message_store_test.when_ticked('aggregators:clicks');
             SELECT message_store_test.then_read_model('clicks.clicks', '[{\"clicks\": 2}]');
             ROLLBACK",
        )
        .await
        .unwrap();

    let older = cluster.create_database().await.connect().await;
    older
        .run(
            "CREATE EXTENSION message_store VERSION '0.3.0';
             ALTER EXTENSION message_store UPDATE;
             SELECT message_store.create_store()",
        )
        .await
        .unwrap();
    older.run(SUBSCRIPTION).await.unwrap();
    older.run(tick).await.unwrap();
    assert_eq!(older.bigint("TABLE clicks.clicks").await, 1);

    let router = cluster.create_router().await.connect().await;
    let shard = "SELECT message_store.shard_of('click-1', 4)";
    assert_eq!(router.bigint(shard).await, session.bigint(shard).await);

    // How pg_upgrade asks for it: so docs/kubernetes.md sends who comes from elsewhere to a dump.
    let load = "LOAD '$libdir/message_store'";
    assert_eq!(session.error(load).await.sqlstate, "58P01");
}

/// Where PostgreSQL has the extension, and all else.
struct Installed {
    major: u32,
    programs: PathBuf,
    libraries: PathBuf,
    shared: PathBuf,
}

impl Installed {
    fn ask(pg_config: &Path) -> Self {
        let answer = |option: &str| {
            let asked = Command::new(pg_config).arg(option).output().unwrap();
            String::from_utf8(asked.stdout).unwrap().trim().to_owned()
        };
        // "PostgreSQL 18.4", "PostgreSQL 19beta1 (Debian ...)"
        let version = answer("--version");
        let digits = version.split(|other: char| !other.is_ascii_digit());
        Self {
            major: digits.filter_map(|part| part.parse().ok()).next().unwrap(),
            programs: answer("--bindir").into(),
            libraries: answer("--pkglibdir").into(),
            shared: answer("--sharedir").into(),
        }
    }

    /// Makes the same server in `folder`, but without the extension. Its program is copied, since it
    /// looks for its folders from where it is itself; what is in these are links.
    fn copy_without_extension(&self, folder: &Path) -> PathBuf {
        let root = self
            .programs
            .ancestors()
            .find(|root| self.libraries.starts_with(root) && self.shared.starts_with(root));
        let copied = |original: &Path| {
            let copy = folder.join(original.strip_prefix(root.unwrap()).unwrap());
            fs::create_dir_all(&copy).unwrap();
            copy
        };
        let program = copied(&self.programs).join("postgres");
        fs::copy(self.programs.join("postgres"), &program).unwrap();
        let extensions = self.shared.join("extension");
        for original in [&self.libraries, &self.shared, &extensions] {
            let copy = copied(original);
            for entry in entries(original) {
                let is_own_folder = entry.path() == extensions;
                if !is_own_folder && !is_of_extension(&entry) {
                    symlink(entry.path(), copy.join(entry.file_name())).unwrap();
                }
            }
        }
        program
    }

    /// What the Dockerfile puts into the image of the extension.
    fn fill_image(&self, image: &Path) {
        let extensions = self.shared.join("extension");
        for (original, folder) in [(&self.libraries, "lib"), (&extensions, "share/extension")] {
            let folder = image.join(folder);
            fs::create_dir_all(&folder).unwrap();
            for entry in entries(original).filter(is_of_extension) {
                fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        if !extensions.join(LIKE_PLPROXY[0].0).exists() {
            for (name, text) in LIKE_PLPROXY {
                fs::write(image.join("share/extension").join(name), text).unwrap();
            }
        }
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).unwrap().map(Result::unwrap)
}

/// Test kit and router too.
fn is_of_extension(entry: &DirEntry) -> bool {
    let name = entry.file_name().into_string().unwrap();
    name.starts_with("message_store")
}
