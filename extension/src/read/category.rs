//! Reading a category.

use super::condition;
use super::page::{self, BatchSize, MessagePage};
use crate::consumer_group::Consumer;
use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::message_db::null::or_null;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::tables::messages::select::{OfCategory, Select};
use crate::tables::messages::{self, column};
use crate::{settings, shard, stream_name};

sql_functions! {
    get_category_messages(category: Varchar, position: Bigint, batch_size: Bigint, correlation: Varchar, consumer_group_member: Bigint, consumer_group_size: Bigint, condition: Varchar) => get_category_messages,
    get_settled_messages(category: Varchar, position: Bigint, batch_size: Bigint, correlation: Varchar, consumer_group_member: Bigint, consumer_group_size: Bigint, at_least: Bigint, map: Bigint) => get_settled_messages,
}

/// What is asked for, but for how many messages.
struct Asked<'a> {
    category: Option<Text<'a>>,
    position: i64,
    correlation: Option<Text<'a>>,
    member: Option<i64>,
    group_size: Option<i64>,
    group: Option<Consumer>,
}

impl<'a> Asked<'a> {
    fn of(call: &Call<'a>) -> Result<Self, Error> {
        let (category, correlation) = (call.text("category"), call.text("correlation"));
        let (member, group_size) = (
            call.bigint("consumer_group_member"),
            call.bigint("consumer_group_size"),
        );
        if let Some(name) = category
            && !stream_name::is_category(name.bytes())
        {
            return Err(Error::MessageDb(format!("Must be a category: {name}")));
        }
        if let Some(correlation) = correlation
            && !stream_name::is_category(correlation.bytes())
        {
            return Err(Error::MessageDb(format!(
                "Correlation must be a category (Correlation: {correlation})"
            )));
        }
        Ok(Self {
            category,
            position: call.bigint("position").unwrap_or(1),
            correlation,
            member,
            group_size,
            group: Consumer::from_arguments(member, group_size)?,
        })
    }

    /// Puts the messages up to the horizon into a page.
    fn fill(&self, page: &mut MessagePage, horizon: i64) -> Result<(), Error> {
        let table = messages::open_to_read()?;
        let shard = shard::this()?;
        let index = messages::open_index(match self.category {
            Some(_) => c"messages_category",
            None => c"messages_pkey",
        })?;
        let snapshot = horizon::snapshot();
        let (first, last) = (
            Condition::AtLeast(self.position),
            Condition::AtMost(horizon),
        );
        let keys = match self.category {
            None => vec![(0, first), (0, last)],
            Some(category) => {
                let mut keys = vec![(0, Condition::Equals(category)), (1, first), (1, last)];
                keys.extend(self.correlation.map(|name| (2, Condition::Equals(name))));
                keys
            }
        };
        let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
        page.fill(scan, |row| {
            if shard.is_none() && self.group.is_none() {
                return Ok(true);
            }
            let stream_name = row.text(column::STREAM_NAME);
            let stream_name = stream_name.bytes();
            Ok(shard::lives_here(shard, stream_name)?
                && self
                    .group
                    .map_or(Ok(true), |group| group.reads(stream_name))?)
        })
    }
}

fn get_category_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let asked = Asked::of(call)?;
    let (batch_size, condition) = (call.bigint("batch_size"), call.text("condition"));
    condition::require_allowed(condition)?;
    if settings::debug_get() {
        pgrx::notice!("» get_category_messages");
        pgrx::notice!("category ($1): {}", or_null(asked.category));
        pgrx::notice!("position ($2): {}", asked.position);
        pgrx::notice!("batch_size ($3): {}", BatchSize::meant(batch_size));
        pgrx::notice!("correlation ($4): {}", or_null(asked.correlation));
        pgrx::notice!("consumer_group_member ($5): {}", or_null(asked.member));
        pgrx::notice!("consumer_group_size ($6): {}", or_null(asked.group_size));
        pgrx::notice!("condition: {}", or_null(condition));
    }
    let smallint_group = asked.group.map(|group| group.smallint_size()).transpose()?;
    let Some(category) = asked.category else {
        BatchSize::from_argument(batch_size)?;
        return Ok(page::empty(call));
    };
    let horizon =
        horizon::settled(Scope::Category(category.bytes()), "get_category_messages")?.position;
    if let Some(condition) = condition {
        // What this store is may change until the table is locked.
        messages::open_to_read()?;
        let asked = OfCategory {
            category,
            position: asked.position,
            horizon,
            correlation: asked.correlation,
            consumer: asked.member.zip(smallint_group),
            shard: shard::this()?,
        };
        return condition::messages(call, condition, |condition| {
            Select::of_category(&asked, BatchSize::limit(batch_size), condition)
        });
    }
    let mut page = MessagePage::begin(call, BatchSize::from_argument(batch_size)?);
    asked.fill(&mut page, horizon)?;
    Ok(page.finish())
}

/// One shard's part of a read over all. The order of its steps is a proof (`docs/decisions/0023-shards.md`):
/// what others have drawn is left out here, the horizon is proven and durable, rows are read with a newer
/// snapshot, and only then is it asked whether the caller's map still is the one of now.
fn get_settled_messages(call: &Call<'_>) -> Result<Reply, Error> {
    transaction::require_writable(c"get_settled_messages()");
    let asked = Asked::of(call)?;
    if asked.category.is_none() && asked.correlation.is_some() {
        return Err(Error::argument(
            "correlation",
            "needs a category",
            "Pass the category that is to be read, or no correlation.",
        ));
    }
    asked.group.map(|group| group.smallint_size()).transpose()?;
    let batch_size = BatchSize::from_argument(call.bigint("batch_size"))?;
    let scope = match &asked.category {
        Some(category) => Scope::Category(category.bytes()),
        None => Scope::All,
    };
    let at_least = call.bigint("at_least").unwrap_or(0);
    let horizon = horizon::settled_beyond(scope, "get_settled_messages", at_least)?.position;
    let mut page = MessagePage::begin(call, batch_size);
    asked.fill(&mut page, horizon)?;
    page.end_with_horizon(horizon);
    shard::require_map(call.bigint("map"))?;
    Ok(page.finish())
}
