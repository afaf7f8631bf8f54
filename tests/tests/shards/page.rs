//! `docs/scale-out.md`, typed from one end to the other, with the addresses of servers that are there: two
//! shards, their router, an outbox, a page over both; and four shards, while viewings go on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use promises::{
    Cluster, DECLARED_HOME_PAGE, Database, orchestrator_at, orchestrator_program, run_to_end,
};

use crate::growing::again;

const PAGE: &str = include_str!("../../../docs/scale-out.md");
const COMMANDS: &str = "
    [[services]]
    subscriber_id = 'services:accounts'
    category = 'account:command'
    handlers = { Withdraw = 'public.withdraw' }
";

/// The indented block of the page that has this in it.
pub fn block(part: &str) -> String {
    let mut found = PAGE
        .split("\n\n")
        .filter(|block| block.starts_with("    ") && block.contains(part));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("the page has no {part}"));
    assert!(found.next().is_none(), "the page has {part} twice");
    block
        .lines()
        .map(|line| line.strip_prefix("    ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// What is written in place of the page's `db0` and so on, and of its router.
struct Servers<'a> {
    shards: Vec<Database<'a>>,
    router: Database<'a>,
}

impl Servers<'_> {
    fn named(&self, text: &str) -> String {
        let mut text = text.replace(
            "postgresql://postgres@router/shop",
            &self.router.url("postgres"),
        );
        for (number, shard) in self.shards.iter().enumerate() {
            text = text
                .replace(
                    &format!("postgresql://postgres@db{number}/shop"),
                    &shard.url("postgres"),
                )
                .replace(&format!("host=db{number} dbname=shop"), &shard.address());
        }
        assert!(!text.contains("shop"), "{text}");
        text
    }

    /// A command of the page, as a shell runs it.
    fn run(&self, line: &str) -> String {
        let program = orchestrator_program().display().to_string();
        let line = self.named(line).replacen("orchestrator", &program, 1);
        let ended = run_to_end(orchestrator_at(Path::new("sh")).args(["-c", &line]));
        assert_eq!(ended.code, Some(0), "{line}\n{}", ended.stderr);
        ended.stdout
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_one_server_to_four_shards_as_the_page_says() {
    let clusters = [Cluster::start(&[]), Cluster::start(&[])];
    let mut servers = Servers {
        shards: vec![
            clusters[0].create_database().await,
            clusters[1].create_database().await,
        ],
        router: Cluster::shared().create_database().await,
    };
    let make = servers.named(&block("become_shard(0, 2, 1,"));
    for (number, shard) in servers.shards.iter().enumerate() {
        let make = make.replace("become_shard(0,", &format!("become_shard({number},"));
        let perform = block("PERFORM FROM message_store.write_messages");
        let session = shard.connect().await;
        session.run(&make).await.unwrap();
        session
            .run(&format!(
                "GRANT CREATE ON SCHEMA public TO message_store;
                 CREATE FUNCTION public.withdraw(m message_store.message) RETURNS void LANGUAGE plpgsql AS $$
                 DECLARE data jsonb := m.data; BEGIN {perform} END $$"
            ))
            .await
            .unwrap();
    }
    let router = servers.router.connect().await;
    router
        .run(&servers.named(&block("use_shards(ARRAY[")))
        .await
        .unwrap();
    let sum_of_all = block("CREATE FUNCTION videos_watched_on_each");
    let (function, sum) = sum_of_all.split_once("$$;\n").unwrap();
    router.run(&format!("{function}$$")).await.unwrap();
    let sum = sum.trim_end_matches(';');

    // Subscriptions are declared by one orchestrator that has the router's address.
    let forwarder = block("[[forwarders]]");
    let running = servers
        .router
        .deploy(&format!("{DECLARED_HOME_PAGE}{COMMANDS}{forwarder}"))
        .start();
    running.wait_for_log("delivering in each of its 2 shards");
    let client = servers.router.connect_as("message_store").await;
    client
        .run(
            "SELECT message_store.write_message(gen_random_uuid()::varchar, 'account:command-7', 'Withdraw', '{\"amount\": 5}')",
        )
        .await
        .unwrap();
    let deposited = "SELECT count(*) = 1 FROM message_store.get_stream_messages('account-9')
                      WHERE type = 'Deposited' AND data::jsonb ->> 'amount' = '5'";
    client.wait_until(deposited).await;

    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..2 {
        let (session, is_over) = (
            servers.router.connect_as("message_store").await,
            Arc::clone(&is_over),
        );
        writers.push(tokio::spawn(async move {
            let mut written = 0;
            while !is_over.load(Ordering::SeqCst) {
                let write = format!(
                    "SELECT message_store.write_message(gen_random_uuid()::varchar, 'viewings-{}', 'VideoViewed', '{{}}')",
                    written % 50 * 2 + writer
                );
                again(&session, &write).await;
                written += 1;
            }
            written
        }));
    }
    let some = format!("SELECT ({sum}) > 200");
    router.wait_until(&some).await;

    let standbys = [
        clusters[0].start_standby(&[]),
        clusters[1].start_standby(&[]),
    ];
    for (standby, number) in standbys.iter().zip(0..2) {
        servers.shards.push(servers.shards[number].on(standby));
    }
    let split = block("orchestrator shards split");
    let told = servers.run(&format!("{split} --dry-run"));
    assert!(told.contains("2 shards would become 4"), "{told}");
    let told = servers.run(&split);
    for from in 0..2 {
        let compared = format!("Shard {} has the ", from + 2);
        assert!(told.contains(&compared), "{told}");
    }
    running.wait_for_log("the router has 4 shards now, by map 2");
    drop(router);
    let router = servers.router.connect().await;
    let looked =
        servers.run("orchestrator shards status --url 'postgresql://postgres@router/shop'");
    for number in 0..4 {
        assert!(
            looked
                .lines()
                .any(|line| line.starts_with(&format!("{number}\t"))),
            "{looked}"
        );
    }
    // Viewings go on on the new ones.
    let on_each = "SELECT count(*) = 4 FROM message_store.shard_status s WHERE s.drawn > 0 AND s.error IS NULL";
    router.wait_until(on_each).await;
    is_over.store(true, Ordering::SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    let all = format!(
        "SELECT count(*) = {written} FROM message_store.get_category_messages('viewings', 1, -1)"
    );
    router.wait_until(&all).await;
    let idle = "SELECT sum(lag) = 0 FROM message_store.shard_status";
    router.wait_until(idle).await;
    let twice: i64 = router.bigint(sum).await;
    assert!(
        twice > written,
        "{twice} of {written}: both halves have what was counted before"
    );

    let rebuild = block("message_store.rebuild('aggregators:home-page')");
    client.run(&rebuild).await.unwrap();
    router
        .wait_until(&format!("SELECT ({sum}) = {written}"))
        .await;
    running.stop();
    for shard in &servers.shards {
        let differs = "SELECT count(*) FROM message_store.verify('aggregators:home-page')";
        assert_eq!(shard.connect().await.bigint(differs).await, 0);
    }
    let deposited = deposited.replace("= 1 ", "");
    assert_eq!(
        client.bigint(&deposited).await,
        1,
        "forwarded once, also through the split"
    );
}
