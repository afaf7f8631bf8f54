//! The roles of the private cluster.

use message_store_client::{Result, database::Session};

/// The role that ticks, declares the configured subscriptions and serves the pages.
pub const TICKING: &str = "orchestrator";
/// The role that the dashboard acts as.
pub const OPERATING: &str = "orchestrator_operator";

/// Makes them: one that ticks, with nothing but `message_store`, and one that operates. What else
/// somebody has made of them is taken away. Subscriptions of the demo that the superuser owns, as an
/// older version left them, are the ticking role's then, at the positions where they are; so are the
/// tables of a rebuild under way beside the live ones.
pub async fn ensure(session: &Session) -> Result<()> {
    const ATTRIBUTES: &str = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION \
                              NOBYPASSRLS INHERIT";
    let sql = format!(
        "DO $$
         DECLARE
           role text;
           demo constant text[] := ARRAY['aggregators:home-page', 'aggregators:most-watched',
                                         'services:viewings'];
           its_schema name;
           its_table regclass;
         BEGIN
           FOREACH role IN ARRAY ARRAY['{TICKING}', '{OPERATING}'] LOOP
             IF to_regrole(role) IS NULL THEN EXECUTE 'CREATE ROLE ' || role; END IF;
             EXECUTE 'ALTER ROLE ' || role || ' {ATTRIBUTES}';
           END LOOP;
           GRANT message_store TO {TICKING};
           GRANT message_store_admin TO {OPERATING};
           UPDATE message_store.subscriptions SET owner = '{TICKING}'
            WHERE owner = current_user::regrole
              AND (subscriber_id = ANY (demo) OR copy_of = ANY (demo));
           FOR its_schema IN
             SELECT s.copy_schema FROM message_store.subscriptions s
             WHERE s.copy_of = ANY (demo) AND s.owner = '{TICKING}'::regrole
           LOOP
             EXECUTE format('GRANT USAGE ON SCHEMA %I TO {TICKING}', its_schema);
             FOR its_table IN
               SELECT c.oid FROM pg_class c
               WHERE c.relnamespace = to_regnamespace(quote_ident(its_schema))
                 AND c.relkind = 'r' AND c.relowner = current_user::regrole
             LOOP
               EXECUTE format('ALTER TABLE %s OWNER TO {TICKING}', its_table);
             END LOOP;
           END LOOP;
         END $$"
    );
    session
        .run("make the roles of the private cluster", &sql)
        .await
}
