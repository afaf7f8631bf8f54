//! Promise: a shell completes commands, options and the subscriptions that there are, and never waits
//! long for a database.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use promises::{Cluster, orchestrator, orchestrator_program, run_to_end};

/// What bash offers for a line, by the script that it was given; as bash calls it after Tab.
const COMPLETE: &str = r#"
source <(COMPLETE=bash "$PROGRAM")
compopt() { :; }
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE=$LINE
COMP_POINT=${#LINE}
COMP_WORDS=($LINE)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_complete_orchestrator
echo "${COMPREPLY[*]}"
"#;

fn offered(line: &str) -> String {
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-c", COMPLETE]);
    bash.env("PROGRAM", orchestrator_program())
        .env("LINE", line);
    bash.env_remove("DATABASE_URL")
        .env_remove("ORCHESTRATOR_DATA_DIR");
    let ended = run_to_end(&mut bash);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{line}");
    ended.stdout.trim_end().to_owned()
}

#[tokio::test]
async fn subscriptions_are_offered_where_one_is_named() {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "SET ROLE message_store;
             SELECT message_store.create_subscription(id, 'numbers', '{}')
             FROM unnest('{aggregators:one,aggregators:other,services:mail,services:$(reboot)}'::varchar[])
               AS of (id)",
        )
        .await
        .unwrap();
    let url = database.url("message_store");
    let after = |command: &str, word: &str| {
        offered(&format!("orchestrator {command} --url '{url}' {word}"))
    };
    assert_eq!(
        after("subscriptions show", "aggr"),
        "aggregators:one aggregators:other"
    );
    // bash replaces only what stands behind the colon.
    assert_eq!(after("parked retry", "aggregators:"), "one other");
    assert_eq!(after("parked list", "aggregators:on"), "one");
    // Nothing is offered that a shell would carry out.
    assert_eq!(after("subscriptions drop", "serv"), "services:mail");
    assert_eq!(after("subscriptions show services:mail", "aggr"), "");

    for shell in ["zsh", "fish"] {
        let mut asked = orchestrator();
        asked
            .env("COMPLETE", shell)
            .env("_CLAP_COMPLETE_INDEX", "5");
        asked.args([
            "--",
            "orchestrator",
            "parked",
            "list",
            "--url",
            &url,
            "services:m",
        ]);
        let ended = run_to_end(&mut asked);
        let offered = ended.stdout.trim_end().replace('\\', "");
        assert_eq!(offered, "services:mail", "{shell}: {ended:?}");
    }
}

#[test]
fn commands_and_options_are_offered_without_a_database() {
    assert_eq!(offered("orchestrator subsc"), "subscriptions");
    assert_eq!(offered("orchestrator subscriptions res"), "resize reset");
    assert_eq!(offered("orchestrator status --wa"), "--watch");
}

#[test]
fn a_database_that_does_not_answer_keeps_no_shell_waiting() {
    const AT_MOST: Duration = Duration::from_secs(10);
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let nobody = "postgresql://nobody@/nothing?host=/nonexistent".to_owned();
    for url in [format!("postgresql://me@127.0.0.1:{port}/store"), nobody] {
        let started = Instant::now();
        assert_eq!(
            offered(&format!("orchestrator parked list --url '{url}' a")),
            ""
        );
        assert!(started.elapsed() < AT_MOST, "{:?}", started.elapsed());
    }
}
