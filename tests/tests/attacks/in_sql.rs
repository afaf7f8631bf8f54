//! Attacks in SQL: the files of `tests/attacks/`, each run in a database of its own, by low roles
//! beside a superuser.
//!
//! A file is a comment that says what is tried, then parts: `-- S`, a superuser's session; `-- m`
//! and `-- n`, sessions of roles that are granted `message_store` and nothing else; `-- check`, a
//! query that must answer `t`. `fails 42501` behind the name says what must come of the last
//! statement of a part; otherwise it must succeed. `-- without a store` alone gives a database
//! without the extension.
//!
//! Whatever a file tries, afterwards everybody ticks every subscription and looks at everything,
//! and then: no code of `m` has run as anybody else, no role has become more, nobody has read the
//! secret, and the server is the one that was started.

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use futures_util::FutureExt;
use promises::{Cluster, Session};

use crate::files_below;

const ROLES: &str = include_str!("in_sql/roles.sql");
const SCENE: &str = include_str!("in_sql/scene.sql");
const AFTERMATH: &str = include_str!("in_sql/aftermath.sql");
const VERDICT: &str = include_str!("in_sql/verdict.sql");

struct Attack {
    name: String,
    has_store: bool,
    parts: Vec<Part>,
}

struct Part {
    actor: String,
    /// SQLSTATE of its last statement.
    fails: Option<String>,
    sql: String,
}

/// Positions in a copy of a database would begin beyond those of the original; attacks name positions.
const AS_AN_ORIGINAL: &str = "SELECT setval('message_store.server_seq', 1, false)";

impl Attack {
    fn read(file: &Path, folder: &Path) -> Self {
        let name = file.strip_prefix(folder).unwrap().with_extension("");
        let text = fs::read_to_string(file).unwrap();
        let mut attack = Self {
            name: name.to_string_lossy().into_owned(),
            has_store: true,
            parts: Vec::new(),
        };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["--", "without", "a", "store"] => attack.has_store = false,
                ["--", actor @ ("S" | "m" | "n" | "check")] => attack.begin(actor, None),
                ["--", actor @ ("S" | "m" | "n"), "fails", state] => {
                    attack.begin(actor, Some(state));
                }
                _ => {
                    if let Some(part) = attack.parts.last_mut() {
                        part.sql.push_str(line);
                        part.sql.push('\n');
                    }
                }
            }
        }
        assert!(!attack.parts.is_empty(), "{} has no parts", attack.name);
        attack
    }

    fn begin(&mut self, actor: &str, fails: Option<&str>) {
        self.parts.push(Part {
            actor: actor.to_owned(),
            fails: fails.map(str::to_owned),
            sql: String::new(),
        });
    }

    /// What the attack has won, where it has.
    async fn wins(&self, cluster: &Cluster) -> Result<(), String> {
        let template = if self.has_store { "scene" } else { "bare" };
        let database = cluster.create_database_like(template).await;
        let superuser = database.connect().await;
        let may_create = format!("GRANT CREATE ON DATABASE {} TO m", database.name);
        superuser.run(&may_create).await.unwrap();
        if self.has_store {
            superuser.run(AS_AN_ORIGINAL).await.unwrap();
        }
        let m = database.connect_as("m").await;
        let n = database.connect_as("n").await;
        for (number, part) in self.parts.iter().enumerate() {
            let session = match part.actor.as_str() {
                "m" => &m,
                "n" => &n,
                _ => &superuser,
            };
            part.act(session)
                .await
                .map_err(|what| format!("part {} ({}): {what}", number + 1, part.actor))?;
        }
        for session in [&m, &n, &superuser] {
            // Sessions are left in whatever state the attack wants them to be.
            let _ = session.run("ROLLBACK").await;
            for statement in AFTERMATH.split(";\n") {
                let _ = session.run(statement).await;
            }
        }
        let server = cluster.connect("postgres", "postgres").await;
        let crashes = cluster.log().matches("was terminated by signal").count();
        if crashes > 0 {
            return Err(format!("the server crashed {crashes} times"));
        }
        for verdict in VERDICT.split(";\n").filter(|sql| !sql.trim().is_empty()) {
            let in_scene = verdict.contains("m.");
            if in_scene && !self.has_store {
                continue;
            }
            let looked = if in_scene { &superuser } else { &server };
            let found = looked.run(verdict).await;
            match found {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => return Err(format!("{rows:?} by {verdict}")),
                Err(error) => return Err(format!("{error:?} by {verdict}")),
            }
        }
        Ok(())
    }
}

impl Part {
    async fn act(&self, session: &Session) -> Result<(), String> {
        let result = session.run(&self.sql).await;
        match (&self.fails, result) {
            (Some(state), Err(error)) if error.sqlstate == *state => Ok(()),
            (Some(state), Err(error)) => Err(format!("{error:?} instead of {state}")),
            (Some(state), Ok(_)) => Err(format!("succeeds instead of {state}")),
            (None, Err(error)) => Err(format!("{error:?}")),
            (None, Ok(rows)) if self.actor == "check" => {
                let is_true = rows.iter().all(|row| row[0].as_deref() == Some("t"));
                if is_true && !rows.is_empty() {
                    Ok(())
                } else {
                    Err(format!("{rows:?}"))
                }
            }
            (None, Ok(_)) => Ok(()),
        }
    }
}

fn attacks() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let only = std::env::var("ATTACK").unwrap_or_default();
    let attacks = files_below(&folder, "sql");
    let attacks = attacks.iter().map(|file| Attack::read(file, &folder));
    attacks
        .filter(|attack| attack.name.contains(&only))
        .collect()
}

#[tokio::test]
async fn no_attack_wins() {
    let attacks = attacks();
    assert!(!attacks.is_empty(), "no attack is named so");
    let mut cluster = scene().await;
    let mut won = Vec::new();
    for attack in &attacks {
        // A session that breaks fails its test, here too.
        let ended = AssertUnwindSafe(attack.wins(&cluster)).catch_unwind().await;
        if let Err(what) = ended.unwrap_or_else(|_| Err("a session broke".to_owned())) {
            println!("{}: {what}", attack.name);
            won.push(attack.name.clone());
            // What it left in the cluster must not stand in the way of the next.
            cluster = scene().await;
        }
    }
    assert!(
        won.is_empty(),
        "{} of {} won: {won:?}",
        won.len(),
        attacks.len()
    );
    println!("{} attacks, none won", attacks.len());
}

/// A cluster with the roles, and the databases that attacks are given copies of.
async fn scene() -> Cluster {
    let cluster = Cluster::start(&[("lo_compat_privileges", "off")]);
    let admin = cluster.connect("postgres", "postgres").await;
    admin.run("CREATE DATABASE bare").await.unwrap();
    admin.run("CREATE DATABASE scene").await.unwrap();
    let in_scene = cluster.connect("scene", "postgres").await;
    in_scene
        .run("CREATE EXTENSION message_store; SELECT message_store.create_store()")
        .await
        .unwrap();
    in_scene.run(ROLES).await.unwrap();
    in_scene.install_home_page().await;
    in_scene.run(SCENE).await.unwrap();
    cluster
}
