//! What the tables of subscriptions keep of a message: errors that may repeat what it said, and leases
//! under which an application has it.

use crate::error::Error;
use crate::pg::parameter::bigints;
use crate::pg::spi::{Statement, sql};
use crate::tables::owner;
use pgrx::pg_sys::BuiltinOid::INT8ARRAYOID;

/// In the order in which they run: a reason is known by the failing position that is still there, or,
/// where somebody has moved the subscription since, by what the history says of it.
static STATEMENTS: [Statement; 5] = [
    Statement::new(
        c"UPDATE message_store.subscriptions s SET state_reason = 'erased' \
           WHERE s.state_reason IS NOT NULL AND (EXISTS ( \
                 SELECT FROM message_store.subscription_progress p \
                  WHERE p.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
                    AND p.failing_position OPERATOR(pg_catalog.=) ANY ($1)) \
              OR EXISTS ( \
                 SELECT FROM message_store.history h \
                  WHERE h.subscriber_id OPERATOR(pg_catalog.=) s.subscriber_id \
                    AND h.action OPERATOR(pg_catalog.=) 'fail' \
                    AND h.reason OPERATOR(pg_catalog.=) s.state_reason \
                    AND h.position OPERATOR(pg_catalog.=) ANY ($1)))",
        &[INT8ARRAYOID],
    ),
    Statement::new(
        sql!(
            "UPDATE message_store.subscription_progress p \
             SET last_error = 'erased', last_error_details = NULL \
           WHERE p.last_error IS NOT NULL AND EXISTS ( \
                 SELECT FROM message_store.messages m, message_store.subscriptions s \
                  WHERE m.global_position OPERATOR(pg_catalog.=) ANY ($1) \
                    AND s.subscriber_id OPERATOR(pg_catalog.=) p.subscriber_id \
                    AND ",
            reads!(),
            ")"
        ),
        &[INT8ARRAYOID],
    ),
    Statement::new(
        sql!(
            "UPDATE message_store.subscription_progress p \
             SET lease = NULL, leased_until = NULL, leased_position = NULL \
           WHERE p.lease IS NOT NULL AND EXISTS ( \
                 SELECT FROM message_store.messages m, message_store.subscriptions s \
                  WHERE m.global_position OPERATOR(pg_catalog.=) ANY ($1) \
                    AND m.global_position OPERATOR(pg_catalog.>) p.position \
                    AND m.global_position OPERATOR(pg_catalog.<=) p.leased_position \
                    AND s.subscriber_id OPERATOR(pg_catalog.=) p.subscriber_id \
                    AND ",
            reads!(),
            ")"
        ),
        &[INT8ARRAYOID],
    ),
    Statement::new(
        c"UPDATE message_store.parked \
             SET error = CASE WHEN error IS NULL THEN NULL ELSE 'erased' END, \
                 error_details = NULL, lease = NULL \
           WHERE global_position OPERATOR(pg_catalog.=) ANY ($1)",
        &[INT8ARRAYOID],
    ),
    Statement::new(
        c"UPDATE message_store.history SET reason = 'erased' \
           WHERE action OPERATOR(pg_catalog.=) 'fail' AND position OPERATOR(pg_catalog.=) ANY ($1)",
        &[INT8ARRAYOID],
    ),
];

/// Lets go of it, for messages whose data is erased.
pub fn erase(global_positions: &[i64]) -> Result<(), Error> {
    let _owner = owner::of_subscriptions()?;
    let positions = bigints(global_positions);
    for statement in &STATEMENTS {
        statement.run(&[positions], |_| {});
    }
    Ok(())
}
