//! `retry_parked`, `discard_parked`: what people do about messages that are parked.

use crate::account::require_reason;
use crate::error::Error;
use crate::pg::call::{Call, Reply, Type, sql_functions};
use crate::pg::text::Text;
use crate::pg::transaction;
use crate::subscription::definition::{Definition, subscriber_id};
use crate::subscription::history;
use crate::subscription::member::Member;
use crate::subscription::operate::copy;
use crate::tables::parked::{self, Selection};

sql_functions! {
    retry_parked_of_0_3(subscriber_id: Varchar, global_position: Bigint, stream_name: Varchar, sqlstate: Varchar, global_positions: Bigints) => retry_parked,
    discard_parked_of_0_3(subscriber_id: Varchar, reason: Varchar, global_position: Bigint, stream_name: Varchar, sqlstate: Varchar, global_positions: Bigints) => discard_parked,
}

fn selection<'a>(call: &Call<'a>) -> Selection<'a> {
    Selection {
        position: call.bigint("global_position"),
        positions: call.value("global_positions", Type::Bigints),
        stream_name: call.text("stream_name").map(|stream| stream.bytes()),
        sqlstate: call.text("sqlstate").map(|sqlstate| sqlstate.bytes()),
    }
}

fn retry_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    transaction::require_writable(c"retry_parked()");
    let definition = Definition::load_own(&id)?;
    // The tick that is running may be parking messages.
    Member::lock_all(&id)?;
    let marked = parked::retry(&id, &selection(call))?;
    parked::release(&id)?;
    if marked > 0 {
        let given = Given::read(call);
        history::note(
            &definition,
            "retry",
            given.position(),
            Some(&given.summary(marked)),
        )?;
    }
    Ok(Reply::bigint(i64::try_from(marked).ok()))
}

/// Global positions of which the history names each.
const NAMED: usize = 20;

/// What was asked for, as the history tells of it.
struct Given<'a> {
    position: Option<i64>,
    positions: Option<&'a [i64]>,
    stream_name: Option<Text<'a>>,
    sqlstate: Option<Text<'a>>,
}

impl<'a> Given<'a> {
    fn read(call: &Call<'a>) -> Self {
        Self {
            position: call.bigint("global_position"),
            positions: call.bigints("global_positions"),
            stream_name: call.text("stream_name"),
            sqlstate: call.text("sqlstate"),
        }
    }

    /// The only message, where one was named.
    fn position(&self) -> Option<i64> {
        match self.positions {
            Some([position]) => Some(*position),
            _ => self.position,
        }
    }

    /// How many messages, and which.
    fn summary(&self, count: u64) -> String {
        let mut summary = match count {
            1 => "1 message".to_owned(),
            count => format!("{count} messages"),
        };
        let which = [
            ("of the stream", self.stream_name),
            ("with the SQLSTATE", self.sqlstate),
        ];
        for (what, value) in which {
            if let Some(value) = value {
                summary.push_str(&format!(" {what} {}", value.to_str()));
            }
        }
        if let Some(positions) = self.positions.filter(|positions| positions.len() > 1) {
            let named: Vec<String> = positions.iter().take(NAMED).map(i64::to_string).collect();
            summary.push_str(&format!(" of those at {}", named.join(", ")));
            if positions.len() > NAMED {
                summary.push_str(", …");
            }
        }
        summary
    }
}

fn discard_parked(call: &Call<'_>) -> Result<Reply, Error> {
    let id = subscriber_id(call)?;
    let reason = require_reason(call.text("reason"))?;
    transaction::require_writable(c"discard_parked()");
    let definition = Definition::load_own(&id)?;
    Member::lock_all(&id)?;
    let selection = selection(call);
    require_unhandled_by_copy(&definition, &selection)?;
    let discarded = parked::discard(&id, &selection, &reason)?;
    parked::release(&id)?;
    if discarded > 0 {
        let position = Given::read(call).position();
        history::note(&definition, "discard", position, Some(&reason))?;
    }
    Ok(Reply::bigint(i64::try_from(discarded).ok()))
}

/// 55000 where a copy has handled what is to be discarded: a promotion would bring it after all. The
/// copy's ticks end first, and the next ones leave out what is discarded.
fn require_unhandled_by_copy(
    definition: &Definition,
    selection: &Selection<'_>,
) -> Result<(), Error> {
    let Some(copy) = copy::find(definition)? else {
        return Ok(());
    };
    let members = Member::lock_all(&copy.subscriber_id)?;
    let position = members.iter().map(|member| member.position).max();
    let (id, copy) = (&definition.subscriber_id, &copy.subscriber_id);
    if parked::is_handled_by(id, selection, copy, position.unwrap_or(0))? {
        return Err(Error::SubscriptionState(
            id.clone(),
            "is being rebuilt side by side, and the copy has handled a message that was to be discarded",
            "promote(...) keeps it; after cancel_rebuild(...) it can be discarded.",
        ));
    }
    Ok(())
}
