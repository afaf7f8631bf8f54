//! A session with the server: SQL in, text rows or a SQLSTATE out, notices kept.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use tokio_postgres::error::DbError;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, SimpleQueryMessage};

/// How long an awaited event may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks for an awaited event.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One value as PostgreSQL prints it; `None` for NULL.
pub type Text = Option<String>;
/// Rows as PostgreSQL prints them.
pub type Rows = Vec<Vec<Text>>;

/// What PostgreSQL answered instead of rows.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlError {
    /// Five characters, such as `22023`.
    pub sqlstate: String,
    /// The primary message.
    pub message: String,
    /// The detail, empty where there is none.
    pub detail: String,
    /// The hint, empty where there is none.
    pub hint: String,
    /// The CONTEXT lines, empty where there are none.
    pub context: String,
}

impl fmt::Debug for SqlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.sqlstate, self.message)?;
        for (name, text) in [
            ("DETAIL", &self.detail),
            ("HINT", &self.hint),
            ("CONTEXT", &self.context),
        ] {
            if !text.is_empty() {
                write!(formatter, "\n{name}: {text}")?;
            }
        }
        Ok(())
    }
}

impl From<&DbError> for SqlError {
    fn from(error: &DbError) -> Self {
        let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: text(error.detail()),
            hint: text(error.hint()),
            context: text(error.where_()),
        }
    }
}

impl From<tokio_postgres::Error> for SqlError {
    /// An error that is not PostgreSQL's own answer means a lost connection, a crash: it fails
    /// the test.
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(answer) => Self::from(answer),
            None => panic!("the session broke: {error:?}"),
        }
    }
}

/// A notice, warning or the like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, ...
    pub severity: String,
    /// Its text.
    pub message: String,
}

/// A connection. It is a [`Client`] too, for typed and prepared statements.
pub struct Session {
    client: Client,
    notices: Arc<Mutex<Vec<Notice>>>,
    /// The server process.
    pub pid: i32,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    /// Connects and keeps the connection going in the background.
    pub async fn open(config: &Config) -> Self {
        let (client, mut connection) = config
            .connect(NoTls)
            .await
            .unwrap_or_else(|error| panic!("cannot connect with {config:?}: {error:?}"));
        let notices = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&notices);
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await
            {
                if let AsyncMessage::Notice(notice) = message {
                    kept.lock().unwrap().push(Notice {
                        severity: notice.severity().to_owned(),
                        message: notice.message().to_owned(),
                    });
                }
            }
        });
        // Not prepared: behind a pooler what is prepared may be elsewhere.
        let pid = client
            .simple_query("SELECT pg_backend_pid()")
            .await
            .unwrap();
        let pid = pid.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        let pid = pid.unwrap();
        Self {
            client,
            notices,
            pid,
        }
    }

    /// Runs SQL by the simple protocol, one or more statements, and returns the rows of all of
    /// them.
    pub async fn run(&self, sql: &str) -> Result<Rows, SqlError> {
        let messages = self.client.simple_query(sql).await?;
        Ok(rows_of(&messages))
    }

    /// The first value of the first row; `None` for NULL or no row. An error fails the test.
    pub async fn value(&self, sql: &str) -> Text {
        let rows = self
            .run(sql)
            .await
            .unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        rows.into_iter().next()?.into_iter().next()?
    }

    /// The first value as a bigint. NULL, no row and an error fail the test.
    pub async fn bigint(&self, sql: &str) -> i64 {
        let value = self.value(sql).await;
        value
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no bigint: {sql}"))
    }

    /// The error of SQL that must fail.
    pub async fn error(&self, sql: &str) -> SqlError {
        match self.run(sql).await {
            Ok(rows) => panic!("no error but {rows:?}: {sql}"),
            Err(error) => error,
        }
    }

    /// The notices that came since the last call.
    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap())
    }

    /// Looks until `sql` answers true; fails the test where that takes too long.
    pub async fn wait_until(&self, sql: &str) {
        let started = Instant::now();
        while self.value(sql).await.as_deref() != Some("t") {
            assert!(started.elapsed() < PATIENCE, "waited in vain for {sql}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks until the server process `pid` waits for a lock.
    pub async fn wait_until_blocked(&self, pid: i32) {
        self.wait_until(&format!("SELECT cardinality(pg_blocking_pids({pid})) > 0"))
            .await;
    }
}

/// The rows among the answers of the simple protocol.
pub fn rows_of(messages: &[SimpleQueryMessage]) -> Rows {
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|number| row.get(number).map(str::to_owned))
                .collect(),
        ),
        _ => None,
    });
    rows.collect()
}

/// A text as an SQL literal, NULL for `None`.
pub fn literal(text: Option<&str>) -> String {
    match text {
        None => "NULL".to_owned(),
        Some(text) => {
            format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
        }
    }
}
