//! What the copy of a table has of it, and what it cannot have.

use super::{COPIES, view};
use crate::subscriber::{create_with, tick_to_the_end, with_recorders};
use promises::{Cluster, Database, Session};

const VISITS: &str = "
    CREATE TABLE public.visits (
      number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      serial serial,
      place bigint NOT NULL,
      times bigint NOT NULL DEFAULT 1,
      CONSTRAINT one_of_each UNIQUE (place, times));
    CREATE FUNCTION public.visit(at bigint) RETURNS void LANGUAGE sql AS
      'INSERT INTO visits (place) VALUES (at) ON CONFLICT ON CONSTRAINT one_of_each
         DO UPDATE SET times = excluded.times'";

async fn with_visits() -> (Database<'static>, Session) {
    let (database, session) = with_recorders(Cluster::shared()).await;
    session.run(VISITS).await.unwrap();
    let options = "{\"read_model\": [\"visits\"]}";
    create_with(&session, "v", "viewings", "{\"$any\": \"visit\"}", options).await;
    session
        .run("SELECT message_store.start('v')")
        .await
        .unwrap();
    (database, session)
}

#[tokio::test]
async fn sequences_of_a_read_model_go_on_behind_what_was_promoted() {
    let (_database, session) = with_visits().await;
    view(&session, 10).await;
    tick_to_the_end(&session, "v").await;
    // The new handler makes more rows of the same messages.
    session
        .run(
            "CREATE OR REPLACE FUNCTION public.visit(at bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO visits (place, times) SELECT at, n FROM generate_series(1, 3) n';
             SELECT message_store.rebuild('v', true)",
        )
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    session
        .run("SELECT message_store.promote('v')")
        .await
        .unwrap();
    view(&session, 2).await;
    tick_to_the_end(&session, "v").await;
    let rows = "SELECT count(*) FROM public.visits";
    assert_eq!(session.bigint(rows).await, 36);
    let repeated = "SELECT count(*) - count(DISTINCT serial) FROM public.visits";
    assert_eq!(session.bigint(repeated).await, 0);
}

#[tokio::test]
async fn a_copy_has_the_names_of_its_constraints() {
    let (_database, session) = with_visits().await;
    view(&session, 5).await;
    tick_to_the_end(&session, "v").await;
    session
        .run("SELECT message_store.rebuild('v', true)")
        .await
        .unwrap();
    tick_to_the_end(&session, "v#rebuild").await;
    let names = |schema: &str| {
        format!(
            "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname)
             FROM pg_constraint WHERE conrelid = '{schema}.visits'::regclass"
        )
    };
    let copy = session.value(COPIES).await.unwrap();
    assert_eq!(
        session.value(&names(&copy)).await,
        session.value(&names("public")).await
    );
    session
        .run("SELECT message_store.promote('v')")
        .await
        .unwrap();
    assert_eq!(session.bigint("SELECT count(*) FROM visits").await, 5);
}

#[tokio::test]
async fn what_a_copy_would_not_have_is_refused_and_rebuilt_in_place() {
    let (_database, session) = with_visits().await;
    session
        .run(
            "CREATE TABLE public.places (place bigint PRIMARY KEY);
             CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS
               'BEGIN RETURN NEW; END'",
        )
        .await
        .unwrap();
    for (make, named, unmake) in [
        (
            "CREATE TRIGGER noted BEFORE INSERT ON visits FOR EACH ROW EXECUTE FUNCTION noted()",
            "triggers",
            "DROP TRIGGER noted ON visits",
        ),
        (
            "CREATE RULE never AS ON DELETE TO visits DO ALSO NOTHING",
            "rules",
            "DROP RULE never ON visits",
        ),
        (
            "ALTER TABLE visits ENABLE ROW LEVEL SECURITY",
            "row-level security",
            "ALTER TABLE visits DISABLE ROW LEVEL SECURITY",
        ),
        (
            "CREATE TABLE older_visits () INHERITS (visits)",
            "inheritance",
            "DROP TABLE older_visits",
        ),
        (
            "ALTER TABLE visits ADD CONSTRAINT known FOREIGN KEY (place) REFERENCES places \
               ON DELETE CASCADE NOT VALID",
            "a foreign key",
            "ALTER TABLE visits DROP CONSTRAINT known",
        ),
    ] {
        session.run(make).await.unwrap();
        for call in ["verify('v')", "rebuild('v', true)", "dry_run('v')"] {
            let error = session.error(&format!("SELECT message_store.{call}")).await;
            assert_eq!(error.sqlstate, "0A000", "{call} {error:?}");
            assert!(error.message.contains(named), "{call} {error:?}");
        }
        let in_place = "SELECT message_store.rebuild('v')";
        session.run(in_place).await.unwrap();
        session.run(unmake).await.unwrap();
    }
}
