//! Promise: on a terminal, what is printed fits it, says first what is wrong, and is gone from it when
//! it was only to be watched.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::process::Command;

use nix::sys::signal::Signal;
use promises::{Cluster, Database, Terminal, orchestrator};

const ENTER_SCREEN: &str = "\x1b[?1049h";
const LEAVE_SCREEN: &str = "\x1b[?1049l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// A store in which one subscription is stopped by an error, and another has parked one and is well.
async fn troubled_store() -> Database<'static> {
    let database = Cluster::shared().create_store().await;
    let session = database.connect().await;
    session
        .run(
            "CREATE TABLE public.recorded (n bigint PRIMARY KEY);
             INSERT INTO public.recorded VALUES (1);
             GRANT ALL ON public.recorded TO message_store;
             CREATE FUNCTION public.record(message message_store.message) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO public.recorded VALUES ((message.data::jsonb ->> 'n')::bigint) $$;
             CREATE TABLE public.noted (n bigint PRIMARY KEY, text text, again text);
             GRANT ALL ON public.noted TO message_store;
             CREATE FUNCTION public.note(message message_store.message) RETURNS void LANGUAGE sql AS
               $$ INSERT INTO public.noted
                  SELECT (message.data::jsonb ->> 'n')::bigint, message.data, message.data $$;
             SET ROLE message_store;
             SELECT message_store.write_message(gen_random_uuid()::varchar, 'numbers-1', 'Number',
               '{\"n\": 1, \"text\": \"a text of a few words that is longer than a line of a terminal is\"}');
             SELECT message_store.create_subscription(id, 'numbers', '{\"Number\": \"public.record\"}',
               options) FROM (VALUES
                 ('aggregators:fails', '{\"retries\": 0, \"read_model\": [\"public.noted\"]}'::jsonb),
                 ('aggregators:parks', '{\"retries\": 0, \"on_failure\": \"park\"}')) AS of (id, options);
             SELECT message_store.start(id) FROM (VALUES ('aggregators:fails'), ('aggregators:parks'))
               AS of (id);
             SELECT message_store.tick(id) FROM (VALUES ('aggregators:fails'), ('aggregators:parks'))
               AS of (id)",
        )
        .await
        .unwrap();
    database
}

fn command(database: &Database<'_>, words: &str) -> Command {
    let mut command = orchestrator();
    command.args(words.split(' '));
    command.args(["--url", &database.url("message_store")]);
    command
}

fn printed(columns: u16, command: &mut Command) -> String {
    Terminal::start(columns, command).wait_for_exit().1
}

fn assert_fits(columns: usize, text: &str, what: &str) {
    for line in text.lines().map(|line| line.chars().count()) {
        assert!(line <= columns, "{what} is wider than {columns}:\n{text}");
    }
}

#[tokio::test]
async fn what_is_printed_fits_the_terminal() {
    let database = troubled_store().await;
    for words in [
        "status",
        "subscriptions list",
        "subscriptions show aggregators:fails",
        "subscriptions show aggregators:parks",
        "parked list",
        "parked show aggregators:parks 1",
        "subscriptions dry-run aggregators:fails --handlers {\"Number\":\"public.note\"}",
        "doctor",
    ] {
        for columns in [80, 50] {
            let text = printed(columns, &mut command(&database, words));
            assert!(text.lines().count() >= 2, "{words}: {text}");
            assert_fits(columns.into(), &text, words);
        }
    }
    let help = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/help");
    for page in std::fs::read_dir(help).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let words = name.trim_end_matches(".txt").replace('_', " ");
        let words = words.split(' ').filter(|word| *word != "orchestrator");
        let mut help = orchestrator();
        help.args(words).arg("--help").env("NO_COLOR", "1");
        let text = printed(80, &mut help);
        // clap breaks everything but the line of the usage.
        let lines = text.lines().filter(|line| !line.starts_with("Usage: "));
        assert_fits(80, &lines.collect::<Vec<_>>().join("\n"), &name);
    }
    // Who sets COLUMNS knows better.
    let mut wide = command(&database, "status");
    let text = printed(80, wide.env("COLUMNS", "200"));
    assert!(text.contains("source"), "{text}");
}

