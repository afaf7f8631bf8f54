//! What subscriptions need: whether their functions and tables are there, and what their owners, with
//! whose rights all of it runs, may not do. Everything is answered from the catalogs; no handler is
//! called.

mod found;
mod lacks;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::Json;

use self::{
    found::found_sql,
    lacks::{COPIES, GONE, NAMES, RIGHTS},
};
use super::{Database, on_own_path};
use crate::error::{Error, Result};

/// A subscription that a file declares and the role that connects would create.
#[derive(Clone, Debug, Serialize)]
pub struct Declared<'a> {
    /// Its name.
    pub subscriber_id: &'a str,
    /// What it reads: a category, a stream, or `$all`.
    pub source: &'a str,
    /// Message type, or `$any`, to the name of a function.
    pub handlers: &'a Value,
    /// Whatever else it is given, by the names of `create_subscription`.
    pub options: &'a Value,
}

/// Something that subscriptions need and have not.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Lack {
    /// Whose.
    pub subscriber_ids: Vec<String>,
    /// What is so.
    pub finding: String,
    /// The statement that repairs it, or what to do.
    pub repair: String,
}

/// The subscriptions of the database that this role may see. A copy needs what its original needs.
const STORED: &str =
    "SELECT DISTINCT s.subscriber_id, s.owner, r.rolname AS role, s.search_path AS path,
       s.handlers, s.options, false AS is_in_a_file
     FROM message_store.subscription_status s LEFT JOIN pg_roles r ON r.oid = s.owner
     WHERE s.copy_of IS NULL";

/// Those of a file, `$1`, as they would be created.
const OF_A_FILE: &str = "SELECT d.subscriber_id, r.oid AS owner, r.rolname AS role,
       coalesce(d.options ->> 'search_path', p.reset_val) AS path, d.handlers, d.options,
       true AS is_in_a_file
     FROM jsonb_to_recordset($1) d (subscriber_id text, handlers jsonb, options jsonb)
     JOIN pg_roles r ON r.rolname = current_user
     JOIN pg_settings p ON p.name = 'search_path'";

/// What each of `declared` lacks; the same lack of several is told once.
fn lacks_sql(declared: &str) -> String {
    let found = found_sql(declared);
    let lacks = [GONE, RIGHTS, COPIES, NAMES].join(" UNION ALL ");
    format!(
        "WITH {found}, lacks (subscriber_id, rank, finding, repair) AS ({lacks})
         SELECT coalesce(jsonb_agg(jsonb_build_object('subscriber_ids', l.subscriber_ids,
           'finding', l.finding, 'repair', l.repair) ORDER BY l.rank, l.repair, l.finding), '[]')
         FROM (
           SELECT jsonb_agg(DISTINCT l.subscriber_id) AS subscriber_ids, l.rank, l.finding, l.repair
           FROM lacks l GROUP BY l.rank, l.finding, l.repair) l"
    )
}

impl Database {
    /// What the subscriptions of the database lack, of those that this role may see.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Database`]; so for all that follow.
    pub async fn lacks(&self) -> Result<Vec<Lack>> {
        const ACTION: &str = "look at what the subscriptions need";
        self.look_for_lacks(ACTION, STORED, &[]).await
    }

    /// What subscriptions would lack that this role created.
    pub async fn lacks_of(&self, declared: &[Declared<'_>]) -> Result<Vec<Lack>> {
        const ACTION: &str = "look at what the subscriptions of the file need";
        self.look_for_lacks(ACTION, OF_A_FILE, &[&Json(declared)])
            .await
    }

    async fn look_for_lacks(
        &self,
        action: &str,
        declared: &str,
        parameters: super::Parameters<'_>,
    ) -> Result<Vec<Lack>> {
        let mut client = self.client().await?;
        let looked = async {
            let transaction = client.transaction().await?;
            // To compile so long a statement takes seconds, to run it milliseconds.
            let plain = "SELECT set_config('jit', 'off', true)";
            transaction.query_one(plain, &[]).await?;
            let row = transaction
                .query_one(&lacks_sql(declared), parameters)
                .await?;
            let Json(lacks) = row.try_get(0)?;
            transaction.commit().await?;
            Ok(lacks)
        };
        looked.await.map_err(Error::database(action))
    }

    /// Creates a subscription and takes that back; why the store refuses it, where it does. Waits for
    /// the running tick of one that exists otherwise.
    pub async fn try_subscription(&self, declared: &Declared<'_>) -> Result<Option<Lack>> {
        let mut client = self.client().await?;
        let tried = async {
            let transaction = client.transaction().await?;
            on_own_path(&transaction).await?;
            let sql = "SELECT message_store.create_subscription($1, $2, $3, $4)";
            let (handlers, options) = (Json(declared.handlers), Json(declared.options));
            let given: super::Parameters<'_> = &[
                &declared.subscriber_id,
                &declared.source,
                &handlers,
                &options,
            ];
            transaction.query_one(sql, given).await
        };
        let Err(error) = tried.await else {
            return Ok(None);
        };
        let refusal = error.as_db_error().map(|refusal| Lack {
            subscriber_ids: vec![declared.subscriber_id.to_owned()],
            finding: refusal.message().to_owned(),
            repair: refusal.hint().unwrap_or_default().to_owned(),
        });
        let error =
            Error::database(format!("try the subscription {}", declared.subscriber_id))(error);
        match refusal {
            Some(refusal) if !error.is_connection_loss() => Ok(Some(refusal)),
            _ => Err(error),
        }
    }
}
