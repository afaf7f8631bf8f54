//! Promise: the home page of *Practical Microservices* in its later printing (the table `pages`, the
//! category `viewing`) counts exactly on this store, with the statements that the book sends.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must fail loudly"
)]

use std::path::Path;
use std::process::Command;

use promises::{Cluster, Database, Running};

const VIDEOS_WATCHED: &str =
    "SELECT page_data ->> 'videosWatched' FROM pages WHERE page_name = 'home'";

/// The application and its two databases, as the book has them.
struct VideoTutorials {
    store: Database<'static>,
    application: Database<'static>,
}

impl VideoTutorials {
    async fn create() -> Self {
        let cluster = Cluster::shared();
        Self {
            store: cluster.create_store().await,
            application: cluster.create_database().await,
        }
    }

    fn start(&self, arguments: &[&str]) -> Running {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/practical-microservices");
        assert!(
            folder.join("node_modules/knex").exists(),
            "knex is missing: make setup-test installs it"
        );
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "node"]);
        command
            .arg(folder.join("video_tutorials.mjs"))
            .args(arguments);
        // knex finds no socket in an address, but in the variables.
        self.store.cluster.set_client_environment(&mut command);
        command
            .env("DATABASE_URL", self.application.url("postgres"))
            .env(
                "MESSAGE_STORE_CONNECTION_STRING",
                self.store.url("message_store"),
            );
        Running::start(&mut command)
    }

    async fn videos_watched(&self) -> Option<String> {
        self.application.connect().await.value(VIDEOS_WATCHED).await
    }
}

#[tokio::test]
async fn the_home_page_of_the_book_counts_each_viewing_once() {
    let tutorials = VideoTutorials::create().await;
    // Both at once: what is read has just been written.
    let aggregator = tutorials.start(&["aggregate", "250"]);
    aggregator.wait_for_print("from 0");
    let viewers = [(); 2].map(|()| tutorials.start(&["view", "125"]));
    for viewer in &viewers {
        viewer.wait_for_print("done");
    }
    aggregator.wait_for_print("done");
    assert_eq!(tutorials.videos_watched().await.as_deref(), Some("250"));

    // It saved its position after 200, and reads again what it has counted.
    let session = tutorials.store.connect().await;
    let saved = "SELECT count(*), p.position \
         FROM message_store.get_last_stream_message('subscriberPosition-aggregators:home-page') AS l, \
           jsonb_to_record(l.data::jsonb) AS p(position bigint), message_store.messages AS m \
         WHERE m.type = 'VideoViewed' AND m.global_position > p.position GROUP BY 2";
    let saved = session.run(saved).await.unwrap();
    let [Some(uncounted), Some(position)] = &saved[0][..] else {
        panic!("no position: {saved:?}");
    };
    assert_eq!(uncounted, "50");
    tutorials.start(&["view", "70"]).wait_for_print("done");
    let again = tutorials.start(&["aggregate", "320"]);
    again.wait_for_print(&format!("from {position}"));
    again.wait_for_print("done");
    assert_eq!(tutorials.videos_watched().await.as_deref(), Some("320"));
}

#[tokio::test]
async fn the_statements_of_the_books_other_chapters_are_answered() {
    let tutorials = VideoTutorials::create().await;
    let running = tutorials.start(&["check"]);
    running.wait_for_print("done");
    let expected = "actual version 0\n\
                    read 0 Registered a@b.example\n\
                    nothing is there\n\
                    all 1\n\
                    done\n";
    assert_eq!(running.printed(), expected);
}
