//! What a person does with a subscription.

#[pgrx::pg_schema]
mod tests {
    use crate::pg_tests::support::*;
    use pgrx::pg_test;

    const STATE: &str = "SELECT state, position, lag FROM message_store.subscription_status";

    fn begin() {
        create_store();
        create_handlers();
        for _ in 0..3 {
            write("a-1", "T");
        }
        subscribe("s", "a", r#"{"$any": "app.position"}"#, "{}");
    }

    #[pg_test]
    fn a_subscription_is_created_once() {
        begin();
        let again = "message_store.create_subscription('s', 'a', '{\"$any\": \"app.position\"}')";
        assert_eq!(text(again), "false");
        assert_eq!(rows(STATE), ["created 0 3"]);
    }

    #[pg_test]
    fn a_subscription_keeps_its_source() {
        begin();
        let other = "SELECT message_store.create_subscription('s', 'b', '{}')";
        assert_eq!(sqlstate(other), "42710");
    }

    #[pg_test]
    fn a_tick_reads_a_batch() {
        begin();
        run("SELECT message_store.tick('s', 2)");
        assert_eq!(rows(STATE), ["created 2 1"]);
    }

    #[pg_test]
    fn a_paused_subscription_is_not_ticked() {
        begin();
        run("SELECT message_store.pause('s', 'lunch')");
        assert_eq!(tick("s"), "paused 0 0");
        run("SELECT message_store.start('s')");
        assert_eq!(tick("s"), "progressed 3 3");
    }

    #[pg_test]
    fn a_started_subscription_is_listed_for_orchestrators() {
        begin();
        let started = "SELECT subscriber_id, source FROM message_store.started_subscriptions()";
        assert_eq!(rows(started), [""; 0]);
        run("SELECT message_store.start('s')");
        assert_eq!(rows(started), ["s a"]);
    }

    #[pg_test]
    fn skipped_messages_are_never_handled() {
        begin();
        run("SELECT message_store.skip('s', 2, 'test')");
        tick("s");
        assert_eq!(handled(), ["3"]);
    }

    #[pg_test]
    fn skipping_back_and_resetting_forward_are_refused() {
        begin();
        run("SELECT message_store.tick('s', 2)");
        assert_eq!(
            sqlstate("SELECT message_store.skip('s', 1, 'test')"),
            "22023"
        );
        assert_eq!(
            sqlstate("SELECT message_store.reset('s', 3, 'test')"),
            "22023"
        );
    }

    #[pg_test]
    fn a_dropped_subscription_is_forgotten() {
        begin();
        assert_eq!(text("message_store.drop_subscription('s')"), "true");
        assert_eq!(sqlstate("SELECT message_store.tick('s')"), "42704");
    }

    #[pg_test]
    fn an_application_fetches_and_acknowledges() {
        begin();
        subscribe("app", "a", "{}", "{}");
        let fetch = "SELECT global_position FROM message_store.fetch('app', 2, '1 minute')";
        assert_eq!(rows(fetch), ["1", "2"]);
        run("SELECT message_store.ack('app', 2)");
        assert_eq!(rows(fetch), ["3"]);
    }

    #[pg_test]
    fn a_subscription_that_an_application_fetches_is_not_ticked() {
        begin();
        subscribe("app", "a", "{}", "{}");
        assert_eq!(sqlstate("SELECT message_store.tick('app')"), "55000");
    }

    #[pg_test]
    fn a_group_is_resized() {
        begin();
        run("SELECT message_store.resize_group('s', 3)");
        let members = "SELECT member, group_size FROM message_store.subscription_status ORDER BY 1";
        assert_eq!(rows(members), ["0 3", "1 3", "2 3"]);
    }

    /// A subscription `t` of a role that may call what it names, and two roles that may own it.
    fn begin_with_owners() {
        begin();
        run("CREATE ROLE test_old IN ROLE message_store; CREATE ROLE test_new IN ROLE message_store;
             CREATE ROLE test_admin IN ROLE message_store_admin;
             CREATE TABLE app.by (role name); GRANT INSERT ON app.by TO test_old, test_new;
             GRANT USAGE ON SCHEMA app TO test_old, test_new;
             CREATE FUNCTION app.sign(bigint) RETURNS void LANGUAGE sql AS
               'INSERT INTO app.by SELECT current_user';
             SET LOCAL ROLE test_old");
        subscribe("t", "a", r#"{"$any": "app.sign"}"#, "{}");
        run("RESET ROLE");
    }

    const OWNERS: &str = "SELECT owner FROM message_store.subscription_status \
                          WHERE subscriber_id = 't'";
    const REASSIGN: &str = "SELECT message_store.reassign('t', 'test_new')";

    #[pg_test]
    fn a_subscription_is_given_another_owner_and_keeps_its_position() {
        begin_with_owners();
        run("SELECT message_store.tick('t', 1)");
        run(REASSIGN);
        assert_eq!(rows(OWNERS), ["test_new"]);
        tick("t");
        let signed = "SELECT role, count(*) FROM app.by GROUP BY 1 ORDER BY 1 DESC";
        assert_eq!(rows(signed), ["test_old 1", "test_new 2"]);
        let told =
            "SELECT reason FROM message_store.subscription_history WHERE action = 'reassign'";
        assert_eq!(rows(told), ["from test_old to test_new"]);
    }

    #[pg_test]
    fn nobody_takes_or_lends_the_rights_of_others() {
        begin_with_owners();
        for (role, sqlstate_expected) in [
            ("test_new", "42501"),
            ("test_old", "22023"),
            ("test_admin", "42501"),
        ] {
            let reassign = format!("SET LOCAL ROLE {role}; {REASSIGN}");
            assert_eq!(sqlstate(&reassign), sqlstate_expected, "{role}");
        }
        run("REVOKE USAGE ON SCHEMA app FROM test_new; \
             REVOKE EXECUTE ON FUNCTION app.sign FROM PUBLIC");
        assert_eq!(sqlstate(REASSIGN), "42501");
        assert_eq!(
            sqlstate("SELECT message_store.reassign('t', 'nobody at all')"),
            "22023"
        );
        assert_eq!(rows(OWNERS), ["test_old"]);
    }

    #[pg_test]
    fn a_subscription_whose_owner_is_gone_goes_on_with_another() {
        begin_with_owners();
        run("DROP OWNED BY test_old; DROP ROLE test_old");
        assert_eq!(sqlstate("SELECT message_store.tick('t')"), "42704");
        let reassign = format!("SET LOCAL ROLE test_admin; {REASSIGN}");
        assert_eq!(sqlstate(&reassign), "22023");
        run("GRANT test_new TO test_admin; SET LOCAL ROLE test_admin");
        run(REASSIGN);
        run("RESET ROLE");
        assert_eq!(tick("t"), "progressed 3 3");
    }

    #[pg_test]
    fn the_history_says_what_was_altered() {
        begin();
        run(
            "SELECT message_store.alter_subscription('s', '{\"$any\": \"app.positions\"}', \
               '{\"retries\": 3, \"batch_size\": 7}')",
        );
        run("SELECT message_store.alter_subscription('s', options => '{\"batch_size\": 8}')");
        let told = "SELECT reason FROM message_store.subscription_history WHERE action = 'alter'";
        assert_eq!(
            rows(told),
            ["handlers of $any; batch_size, retries", "batch_size"]
        );
    }
}
