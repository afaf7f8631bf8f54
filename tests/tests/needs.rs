//! Promise: `config check --connect` and `doctor` name all that a subscription needs and has not, and
//! what they print repairs it: there is nothing else to do until it ticks, is rebuilt and promoted.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use promises::{Cluster, Database, Deployment, Ended, Session, orchestrator, run_to_end};
use serde_json::Value;

/// What the handlers of an application stand on, of which nobody else has anything. They find their
/// tables by the path, as those that may be rebuilt side by side.
fn application(role: &str) -> String {
    format!(
        r#"ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
        CREATE ROLE "{role}" LOGIN;
        CREATE SCHEMA "App";
        CREATE TYPE "App".device AS ENUM ('phone', 'desk');
        CREATE FUNCTION "App".is_name(name text) RETURNS boolean IMMUTABLE
          LANGUAGE sql AS 'SELECT name <> $$$$';
        CREATE FUNCTION "App".folded(name text) RETURNS text IMMUTABLE
          LANGUAGE sql AS 'SELECT lower(name)';
        CREATE SEQUENCE "App".tickets;
        CREATE TABLE "App".pages (
          name text PRIMARY KEY CHECK ("App".is_name(name)),
          views bigint NOT NULL,
          number bigint GENERATED ALWAYS AS IDENTITY,
          device "App".device NOT NULL DEFAULT 'desk',
          devices "App".device[] NOT NULL DEFAULT '{{}}');
        CREATE INDEX ON "App".pages ("App".folded(name)) TABLESPACE "Fast {role}";
        CREATE TABLE "App".visits (
          id serial PRIMARY KEY, ticket bigint NOT NULL DEFAULT nextval('"App".tickets'),
          page text NOT NULL);
        SET check_function_bodies = off;
        CREATE FUNCTION "App".begin_pages() RETURNS void
          LANGUAGE sql AS $$INSERT INTO pages VALUES ('all', 0) ON CONFLICT DO NOTHING$$;
        CREATE FUNCTION "App"."Count"(message message_store.message) RETURNS void LANGUAGE sql AS $$
          INSERT INTO pages VALUES (message.stream_name, 1)
          ON CONFLICT (name) DO UPDATE SET views = pages.views + 1$$;
        CREATE FUNCTION "App".note_visit(viewed bigint) RETURNS void LANGUAGE plpgsql AS $$
          BEGIN
            INSERT INTO visits (page)
            SELECT stream_name FROM message_store.messages WHERE global_position = viewed;
          END$$;"#
    )
}

const FILE: &str = r#"
[[aggregators]]
subscriber_id = "aggregators:pages"
category = "viewings"
init = '"App".begin_pages'
read_model = ['"App".pages']
handlers = { Viewed = '"App"."Count"' }
[[aggregators]]
subscriber_id = "aggregators:visits"
category = "viewings"
read_model = ['"App".visits']
handlers = { Viewed = '"App".note_visit' }
"#;

struct Stage {
    database: Database<'static>,
    session: Session,
    role: String,
    deployment: Deployment,
}

impl Stage {
    /// The application, and a role that has nothing.
    async fn set(file: &str) -> Self {
        let database = Cluster::shared().create_store().await;
        let session = database.connect().await;
        let role = format!("Ticker {}", database.name);
        let tablespace = format!("CREATE TABLESPACE \"Fast {role}\" LOCATION ''");
        for sql in [
            "SET allow_in_place_tablespaces = on",
            &tablespace,
            &application(&role),
        ] {
            session.run(sql).await.unwrap();
        }
        let mut deployment = database.deploy(file);
        deployment.url = database.url(&role.replace(' ', "%20"));
        Self {
            database,
            session,
            role,
            deployment,
        }
    }

