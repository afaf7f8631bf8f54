//! `start`, `pause`, `stop`: whether orchestrators tick a subscription.

use crate::error::Error;
use crate::handler_call::HandlerScope;
use crate::pg::call::{Call, Reply, sql_functions};
use crate::pg::rows::Rows;
use crate::pg::transaction;
use crate::subscription::definition::handlers;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::tables::joined::progress;
use crate::tables::subscription_progress;
use crate::tables::subscriptions::{self, State};
use pgrx::pg_sys::BuiltinOid::{self, INT8OID, VARCHAROID};

sql_functions! {
    start_of_0_3(subscriber_id: Varchar, at_boot: Boolean) => start,
    pause_subscription(subscriber_id: Varchar, reason: Varchar) => pause,
    stop(subscriber_id: Varchar, reason: Varchar) => stop,
    started_subscriptions() => started_subscriptions,
}

fn start(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let at_boot = call.boolean("at_boot").unwrap_or(false);
    transaction::require_writable(c"start()");
    let definition = Definition::load_own(&id)?;
    let was = definition.state;
    if at_boot && matches!(was, State::Paused | State::Stopped) {
        return Ok(Reply::text(Some(was.word().as_bytes())));
    }
    run_init(&definition, None)?;
    if was != State::Started {
        subscriptions::set_state(&id, State::Started, None)?;
        history::note(&definition, "start", None, None)?;
    }
    if !at_boot {
        Member::lock_all(&id)?;
        subscription_progress::forget_failures(&id)?;
    }
    Ok(Reply::text(Some(State::Started.word().as_bytes())))
}

/// Calls the function that makes the empty read model, as the owner. `copies`: the schema of the
/// copies to make it in.
pub fn run_init(definition: &Definition, copies: Option<&str>) -> Result<(), Error> {
    let Some(init) = &definition.options.init else {
        return Ok(());
    };
    definition.require_owner()?;
    let routine = handlers::find_init(init, definition.owner)?;
    handlers::require_executable(routine, definition.owner)?;
    let mut told = definition.handler_call();
    told.read_model = copies.map(str::to_owned);
    let _scope = HandlerScope::enter(&definition.subscriber_id, told);
    definition.as_owner(copies, || {
        let no_arguments = 0;
        routine.prepare(no_arguments).call(&[]);
        Ok(())
    })
}

fn pause(call: &Call<'_>) -> Result<Reply, Error> {
    rest(call, State::Paused, "pause")
}

fn stop(call: &Call<'_>) -> Result<Reply, Error> {
    rest(call, State::Stopped, "stop")
}

fn rest(call: &Call<'_>, state: State, action: &'static str) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let reason = call.text("reason").map(|reason| reason.to_string());
    transaction::require_writable(c"pause() or stop()");
    let definition = Definition::load_own(&id)?;
    // The running tick ends first: after this nobody calls a handler.
    Member::lock_all(&id)?;
    subscriptions::set_state(&id, state, reason.as_deref())?;
    history::note(&definition, action, None, reason.as_deref())?;
    Ok(Reply::void())
}

/// A handler failed for good at this position.
pub fn stop_for_failure(definition: &Definition, position: i64, reason: &str) -> Result<(), Error> {
    subscriptions::set_state(&definition.subscriber_id, State::Stopped, Some(reason))?;
    history::note(definition, "fail", Some(position), Some(reason))
}

fn started_subscriptions(call: &Call<'_>) -> Result<Reply, Error> {
    let types = [VARCHAROID, VARCHAROID, INT8OID, INT8OID].map(BuiltinOid::value);
    let mut rows = Rows::begin(call, &types);
    progress::each_started(|row| {
        rows.push(|| std::array::from_fn(|number| row.value(number, types[number])));
    })?;
    Ok(rows.finish())
}
