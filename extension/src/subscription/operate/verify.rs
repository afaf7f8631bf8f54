//! `verify` and `dry_run`: what the read model would be, looked at and forgotten.

use crate::error::Error;
use crate::handler_call;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::jsonb::{Jsonb, Value};
use crate::pg::rows::Rows;
use crate::pg::spi::Row;
use crate::pg::text::Text;
use crate::pg::{deferred, transaction};
use crate::subscription::definition::handlers;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::deliver::delivery::Delivery;
use crate::subscription::deliver::delivery::outcome::{Delivered, DeliveryEnd};
use crate::subscription::member::Member;
use crate::subscription::operate::lifecycle::run_init;
use crate::subscription::operate::look::looked_at;
use crate::subscription::read_model::{self, Columns};
use crate::subscription::source::{self, Source};
use crate::tables::{parked, subscription_progress};
use pgrx::pg_sys;

sql_functions! {
    verify_of_0_3(subscriber_id: Varchar, all_columns: Boolean) => verify,
    dry_run_of_0_3(subscriber_id: Varchar, handlers: Jsonb, n: Bigint, parked: Boolean, global_positions: Bigints, past_failures: Boolean) => dry_run,
}

/// What both return: the table, the difference, the row as it is made anew, the row as it is.
const DIFFERENCE: [pg_sys::Oid; 4] = [
    pg_sys::TEXTOID,
    pg_sys::TEXTOID,
    pg_sys::JSONBOID,
    pg_sys::JSONBOID,
];
/// Messages a replay handles between two looks for a cancel.
const STEP: i64 = 10_000;

/// A schema name that nobody else has, for copies that are never seen.
fn scratch_schema() -> String {
    format!("message_store_scratch_{}", transaction::session())
}

/// The handlers' own error, where a look at them fails.
fn require_done(definition: &Definition, delivered: &Delivered) -> Result<(), Error> {
    let fault = match &delivered.end {
        DeliveryEnd::Done => delivered.parked_for.as_ref(),
        DeliveryEnd::Retrying(fault, _) | DeliveryEnd::Stopped(fault) => Some(fault),
    };
    match fault {
        None => Ok(()),
        Some(fault) => Err(Error::HandlerFailed(
            definition.subscriber_id.clone(),
            fault.position,
            fault.error.clone(),
        )),
    }
}

fn verify(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let columns = match call.boolean("all_columns") {
        Some(true) => Columns::All,
        _ => Columns::Given,
    };
    transaction::require_writable(c"verify()");
    let mut rows = Rows::begin(call, &DIFFERENCE);
    let mut definition = Definition::load_own(&id)?;
    read_model::require(&definition)?;
    handler_call::require_outside(&id)?;
    source::require_replayable(&definition)?;
    deferred::fire();
    looked_at(|| {
        let schema = scratch_schema();
        let with_rows = false;
        read_model::copy(&definition, &schema, with_rows)?;
        run_init(&definition, Some(&schema))?;
        definition.copy_of = Some(id.clone());
        definition.copy_schema = Some(schema.clone());
        let mut replay = {
            let start = definition.replay_start();
            replay_from(&mut definition, start)
        };
        // Most of it while the live one runs on, the rest while it stands still.
        let so_far = subscription_progress::least_position(&id)?;
        replay_to(&definition, &mut replay, so_far)?;
        let live = Member::lock_all(&id)?;
        let members: Vec<(i64, i64)> = live
            .iter()
            .map(|member| (member.position, member.group_size))
            .collect();
        let until = members.iter().map(|(position, _)| *position).max();
        let all_alike = members.iter().all(|(position, _)| Some(*position) == until);
        if !all_alike {
            return Err(Error::SubscriptionState(
                id.clone(),
                "has members at different positions",
                "Wait until they have caught up, or pause it when they have; then verify.",
            ));
        }
        if until.is_some_and(|until| until < replay.position) {
            return Err(Error::SubscriptionState(
                id.clone(),
                "was set back while it was verified",
                "Verify again when it has caught up.",
            ));
        }
        replay_to(&definition, &mut replay, until.unwrap_or(0))?;
        source::require_replayable(&definition)?;
        read_model::compare(&definition, &schema, columns, &mut |row| {
            push(&mut rows, row, false)
        })
    })?;
    Ok(rows.finish())
}

/// A member that was never stored, to replay with.
fn replay_from(definition: &mut Definition, position: i64) -> Member {
    definition.options.policy.try_once(false);
    Member::unstored(position)
}