    fn rewrite(&self, change: impl Fn(&str) -> String) {
        let file = &self.deployment.file;
        let text = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, change(&text)).unwrap();
    }

    /// `config check --connect`: what is not as it should be, of which it says so in its exit code.
    fn checked(&self) -> String {
        let mut check = orchestrator();
        check.args(["config", "check", "--connect"]);
        let ended = run_to_end(
            check
                .arg(&self.deployment.file)
                .args(["--url", &self.deployment.url]),
        );
        let begin = ["PROBLEM", "warning", "ok "];
        let lines = ended.stdout.lines();
        let found: Vec<&str> = lines
            .skip_while(|line| !begin.iter().any(|begin| line.starts_with(begin)))
            .collect();
        let code = if found.is_empty() { 0 } else { 6 };
        assert_eq!(ended.code, Some(code), "{ended:?}");
        found.join("\n")
    }

    /// What `doctor` finds of subscriptions, as `finding | repair`.
    fn diagnosed(&self) -> Vec<String> {
        let ended = self.command(&["doctor", "--json"]);
        let findings: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
        let of_subscriptions = findings
            .iter()
            .filter(|finding| finding["check"] == "subscriptions" && finding["level"] == "problem");
        let part = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        of_subscriptions
            .map(|finding| format!("{} | {}", part(finding, "finding"), part(finding, "repair")))
            .collect()
    }

    fn command(&self, arguments: &[&str]) -> Ended {
        let mut command = orchestrator();
        command
            .args(arguments)
            .args(["--url", &self.deployment.url]);
        run_to_end(&mut command)
    }

    /// Runs the statements that were printed, and nothing else.
    async fn obey(&self, printed: &str) -> Vec<String> {
        let grants = printed.lines().map(str::trim);
        let grants: Vec<String> = grants
            .filter(|line| line.starts_with("GRANT "))
            .map(str::to_owned)
            .collect();
        for grant in &grants {
            self.session.run(grant).await.unwrap();
        }
        grants
    }

    /// Puts the search_path into the file that was printed.
    fn obey_in_file(&self, printed: &str) {
        let line = printed
            .lines()
            .find_map(|line| line.trim().strip_prefix("Add to the subscription: "))
            .unwrap();
        self.rewrite(|text| text.replace("category = ", &format!("{line}\ncategory = ")));
    }

    /// The whole life of a read model, in transactions of the role's own.
    async fn live(&self) -> Result<(), String> {
        let ticker = self.database.connect_as(&self.role).await;
        for id in ["aggregators:pages", "aggregators:visits"] {
            let tick = |id: &str| {
                format!(
                    "DO $$ DECLARE told message_store.tick_result; BEGIN
                       SELECT * INTO told FROM message_store.tick('{id}');
                       IF told.outcome NOT IN ('progressed', 'idle') THEN RAISE '%', told; END IF;
                     END $$"
                )
            };
            for sql in [
                format!("SELECT message_store.rebuild('{id}')"),
                tick(id),
                format!("SELECT message_store.rebuild('{id}', side_by_side => true)"),
                tick(&format!("{id}#rebuild")),
                format!("SELECT message_store.promote('{id}')"),
            ] {
                let done = ticker.run(&sql).await;
                done.map_err(|error| format!("{sql}: {error:?}"))?;
            }
        }
        Ok(())
    }
}

const WRITE: &str = "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-' || n, \
     'Viewed', '{}') FROM generate_series(1, 3) n";

const STATUS_IS_LEVEL: &str = "SELECT count(*) = 2 AND bool_and(lag = 0 AND state = 'started') \
     FROM message_store.subscription_status WHERE copy_of IS NULL";

