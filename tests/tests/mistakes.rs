//! Promise: whatever is wrong with the way to the database, it is told in one line: what happened,
//! and what to do; by an exit code of its own, and without the password.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use promises::{Cluster, Database, Ended, ask, orchestrator, run_to_end};

const SECRET: &str = "geheim-wie-noch-nie";

/// A server that is reached over TCP too, by an address of the loopback network that is its own.
struct Reachable {
    cluster: Cluster,
    address: String,
}

impl Reachable {
    /// `rules` are those of pg_hba.conf for TCP.
    fn start(last_byte: u8, rules: &str) -> Self {
        let process = std::process::id();
        let address = format!(
            "127.{}.{}.{last_byte}",
            1 + process / 256 % 250,
            process % 256
        );
        let cluster = Cluster::start(&[("listen_addresses", &address)]);
        let rules = format!("local all all trust\n{rules}\n");
        fs::write(cluster.data_dir().join("pg_hba.conf"), rules).unwrap();
        Self { cluster, address }
    }

    async fn store(&self, roles: &str) -> Database<'_> {
        let database = self.cluster.create_store().await;
        let session = database.connect().await;
        session.run("SELECT pg_reload_conf()").await.unwrap();
        session.run(roles).await.unwrap();
        database
    }

    fn url(&self, database: &Database<'_>, user: &str) -> String {
        format!("postgresql://{user}@{}/{}", self.address, database.name)
    }
}

/// Runs `status` against an address.
fn status(url: &str) -> Command {
    let mut command = orchestrator();
    command.args(["status", "--url", url]);
    // No password file of ours.
    command.env("PGPASSFILE", "/nonexistent");
    command
}

/// One line with all of the parts, and no secret.
fn assert_told(mut command: Command, code: i32, parts: &[&str]) -> Ended {
    let ended = run_to_end(&mut command);
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?} in {ended:?}");
    }
    assert!(!ended.stderr.contains(SECRET), "{ended:?}");
    ended
}

#[test]
fn a_wrong_address_is_named_without_its_password() {
    let port = format!("postgresql://anna:{SECRET}@127.0.0.1:many/store");
    assert_told(status(&port), 3, &["--url or DATABASE_URL", "port"]);
    let word = format!("postgresql://anna:{SECRET}@127.0.0.1/store?sslmode=maybe");
    assert_told(status(&word), 3, &["sslmode", "verify-full"]);
    // Set aside since 1988, and used by nobody.
    let port = 1;
    let nobody = format!("postgresql://anna:{SECRET}@127.0.0.1:{port}/store");
    let parts = [
        &format!("port {port}"),
        "refused",
        "whether the server runs",
    ];
    assert_told(status(&nobody), 4, &parts);
}

#[tokio::test]
async fn a_password_is_asked_for_where_it_is_missing_or_wrong_and_taken_from_where_libpq_has_it() {
    let server = Reachable::start(1, "host all all 127.0.0.0/8 scram-sha-256");
    let create = format!("CREATE ROLE anna LOGIN PASSWORD '{SECRET}'; GRANT message_store TO anna");
    let database = server.store(&create).await;
    let url = server.url(&database, "anna");
    assert_told(
        status(&url),
        4,
        &["password", "PGPASSWORD", "password_file"],
    );
    let wrong = server.url(&database, "anna:falsch");
    assert_told(status(&wrong), 4, &["authentication failed", "PGPASSWORD"]);

    let mut by_variable = status(&url);
    by_variable.env("PGPASSWORD", SECRET);
    assert_eq!(run_to_end(&mut by_variable).code, Some(0));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pgpass");
    let line = format!("{}:*:{}:anna:{SECRET}\n", server.address, database.name);
    fs::write(&file, line).unwrap();
    let by_file = || {
        let mut command = status(&url);
        command.env("PGPASSFILE", &file);
        run_to_end(&mut command)
    };
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(by_file().code, Some(0), "{:?}", by_file());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(by_file().code, Some(4), "others may read it");
}

