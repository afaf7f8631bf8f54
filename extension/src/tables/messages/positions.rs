//! The sequence of global positions, when a store becomes a shard.

use crate::error::Error;
use crate::pg::spi::{self, Statement};
use crate::tables::owner;
use crate::tables::shard::STRIDE;
use std::ffi::CString;

static KEEP_WRITERS_OUT: Statement = Statement::new(
    c"LOCK TABLE message_store.messages IN SHARE ROW EXCLUSIVE MODE",
    &[],
);

/// Waits until everybody who has written has ended, prepared transactions too; whoever writes next waits for
/// the end of this transaction. Readers go on.
pub fn keep_writers_out() -> Result<(), Error> {
    let _owner = owner::of("messages")?;
    KEEP_WRITERS_OUT.run(&[], |_| {});
    Ok(())
}

/// Draws from `first` on, in steps of a shard, the positions that leave `residue`; after TRUNCATE with
/// RESTART IDENTITY, too.
pub fn restart_positions(first: i64, residue: i64) -> Result<(), Error> {
    let _owner = owner::of("messages")?;
    let start = if residue == 0 { STRIDE } else { residue };
    let sql = format!(
        "ALTER SEQUENCE message_store.messages_global_position_seq \
           INCREMENT BY {STRIDE} START WITH {start} RESTART WITH {first}"
    );
    // Numbers hold no NUL.
    spi::run_text(&CString::new(sql).unwrap_or_default(), &[], |_| {});
    Ok(())
}
