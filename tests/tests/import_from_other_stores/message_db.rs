//! Message DB's own functions write.

use promises::{Cluster, MessageDb};

use crate::page::repository;
use crate::programs::succeed;
use crate::steps::{ALL_WRITTEN, By, IMPORTED, follow_page, import};

const FROM_MESSAGE_DB: &str = "From a dump of Message DB";

#[tokio::test]
async fn a_dump_of_message_db_comes_over() {
    let cluster = Cluster::shared();
    let message_db = MessageDb::install(cluster, "dumped").database();
    let writer = message_db.connect().await;
    writer
        .run(
            r#"SET search_path = message_store, public;
               SELECT write_message(gen_random_uuid()::varchar, 'account-' || n % 7, 'Type' || n % 3,
                 CASE WHEN n % 5 > 0 THEN jsonb_build_object('n', 12345678901234567890.10 + n, 's', E'ä"\\\n') END,
                 CASE WHEN n % 2 = 0 THEN '{"correlationStreamName": "orders-1"}'::jsonb END)
               FROM generate_series(1, 98) n;
               SELECT write_message(gen_random_uuid()::varchar, 'account:command-1', 'Open', '{}');
               SELECT write_message(gen_random_uuid()::varchar, 'odd name-é|%', 'T', '[]')"#,
        )
        .await
        .unwrap();

    // The dump of the table alone, in a database that has nothing else.
    let restored = cluster.create_database().await;
    let into = restored.connect().await;
    into.run("CREATE SCHEMA message_store").await.unwrap();
    let mut dump = cluster.client_command("pg_dump");
    dump.args(["--section=pre-data", "--section=data", "--no-privileges"])
        .args(["--table=message_store.messages", &message_db.name]);
    let dumped = succeed(&mut dump);
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&script, dumped.stdout).unwrap();
    let mut restore = cluster.client_command("psql");
    restore
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &restored.name, "-f"])
        .arg(script.path());
    succeed(&mut restore);

    let session = import(FROM_MESSAGE_DB, &restored.url("postgres")).await;
    let kept = session.value(IMPORTED).await;
    assert_eq!(kept, writer.value(IMPORTED).await);

    // The database itself, with its times.
    let text = std::fs::read_to_string(repository().join("docs/migrate.md")).unwrap();
    let with_time = text
        .split('`')
        .find(|code| code.contains("jsonb_build_object('message_db'"))
        .unwrap();
    let new = cluster.create_store().await;
    let keep_time =
        |query: &str| query.replace("'metadata', metadata", &format!("'metadata', {with_time}"));
    let old = message_db.url("postgres");
    follow_page(
        FROM_MESSAGE_DB,
        (&old, By::File, &new),
        keep_time,
        ALL_WRITTEN,
    )
    .await;
    let times =
        "SELECT string_agg(to_char(TIME, 'YYYY-MM-DD HH24:MI:SS.US'), ' ' ORDER BY global_position)
                 FROM message_store.messages";
    let kept = "(metadata -> 'message_db' ->> 'time')::timestamp";
    assert_eq!(
        new.connect()
            .await
            .value(&times.replace("TIME", kept))
            .await,
        writer.value(&times.replace("TIME", "time")).await
    );
}
