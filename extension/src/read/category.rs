//! Reading a category.

use super::condition;
use super::page::{self, BatchSize};
use crate::consumer_group::Consumer;
use crate::error::Error;
use crate::horizon::{self, Scope};
use crate::message_db::null::or_null;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::scan::{Condition, IndexScan, Order};
use crate::tables::messages::select::{OfCategory, Select};
use crate::tables::messages::{self, column};
use crate::{settings, stream_name};

sql_functions! {
    get_category_messages(category: Varchar, position: Bigint, batch_size: Bigint, correlation: Varchar, consumer_group_member: Bigint, consumer_group_size: Bigint, condition: Varchar) => get_category_messages,
}

fn get_category_messages(call: &Call<'_>) -> Result<Reply, Error> {
    let (category, position, batch_size, correlation) = (
        call.text("category"),
        call.bigint("position").unwrap_or(1),
        call.bigint("batch_size"),
        call.text("correlation"),
    );
    let (member, group_size, condition) = (
        call.bigint("consumer_group_member"),
        call.bigint("consumer_group_size"),
        call.text("condition"),
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
    let group = Consumer::from_arguments(member, group_size)?;
    condition::require_allowed(condition)?;
    if settings::debug_get() {
        pgrx::notice!("» get_category_messages");
        pgrx::notice!("category ($1): {}", or_null(category));
        pgrx::notice!("position ($2): {position}");
        pgrx::notice!("batch_size ($3): {}", BatchSize::meant(batch_size));
        pgrx::notice!("correlation ($4): {}", or_null(correlation));
        pgrx::notice!("consumer_group_member ($5): {}", or_null(member));
        pgrx::notice!("consumer_group_size ($6): {}", or_null(group_size));
        pgrx::notice!("condition: {}", or_null(condition));
    }
    let smallint_group = group.map(|group| group.smallint_size()).transpose()?;
    let Some(category) = category else {
        BatchSize::from_argument(batch_size)?;
        return Ok(page::empty(call));
    };
    let horizon =
        horizon::settled(Scope::Category(category.bytes()), "get_category_messages")?.position;
    if let Some(condition) = condition {
        let asked = OfCategory {
            category,
            position,
            horizon,
            correlation,
            consumer: smallint_group
                .zip(member)
                .map(|(size, member)| (member, size)),
        };
        return condition::messages(call, condition, |condition| {
            Select::of_category(&asked, BatchSize::limit(batch_size), condition)
        });
    }
    let batch_size = BatchSize::from_argument(batch_size)?;
    let table = messages::open_to_read()?;
    let index = messages::open_index(c"messages_category")?;
    let snapshot = horizon::snapshot();
    let mut keys = vec![
        (0, Condition::Equals(category)),
        (1, Condition::AtLeast(position)),
        (1, Condition::AtMost(horizon)),
    ];
    keys.extend(correlation.map(|name| (2, Condition::Equals(name))));
    let scan = IndexScan::begin(&table, &index, &snapshot, &keys, Order::Ascending);
    page::of_scan(call, scan, batch_size, |row| match group {
        Some(group) => group.reads(row.text(column::STREAM_NAME).bytes()),
        None => Ok(true),
    })
}