#[tokio::test]
async fn state_lag_and_error_come_first_and_what_is_well_has_no_error() {
    let database = troubled_store().await;
    let table = printed(80, &mut command(&database, "status"));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["subscriber_id", "state", "lag", "last_error"]);
    assert_eq!(
        rows[1][..4],
        ["aggregators:fails", "stopped", "1", "duplicate"]
    );
    assert_eq!(rows[2], ["aggregators:parks", "started", "0"], "{table}");

    let place = |text: &str, name: &str| {
        let line = text.lines().position(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in:\n{text}"))
    };
    let fails = printed(
        80,
        &mut command(&database, "subscriptions show aggregators:fails"),
    );
    let names = [
        "subscriber_id",
        "state ",
        "lag ",
        "last_error ",
        "retries",
        "handlers",
        "options",
    ];
    let in_order = names.into_iter().filter(|name| *name != "retries");
    let places: Vec<_> = in_order.map(|name| place(&fails, name)).collect();
    assert!(places.is_sorted(), "{fails}");
    let parks = printed(
        80,
        &mut command(&database, "subscriptions show aggregators:parks"),
    );
    assert!(
        place(&parks, "last_error (past)") > place(&parks, "options"),
        "{parks}"
    );
    let piped = database.command(&["status"]);
    let well = piped.stdout.lines().nth(2).unwrap();
    assert!(!well.contains("duplicate"), "{piped:?}");
}

#[tokio::test]
async fn numbers_and_times_have_no_more_digits_than_people_read() {
    let database = troubled_store().await;
    let session = database.connect().await;
    session
        .run(
            "UPDATE message_store.subscription_progress
                SET rate = 56.068265293001815, retry_at = '2026-01-31 14:00:00.123456+02'
              WHERE subscriber_id = 'aggregators:fails'",
        )
        .await
        .unwrap();
    let show = "subscriptions show aggregators:fails";
    let piped = database.command(&["status"]).stdout;
    for text in [
        piped,
        printed(200, &mut command(&database, "status")),
        printed(80, &mut command(&database, show)),
    ] {
        assert!(text.contains("56.07") && !text.contains("56.068"), "{text}");
        assert!(text.contains("2026-01-31 12:00:00Z"), "{text}");
    }
    let json = database.command(&["status", "--json"]).stdout;
    assert!(json.contains("56.068265293001815"), "{json}");
}

#[tokio::test]
async fn a_watched_status_has_a_screen_of_its_own_and_gives_the_terminal_back() {
    let database = troubled_store().await;
    let watch = Terminal::start(80, &mut command(&database, "status --watch=1"));
    watch.wait_for("aggregators:parks");
    watch.signal(Signal::SIGINT);
    let (status, text) = watch.wait_for_exit();
    assert_eq!(status.code(), Some(0), "{text}");
    let (before, screen) = text.split_once(ENTER_SCREEN).unwrap();
    let (screen, after) = screen.split_once(LEAVE_SCREEN).unwrap();
    assert_eq!((before, after), ("", ""), "{text}");
    assert!(screen.ends_with(SHOW_CURSOR), "{screen:?}");
    // The last that was drawn: a title, with the time at the right; an empty line; the table.
    let drawn = screen.rsplit("\x1b[1;1H").next().unwrap();
    let title = drawn.lines().next().unwrap();
    assert!(
        title.starts_with("status of ") && title.ends_with("Z"),
        "{title}"
    );
    assert_eq!(title.chars().count(), 80, "{title}");
    assert_fits(80, &drawn.replace(SHOW_CURSOR, ""), "the screen");

    // Who cannot go on says why on the terminal that was there before.
    let watch = Terminal::start(80, &mut command(&database, "status --watch=1"));
    watch.wait_for("aggregators:parks");
    let session = database.connect().await;
    session
        .run("DROP EXTENSION message_store CASCADE; DROP SCHEMA IF EXISTS message_store CASCADE")
        .await
        .unwrap();
    let (status, text) = watch.wait_for_exit();
    assert_eq!(status.code(), Some(1), "{text}");
    let (_, after) = text.split_once(LEAVE_SCREEN).unwrap();
    assert!(after.starts_with("orchestrator: cannot "), "{after:?}");
}
