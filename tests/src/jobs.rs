//! Messages for the handlers of tests.

use crate::session::Session;

impl Session {
    /// Writes so many jobs to one stream, in one transaction.
    pub async fn write_jobs(&self, count: i64) {
        let sql = format!(
            "SELECT count(message_store.write_message(gen_random_uuid()::varchar, 'jobs-1', 'Job', \
             '{{}}')) FROM generate_series(1, {count})"
        );
        self.run(&sql).await.unwrap();
    }
}