#[tokio::test]
async fn tls_that_one_side_lacks_or_cannot_trust_is_told_with_the_word_that_helps() {
    let rules = "hostssl all careful 127.0.0.0/8 trust\nhost all message_store 127.0.0.0/8 trust";
    let server = Reachable::start(2, rules);
    let careful = "CREATE ROLE careful LOGIN; GRANT message_store TO careful";
    let database = server.store(careful).await;
    let url = |user: &str, mode: &str| format!("{}?{mode}", server.url(&database, user));
    let asks = url("message_store", "sslmode=require");
    assert_told(
        status(&asks),
        4,
        &["does not support TLS", "sslmode=disable"],
    );

    let certificate = make_certificate(&server);
    let session = database.connect().await;
    session.run("ALTER SYSTEM SET ssl = on").await.unwrap();
    session.run("SELECT pg_reload_conf()").await.unwrap();
    session
        .wait_until("SELECT current_setting('ssl') = 'on'")
        .await;

    let plain = url("careful", "sslmode=disable");
    assert_told(status(&plain), 4, &["no encryption", "sslmode=verify-full"]);
    let stranger = url("careful", "sslmode=verify-full");
    assert_told(status(&stranger), 4, &["certificate", "sslrootcert"]);
    let known = format!("sslmode=verify-full&sslrootcert={}", certificate.display());
    for mode in ["sslmode=require", &known] {
        let ended = run_to_end(&mut status(&url("careful", mode)));
        assert_eq!(ended.code, Some(0), "{mode}: {ended:?}");
    }
}

#[tokio::test]
async fn the_lines_of_the_page_of_production_let_in_who_encrypts() {
    let page = include_str!("../../docs/production.md");
    let line = |beginning: &str| {
        let found = page.lines().find_map(|line| line.strip_prefix(beginning));
        found.unwrap_or_else(|| panic!("no line {beginning:?}"))
    };
    let rule = line("    hostssl  ").replace("10.0.0.0/8", "127.0.0.0/8");
    let server = Reachable::start(3, &format!("hostssl {rule}"));
    let made = server.store("").await;
    let admin = server.cluster.connect("postgres", "postgres").await;
    admin
        .run(&format!(
            "CREATE ROLE message_store_orchestrator LOGIN PASSWORD '{SECRET}' IN ROLE message_store;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            made.name
        ))
        .await
        .unwrap();
    let rename = format!("ALTER DATABASE {} RENAME TO shop", made.name);
    admin.run(&rename).await.unwrap();
    let certificate = make_certificate(&server);
    admin.run("ALTER SYSTEM SET ssl = on").await.unwrap();
    admin.run("SELECT pg_reload_conf()").await.unwrap();
    admin
        .wait_until("SELECT current_setting('ssl') = 'on'")
        .await;

    let url = line("    url = \"").trim_end_matches('"');
    let url = url
        .replace("db1.example.org", &server.address)
        .replace("/etc/message_store/ca.pem", certificate.to_str().unwrap());
    let with_password = |url: &str| {
        let mut command = status(url);
        command.env("PGPASSWORD", SECRET);
        command
    };
    // What is the default for any other machine.
    let verified = format!("{url}&sslmode=verify-full");
    let ended = run_to_end(&mut with_password(&verified));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let plain = format!("{url}&sslmode=disable");
    assert_told(with_password(&plain), 4, &["no encryption"]);
    let other = verified.replace("message_store_orchestrator@", "postgres@");
    assert_told(with_password(&other), 4, &["postgres"]);
}

/// For the server's address, signed by itself.
fn make_certificate(server: &Reachable) -> PathBuf {
    let folder = server.cluster.data_dir();
    let (certificate, key) = (folder.join("server.crt"), folder.join("server.key"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req", "-new", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", "2",
    ]);
    openssl.args(["-subj", "/CN=promises", "-addext"]);
    openssl.arg(format!("subjectAltName=IP:{}", server.address));
    // Signed by itself, and no authority for others.
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key);
    let (is_made, said) = ask(&mut openssl, "");
    assert!(is_made, "{said}");
    let owner = fs::metadata(&folder).unwrap();
    for file in [&certificate, &key] {
        chown(file, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    certificate
}

#[tokio::test]
async fn an_extension_that_is_missing_or_older_is_told_with_its_repair() {
    let cluster = Cluster::shared();
    let database = cluster.create_database().await;
    let url = database.url("postgres");
    let missing = ["message_store", "CREATE EXTENSION message_store", "doctor"];
    assert_told(status(&url), 1, &missing);
    let session = database.connect().await;
    let older = "CREATE EXTENSION message_store VERSION '0.1.1'";
    session.run(older).await.unwrap();
    let repair = ["message_store", "ALTER EXTENSION message_store UPDATE"];
    assert_told(status(&url), 1, &repair);

    let running = database.deploy("").start();
    running.wait_for_log("ALTER EXTENSION message_store UPDATE");
    running.stop();
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_flag_that_chooses_another() {
    let database = Cluster::shared().create_store().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let deployment = database.deploy("");
    let mut run = deployment.run();
    run.args(["--listen", &address]);
    assert_told(run, 1, &[&address, "in use", "--listen"]);
}