#[tokio::test]
async fn what_is_printed_is_all_that_a_role_with_nothing_needs() {
    let stage = Stage::set(FILE).await;
    let printed = stage.checked();
    let role = format!("\"{}\"", stage.role);
    for repair in [
        format!("GRANT message_store TO {role};"),
        format!("GRANT USAGE ON SCHEMA \"App\" TO {role};"),
        format!("GRANT EXECUTE ON FUNCTION \"App\".\"Count\"(message_store.message) TO {role};"),
        format!("GRANT EXECUTE ON FUNCTION \"App\".begin_pages() TO {role};"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"App\".pages TO {role};"),
        format!("GRANT SELECT, INSERT, DELETE ON TABLE \"App\".visits TO {role};"),
        format!(
            "GRANT CREATE ON TABLESPACE \"Fast {}\" TO {role};",
            stage.role
        ),
    ] {
        let lines: Vec<&str> = printed.lines().map(str::trim).collect();
        assert!(
            lines.iter().any(|line| *line == repair),
            "{repair}\n{printed}"
        );
    }
    stage.obey(&printed).await;
    stage.obey_in_file(&printed);
    assert_eq!(stage.checked(), "");

    stage.session.run(WRITE).await.unwrap();
    let running = stage.deployment.start();
    stage.session.wait_until(STATUS_IS_LEVEL).await;
    for id in ["aggregators:pages", "aggregators:visits"] {
        for verb in [&["rebuild", id][..], &["rebuild", id, "--side-by-side"]] {
            let mut command = vec!["subscriptions"];
            command.extend(verb);
            let ended = stage.command(&command);
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
        let copied =
            format!("SELECT lag = 0 FROM message_store.subscription_status WHERE copy_of = '{id}'");
        stage.session.wait_until(&copied).await;
        let ended = stage.command(&["subscriptions", "promote", id]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    stage.session.run(WRITE).await.unwrap();
    stage.session.wait_until(STATUS_IS_LEVEL).await;
    running.stop();
    let counted = "SELECT sum(views)::text || ' ' || (SELECT count(*) FROM \"App\".visits) \
                   FROM \"App\".pages";
    assert_eq!(stage.session.value(counted).await.unwrap(), "6 6");
    assert_eq!(stage.diagnosed(), [""; 0]);
    assert_eq!(stage.checked(), "");
}

#[tokio::test]
async fn each_right_that_is_printed_is_needed_and_missed() {
    let stage = Stage::set(FILE).await;
    let printed = stage.checked();
    let grants = stage.obey(&printed).await;
    stage.obey_in_file(&printed);
    stage.session.run(WRITE).await.unwrap();
    let running = stage.deployment.start();
    stage.session.wait_until(STATUS_IS_LEVEL).await;
    running.stop();
    stage.live().await.unwrap();
    let of_the_application = grants
        .iter()
        .filter(|grant| !grant.starts_with("GRANT message_store"));
    for grant in of_the_application {
        let revoke = grant
            .replacen("GRANT", "REVOKE", 1)
            .replace(" TO ", " FROM ");
        stage.session.run(&revoke).await.unwrap();
        let found = stage.diagnosed();
        assert!(
            found.iter().all(|line| line.ends_with(grant.as_str())),
            "{grant}: {found:#?}"
        );
        assert_eq!(found.len(), 1, "{grant}: {found:#?}");
        assert!(stage.checked().contains(grant.as_str()), "{grant}");
        let refused = stage.live().await;
        assert!(refused.is_err(), "not needed: {grant}");
        stage.session.run(grant).await.unwrap();
        let cancel = "SELECT message_store.cancel_rebuild(subscriber_id) \
                      FROM message_store.subscription_status WHERE copy_of IS NULL";
        stage.session.run(cancel).await.unwrap();
        let start = "SELECT message_store.start(subscriber_id) \
                     FROM message_store.subscription_status WHERE copy_of IS NULL";
        stage.session.run(start).await.unwrap();
    }
    assert_eq!(stage.diagnosed(), [""; 0]);
    stage.live().await.unwrap();

    let forget = "SELECT message_store.alter_subscription('aggregators:pages', \
                  options => '{\"search_path\": null}')";
    stage.session.run(forget).await.unwrap();
    let found = stage.diagnosed();
    assert_eq!(found.len(), 2, "{found:#?}");
    for line in &found {
        assert!(
            line.contains("names the table pages without its schema"),
            "{line}"
        );
        let repair = line.rsplit_once(" | ").unwrap().1;
        stage.session.run(repair).await.unwrap();
    }
    assert_eq!(stage.diagnosed(), [""; 0]);
}

#[tokio::test]
async fn what_is_gone_since_a_subscription_was_created_is_found() {
    let stage = Stage::set(FILE).await;
    let printed = stage.checked();
    stage.obey(&printed).await;
    stage.obey_in_file(&printed);
    let running = stage.deployment.start();
    stage.session.wait_until(STATUS_IS_LEVEL).await;
    running.stop();
    stage
        .session
        .run(
            r#"DROP FUNCTION "App".note_visit(bigint);
               CREATE FUNCTION "App".note_visit(viewed int) RETURNS void
                 LANGUAGE sql AS 'SELECT NULL::void';
               DROP FUNCTION "App".begin_pages();
               DROP TABLE "App".visits"#,
        )
        .await
        .unwrap();
    let found = stage.diagnosed();
    for parts in [
        [
            "aggregators:visits: there is no function \"App\".note_visit(bigint) to use as the handler of Viewed",
            "Create it, or name another",
        ],
        [
            "aggregators:pages: there is no function \"App\".begin_pages to use as init",
            "Create it",
        ],
        [
            "aggregators:visits: the table \"App\".visits of its read model does not exist",
            "Create it",
        ],
    ] {
        let is_it = |line: &&String| parts.iter().all(|part| line.contains(part));
        assert!(
            found.iter().any(|line| is_it(&line)),
            "{parts:?} {found:#?}"
        );
    }
    assert_eq!(found.len(), 3, "{found:#?}");

    let role = &stage.role;
    let end = format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"");
    stage.session.run(&end).await.unwrap();
    let seen = run_to_end(
        orchestrator()
            .args(["doctor", "--json", "--url"])
            .arg(stage.database.url("postgres")),
    );
    let owner = "aggregators:visits: its owner, the role with the oid ";
    assert!(seen.stdout.contains(owner), "{seen:?}");
    let reassign = "SELECT message_store.reassign('aggregators:visits', '...');";
    assert!(seen.stdout.contains(reassign), "{seen:?}");
}

#[tokio::test]
async fn a_name_that_is_not_found_is_looked_for_elsewhere() {
    let stage = Stage::set(&FILE.replace("\"App\".", "")).await;
    let printed = stage.checked();
    for (finding, repair) in [
        (
            "aggregators:pages: there is no function \"Count\" to use as the handler of Viewed",
            "There is \"App\".\"Count\"(message_store.message). Name its schema, or give the option search_path.",
        ),
        (
            "aggregators:visits: the table visits of its read model does not exist",
            "There is \"App\".visits.",
        ),
    ] {
        assert!(printed.contains(finding), "{finding}\n{printed}");
        assert!(printed.contains(repair), "{repair}\n{printed}");
    }
    // On the path, they are.
    let on_the_path = "search_path = '\"App\", gone'\ncategory = ";
    stage.rewrite(|text| text.replace("category = ", on_the_path));
    let printed = stage.checked();
    let typo = "its search_path names the schema gone, which does not exist";
    assert!(printed.contains(typo), "{printed}");
    stage.rewrite(|text| text.replace(", gone", ""));
    stage.obey(&stage.checked()).await;
    assert_eq!(stage.checked(), "");
}

#[tokio::test]
async fn what_only_the_store_can_tell_it_is_asked() {
    let stage = Stage::set(FILE).await;
    let printed = stage.checked();
    stage.obey(&printed).await;
    stage.obey_in_file(&printed);
    stage.rewrite(|text| {
        let part = "{ table = '\"App\".pages', where = \"nothing = 'x'\" }";
        text.replace("'\"App\".pages'", part)
    });
    let printed = stage.checked();
    assert!(printed.contains("aggregators:pages: "), "{printed}");
    assert!(
        printed.contains("column \"nothing\" does not exist"),
        "{printed}"
    );
    let count = "SELECT count(*) FROM message_store.subscription_status";
    assert_eq!(stage.session.bigint(count).await, 0);
    stage.rewrite(|text| text.replace("nothing = 'x'", "name <> 'x'"));
    assert_eq!(stage.checked(), "");
    let theirs = "SELECT message_store.create_subscription('aggregators:pages', 'viewings', '{}')";
    stage.session.run(theirs).await.unwrap();
    let printed = stage.checked();
    assert!(printed.contains("aggregators:pages: "), "{printed}");
    assert_eq!(printed.matches("PROBLEM").count(), 1, "{printed}");
}

#[tokio::test]
async fn what_a_function_brings_itself_is_not_asked_of_the_owner() {
    let mut stage = Stage::set(FILE).await;
    let role = stage.role.clone();
    let printed = stage.checked();
    stage.obey(&printed).await;
    stage.obey_in_file(&printed);
    let running = stage.deployment.start();
    stage.session.wait_until(STATUS_IS_LEVEL).await;
    running.stop();
    let revoke = format!("REVOKE message_store FROM \"{role}\"");
    stage.session.run(&revoke).await.unwrap();
    stage.deployment.url = stage.database.url("postgres");
    let reads = "may not read message_store.messages, as \"App\".note_visit(bigint) does";
    let found = stage.diagnosed();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(reads), "{found:#?}");
    assert!(
        found[0].ends_with(&format!("GRANT message_store TO \"{role}\";")),
        "{found:#?}"
    );

    let forget = "SELECT message_store.alter_subscription('aggregators:visits', \
                  options => '{\"search_path\": null}')";
    stage.session.run(forget).await.unwrap();
    let confine = "ALTER FUNCTION \"App\".note_visit SECURITY DEFINER SET search_path = \"App\"";
    stage.session.run(confine).await.unwrap();
    assert_eq!(stage.diagnosed(), [""; 0]);
}
