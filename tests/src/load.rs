//! Applications that write viewings without a pause, while something else happens to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::database::Database;
use crate::session::SqlError;

/// What each of them writes: `$1` and `{}` are the stream.
const WRITE: &str = "SELECT message_store.write_message(gen_random_uuid()::varchar, $1, \
     'VideoViewed', '{\"videoId\": \"streams\"}')";

/// Writers at work. Each has a session and a stream of its own.
pub struct Writers {
    is_over: Arc<AtomicBool>,
    written: watch::Receiver<i64>,
    tasks: Vec<JoinHandle<Option<SqlError>>>,
    longest: watch::Receiver<Duration>,
}

/// What writers saw.
#[derive(Debug)]
pub struct Seen {
    /// Messages that were acknowledged.
    pub written: i64,
    /// What each of those was told that were refused, which ended it.
    pub errors: Vec<SqlError>,
    /// The longest that one of them waited for an answer.
    pub longest_wait: Duration,
}

impl Database<'_> {
    /// Starts so many writers, as the role `message_store`. Every other one has prepared its
    /// statement.
    pub async fn start_writers(&self, count: usize) -> Writers {
        let is_over = Arc::new(AtomicBool::new(false));
        let (count_written, written) = watch::channel(0);
        let (note_wait, longest) = watch::channel(Duration::ZERO);
        let mut tasks = Vec::new();
        for number in 0..count {
            let session = self.connect_as("message_store").await;
            let is_over = Arc::clone(&is_over);
            let (count_written, note_wait) = (count_written.clone(), note_wait.clone());
            let stream = format!("viewings-{number}");
            tasks.push(tokio::spawn(async move {
                let prepared = match number % 2 {
                    0 => None,
                    _ => Some(session.prepare(WRITE).await.unwrap()),
                };
                let unprepared = WRITE.replace("$1", &format!("'{stream}'"));
                while !is_over.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    let answered = match &prepared {
                        None => session.run(&unprepared).await.map(drop),
                        Some(statement) => {
                            let answered = session.query_one(statement, &[&stream]).await;
                            answered.map(drop).map_err(SqlError::from)
                        }
                    };
                    let waited = asked.elapsed();
                    note_wait.send_if_modified(|longest| {
                        let is_longer = waited > *longest;
                        *longest = waited.max(*longest);
                        is_longer
                    });
                    if let Err(error) = answered {
                        return Some(error);
                    }
                    count_written.send_modify(|written| *written += 1);
                }
                None
            }));
        }
        Writers {
            is_over,
            written,
            tasks,
            longest,
        }
    }
}

impl Writers {
    /// Returns when so many more are written than now; fails where all writers were refused.
    pub async fn write_more(&mut self, count: i64) {
        let enough = *self.written.borrow() + count;
        let waited = self.written.wait_for(|written| *written >= enough).await;
        waited.expect("every writer was refused");
    }

    /// Lets each end what it has begun.
    pub async fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        let mut errors = Vec::new();
        for task in self.tasks {
            errors.extend(task.await.unwrap());
        }
        Seen {
            written: *self.written.borrow(),
            errors,
            longest_wait: *self.longest.borrow(),
        }
    }
}
