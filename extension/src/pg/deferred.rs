//! Work that triggers and constraints defer: fired, all of it, before the role changes.
//!
//! What is left over when a role is left would run later with the rights of another. A trigger that
//! fires may queue more and, if it could SET CONSTRAINTS, defer that again; so that command is
//! refused meanwhile, and afterwards the queue itself is looked at.

use super::catalog::{self, Generation};
use super::memory;
use super::report::Report;
use super::spi::Statement;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

/// Times that what is deferred is fired; more than one is needed only where something defers past
/// SET CONSTRAINTS.
const MOST_ROUNDS: usize = 8;

thread_local! {
    static FIRING: Cell<bool> = const { Cell::new(false) };
    static DEFERRABLE: RefCell<Option<(Generation, Vec<pg_sys::Oid>)>> = const { RefCell::new(None) };
}

/// Relations whose queued triggers are not ours to fire: those of statements that are still running
/// around us, and of triggers that are firing, which fire in their turn with the rights they have.
pub struct Queued(Vec<pg_sys::Oid>);

/// Fires whatever is deferred, with the rights we act with. What may be deferred no longer is, until
/// [`defer`].
pub fn fire() -> Queued {
    set_all_immediate();
    Queued(queued())
}

impl Queued {
    /// Fires whatever was deferred since, until nothing of it is left; 55000 where it does not end.
    pub fn fire_others(&self) {
        for _ in 0..MOST_ROUNDS {
            set_all_immediate();
            if self.first_other().is_none() {
                return;
            }
        }
        if let Some(relation) = self.first_other() {
            refuse(relation);
        }
    }

    fn first_other(&self) -> Option<pg_sys::Oid> {
        let mut queued = queued().into_iter();
        queued.find(|relation| !self.0.contains(relation))
    }
}

/// SET CONSTRAINTS ALL DEFERRED: what may be deferred is.
pub fn defer() {
    set_all(true);
}

/// Whether deferred triggers are being fired, so that none may be deferred again.
pub(super) fn is_firing() -> bool {
    FIRING.get()
}

fn set_all_immediate() {
    let firing = Firing(FIRING.replace(true));
    set_all(false);
    drop(firing);
}

/// Puts back what was before, also while an error unwinds.
struct Firing(bool);

impl Drop for Firing {
    fn drop(&mut self) {
        FIRING.set(self.0);
    }
}

fn set_all(deferred: bool) {
    let mut statement = pg_sys::ConstraintsSetStmt {
        type_: pg_sys::NodeTag::T_ConstraintsSetStmt,
        constraints: std::ptr::null_mut(),
        deferred,
    };
    // SAFETY: an empty list of names stands for ALL; the triggers that fire now need the snapshot
    // that any running statement has.
    unsafe { pg_sys::AfterTriggerSetState(&mut statement) }
}

/// Relations with triggers that are queued and have not fired.
fn queued() -> Vec<pg_sys::Oid> {
    // Made when the first trigger of a transaction is queued.
    if !memory::has_child(transaction_memory(), c"AfterTriggerEvents") {
        return Vec::new();
    }
    let generation = catalog::generation();
    let is_known =
        DEFERRABLE.with_borrow(|known| known.as_ref().is_some_and(|(at, _)| *at == generation));
    if !is_known {
        DEFERRABLE.set(Some((generation, relations_with_deferrable_triggers())));
    }
    // SAFETY: any relation may be asked about.
    let is_queued = |relation: &pg_sys::Oid| unsafe { pg_sys::AfterTriggerPendingOnRel(*relation) };
    DEFERRABLE.with_borrow(|known| {
        let relations = known.iter().flat_map(|(_, relations)| relations);
        relations.copied().filter(is_queued).collect()
    })
}

fn transaction_memory() -> pg_sys::MemoryContext {
    // SAFETY: a plain global, set inside a transaction.
    unsafe { pg_sys::TopTransactionContext }
}

static RELATIONS: Statement = Statement::new(
    c"SELECT DISTINCT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.tgdeferrable",
    &[],
);

fn relations_with_deferrable_triggers() -> Vec<pg_sys::Oid> {
    let mut relations = Vec::new();
    RELATIONS.run(&[], |row| relations.extend(row.oid(0)));
    relations
}

fn refuse(relation: pg_sys::Oid) -> ! {
    // SAFETY: a palloc'd name, or null where the relation is gone.
    let name = unsafe {
        let name = pg_sys::get_rel_name(relation);
        if name.is_null() {
            relation.to_u32().to_string()
        } else {
            std::ffi::CStr::from_ptr(name)
                .to_string_lossy()
                .into_owned()
        }
    };
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("deferred triggers of {name} are still queued after {MOST_ROUNDS} rounds"),
    )
    .hint("A trigger must not defer again what it queues while it fires.")
    .raise()
}