fn replay_to(definition: &Definition, member: &mut Member, until: i64) -> Result<(), Error> {
    let mut source = Source::open(definition, "verify")?;
    source.end_where_a_member_is(until);
    while source.has_message_after(member.position) {
        pgrx::check_for_interrupts!();
        let delivered = Delivery::begin(definition, member, &source)?.deliver(STEP)?;
        require_done(definition, &delivered)?;
        if delivered.scanned == 0 {
            break;
        }
        member.position = delivered.position;
    }
    Ok(())
}

fn dry_run(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let limit = call.bigint("n").filter(|n| *n >= 1).ok_or_else(|| {
        Error::argument("n", "must be 1 or more", "Say how many messages to try.")
    })?;
    let among = call.value("global_positions", Type::Bigints);
    let of_parked = call.boolean("parked").unwrap_or(false) || among.is_some();
    let goes_on = call.boolean("past_failures").unwrap_or(false);
    transaction::require_writable(c"dry_run()");
    let mut rows = Rows::begin(call, &DIFFERENCE);
    let mut definition = Definition::load_own(&id)?;
    read_model::require(&definition)?;
    handler_call::require_outside(&id)?;
    if let Some(given) = call.jsonb("handlers") {
        definition.require_rights_of_code()?;
        let given = given.to_text().to_str().into_owned();
        definition.handlers = handlers::normalized(&given, definition.owner)?;
    }
    deferred::fire();
    looked_at(|| {
        let members = Member::lock_all(&id)?;
        let position = members.iter().map(|member| member.position).min();
        definition.options.policy.try_once(goes_on);
        let mut member = Member::unstored(position.unwrap_or(0));
        let schema = scratch_schema();
        let with_rows = true;
        read_model::copy(&definition, &schema, with_rows)?;
        let source = Source::open(&definition, "dry_run")?;
        let mut tried = Vec::new();
        let mut most = limit;
        if of_parked {
            tried = parked::retry_first(&id, limit, among)?;
            // No new message lies behind, and others whose turn had come are none of these.
            (member.position, most) = (i64::MAX - 1, i64::MAX);
        }
        let delivered = Delivery::begin(&definition, &member, &source)?.deliver(most)?;
        if goes_on {
            let tried = of_parked.then_some(tried.as_slice());
            tell(&mut rows, &id, &delivered, member.position, tried)?;
        } else {
            require_done(&definition, &delivered)?;
        }
        read_model::compare(&definition, &schema, Columns::All, &mut |row| {
            push(&mut rows, row, true)
        })
    })?;
    Ok(rows.finish())
}

/// What became of messages that were tried, those behind `after` or the `tried` parked ones: a row
/// for each that was not handled, and one that says how many were.
fn tell(
    rows: &mut Rows<4>,
    subscriber_id: &str,
    delivered: &Delivered,
    after: i64,
    tried: Option<&[i64]>,
) -> Result<(), Error> {
    let mut left = 0;
    parked::left_behind(subscriber_id, after, tried.unwrap_or(&[]), &mut |row| {
        left += 1;
        let (word, what) = (
            row.value(0, pg_sys::TEXTOID),
            row.value(1, pg_sys::JSONBOID),
        );
        rows.push(|| [None, word, None, what]);
    })?;
    let mut push = |word: &str, pairs: &[(&str, Value<'_>)]| {
        rows.push(|| {
            let word = Text::copied(word.as_bytes()).datum();
            [None, Some(word), None, Some(Jsonb::object(pairs).datum())]
        });
    };
    if let DeliveryEnd::Retrying(fault, _) | DeliveryEnd::Stopped(fault) = &delivered.end {
        let error = &fault.error;
        push(
            "failed",
            &[
                ("global_position", Value::Bigint(fault.position)),
                ("sqlstate", Value::Text(error.sqlstate.as_bytes())),
                ("error", Value::Text(error.message.as_bytes())),
            ],
        );
    }
    let handled = match tried {
        Some(tried) => i64::try_from(tried.len()).unwrap_or(i64::MAX) - left,
        None => delivered.handled,
    };
    push("handled", &[("messages", Value::Bigint(handled))]);
    Ok(())
}

/// A row of a comparison; `of_change` where the copy is how it was before.
fn push(rows: &mut Rows<4>, row: &Row, of_change: bool) {
    let difference = row.text(1).unwrap_or_default();
    let word = match (of_change, difference.as_str()) {
        (true, "missing") => "removed",
        (true, "unexpected") => "added",
        (true, _) => "changed",
        (false, word) => word,
    };
    rows.push(|| {
        [
            row.value(0, pg_sys::TEXTOID),
            Some(Text::copied(word.as_bytes()).datum()),
            row.value(2, pg_sys::JSONBOID),
            row.value(3, pg_sys::JSONBOID),
        ]
    });
}
