//! A store with a log of one category, and procedures that call what reads and writes it.

use promises::{Cluster, Database, Session};

use crate::filled::filled_store;
use crate::viewing::{DATA, METADATA, TYPE};

/// Messages of one category, whose streams take turns.
pub(super) struct Log<'a> {
    database: Database<'a>,
    session: Session,
    /// In the log, before the rounds.
    pub(super) messages: i64,
    /// In the category.
    pub(super) streams: i64,
}

impl<'a> Log<'a> {
    /// Fills a new store with messages, a multiple of the streams.
    pub(super) async fn fill(cluster: &'a Cluster, messages: i64, streams: i64) -> Self {
        let database = filled_store(cluster, messages, streams).await;
        let session = database.connect().await;
        let log = Self {
            database,
            session,
            messages,
            streams,
        };
        let procedures = log.procedures();
        for sql in [procedures.as_str(), "SET synchronous_commit = off"] {
            log.session.run(sql).await.unwrap();
        }
        log.require_readable().await;
        log
    }

    /// Where it is read and written.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Gives it up.
    pub(super) fn into_database(self) -> Database<'a> {
        self.database
    }

    /// Each makes so many calls, and tells how many microseconds they took. They go to at most
    /// 100 streams and ten places of the category, spread over the log.
    fn procedures(&self) -> String {
        let Self {
            messages, streams, ..
        } = self;
        let spread = streams / streams.min(&100);
        let length = messages / streams;
        let stream = format!("'viewings-' || i * {spread} % {streams}");
        let one = |name: &str, call: &str| procedure(name, "", call, "");
        let random_id = "id := gen_random_uuid();";
        // As version 7 has it: milliseconds, then random bits.
        let rising_id =
            "id := lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
               || right(replace(gen_random_uuid()::text, '-', ''), 20);";
        let write = format!(
            "PERFORM message_store.write_message(id, {stream},
               '{TYPE}', '{DATA}', '{METADATA}');
             COMMIT;"
        );
        let read = format!(
            "PERFORM FROM message_store.get_stream_messages({stream}, i * 7919 % {length}, 1);"
        );
        let last = format!("PERFORM FROM message_store.get_last_stream_message({stream});");
        let version = format!("PERFORM message_store.stream_version({stream});");
        // All at the end of one stream of the category: only the id's place differs.
        let insert = format!(
            "INSERT INTO message_store.messages (stream_name, position, type, data, metadata, id)
               VALUES ('viewings-plain', inserted + i, '{TYPE}', '{DATA}', '{METADATA}', id::uuid);
             COMMIT;"
        );
        let columns = "SELECT m.id::varchar, stream_name, type, position, global_position,
               data::varchar, metadata::varchar, time INTO found FROM message_store.messages m";
        let select = format!(
            "{columns} WHERE stream_name = {stream} AND position >= i * 7919 % {length}
               ORDER BY position LIMIT 1;"
        );
        let select_last =
            format!("{columns} WHERE stream_name = {stream} ORDER BY position DESC LIMIT 1;");
        let select_version = format!(
            "SELECT max(position) INTO read FROM message_store.messages
              WHERE stream_name = {stream};"
        );
        let category = |position: &str| {
            format!(
                "SELECT count(*) INTO read
                   FROM message_store.get_category_messages('viewings', {position}, 1000);
                 ASSERT read = 1000;"
            )
        };
        let anywhere = category(&format!("1 + i % 10 * ({messages} - 1000) / 10"));
        let at_the_end = category("head - 999");
        // A tick finds 1,000 messages that it has not handled, the last ones of the log.
        let behind = "IF (SELECT position < head FROM message_store.subscription_progress) THEN
               PERFORM message_store.skip('home', head, 'what is in the log already');
             END IF;
             PERFORM message_store.reset('home', head - 1000, 'the next call');
             UPDATE message_store.read_model_pages
                SET page_data = '{\"lastViewProcessed\": 0, \"videosWatched\": 0}';
             COMMIT;";
        let tick = "SELECT t.handled INTO read FROM message_store.tick('home', 1000) t;
             COMMIT;";
        let counted = "ASSERT read = 1000 AND (
               SELECT page_data->>'videosWatched' = '1000' FROM message_store.read_model_pages);";
        let subscription = "SELECT message_store.create_subscription('home', 'viewings',
               '{\"VideoViewed\": \"message_store.increment_videos_watched(bigint[])\"}',
               '{\"init\": \"message_store.ensure_home_page\"}');
             SELECT message_store.start('home');";
        [
            subscription.to_owned(),
            procedure("write_with_random_ids", random_id, &write, ""),
            procedure("write_with_rising_ids", rising_id, &write, ""),
            one("read_stream_messages", &read),
            one("read_last_messages", &last),
            one("read_versions", &version),
            one("read_category_anywhere", &anywhere),
            one("read_category_at_the_end", &at_the_end),
            procedure("insert_with_random_ids", random_id, &insert, ""),
            procedure("insert_with_rising_ids", rising_id, &insert, ""),
            one("select_stream_messages", &select),
            one("select_last_messages", &select_last),
            one("select_versions", &select_version),
            procedure("tick_at_the_end", behind, tick, counted),
        ]
        .concat()
    }

    /// Fails unless the store finds what was put past it.
    async fn require_readable(&self) {
        let Self {
            messages, streams, ..
        } = self;
        let (last, middle) = (streams - 1, messages / 2);
        let length = messages / streams;
        for (sql, expected) in [
            (
                format!("SELECT message_store.stream_version('viewings-{last}')"),
                length - 1,
            ),
            (
                format!(
                    "SELECT global_position \
                     FROM message_store.get_last_stream_message('viewings-{last}')"
                ),
                *messages,
            ),
            (
                format!(
                    "SELECT sum(global_position)::bigint \
                     FROM message_store.get_category_messages('viewings', {middle}, 10)"
                ),
                10 * middle + 45,
            ),
        ] {
            assert_eq!(self.session.bigint(&sql).await, expected, "{sql}");
        }
    }
}

/// A procedure that makes a call again and again, with `i` from 0, and counts the time of it alone.
fn procedure(name: &str, before: &str, call: &str, after: &str) -> String {
    format!(
        "CREATE PROCEDURE {name}(times bigint, INOUT microseconds numeric) LANGUAGE plpgsql AS $$
         DECLARE
           head bigint := (SELECT max(global_position) FROM message_store.messages);
           inserted bigint := 1 + coalesce((SELECT max(position) FROM message_store.messages
                                            WHERE stream_name = 'viewings-plain'), -1);
           read bigint;
           found record;
           id varchar;
           begun timestamptz;
         BEGIN
           microseconds := 0;
           FOR i IN 0 .. times - 1 LOOP
             {before}
             begun := clock_timestamp();
             {call}
             microseconds := microseconds + extract(epoch FROM clock_timestamp() - begun) * 1e6;
             {after}
           END LOOP;
         END $$;"
    )
}
