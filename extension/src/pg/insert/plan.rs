//! What an INSERT into one table needs to know of it, found out once and kept for as long as the
//! catalogs do not change: its indexes and their expressions, defaults, room for rows.
//!
//! The executor finds all that out again at every statement, which costs more than the insertion of
//! a row into four indexes. What is kept holds no lock, no pin and no reference between statements.

use crate::pg::bindings;
use crate::pg::catalog::{self, Generation};
use crate::pg::relation::Table;
use pgrx::pg_sys;
use std::cell::RefCell;

/// A plan with more slots than this is not kept: they are memory of the session.
const SLOTS_KEPT: usize = 16;

thread_local! {
    /// The plan of the last INSERT, where it may serve the next.
    static KEPT: RefCell<Option<Plan>> = const { RefCell::new(None) };
    /// Memory of plans that an error interrupted.
    static ABANDONED: RefCell<Vec<pg_sys::MemoryContext>> = const { RefCell::new(Vec::new()) };
}

/// The executor's state for rows of one table, in memory of its own.
pub(super) struct Plan {
    generation: Generation,
    table: pg_sys::Oid,
    /// Who may execute the functions of its expressions.
    role: pg_sys::Oid,
    given: usize,
    indexes: Vec<pg_sys::Oid>,
    /// Whether nothing in it belongs to one statement only: no triggers, and indexes that keep no
    /// state of their own.
    is_lasting: bool,
    pub estate: *mut pg_sys::EState,
    pub target: *mut pg_sys::ResultRelInfo,
    /// Columns that rows do not give, and the expressions of their defaults.
    pub defaults: Vec<(usize, *mut pg_sys::ExprState)>,
    /// Whether something that runs for one row could look for those before it.
    pub one_by_one: bool,
    descriptor: pg_sys::TupleDesc,
    slots: Vec<*mut pg_sys::TupleTableSlot>,
}

impl Plan {
    /// The plan for rows that give the first `given` columns of `table`, its indexes open.
    pub fn opened(table: &Table, given: usize) -> Self {
        free_abandoned();
        if let Some(plan) = KEPT.take() {
            // SAFETY: a plain global.
            let role = unsafe { pg_sys::GetUserId() };
            let serves = plan.table == table.oid()
                && plan.role == role
                && plan.given == given
                && plan.generation == catalog::generation();
            if serves {
                plan.open(table);
                // Opening is when changes are heard of.
                if plan.generation == catalog::generation() {
                    return plan;
                }
                plan.close();
            }
            plan.free();
        }
        Self::made(table, given)
    }

    fn made(table: &Table, given: usize) -> Self {
        let generation = catalog::generation();
        // SAFETY: the executor state and all it points to live in its own memory context, which
        // `free` deletes, or the next call where an error unwinds; the table is open.
        unsafe {
            let previous = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let estate = pg_sys::CreateExecutorState();
            pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
            let size = std::mem::size_of::<pg_sys::ResultRelInfo>();
            let target = pg_sys::palloc0(size).cast::<pg_sys::ResultRelInfo>();
            let mut plan = Self {
                generation,
                table: table.oid(),
                role: pg_sys::GetUserId(),
                given,
                indexes: Vec::new(),
                is_lasting: (*table.relation).trigdesc.is_null(),
                estate,
                target,
                defaults: Vec::new(),
                one_by_one: false,
                descriptor: std::ptr::null_mut(),
                slots: Vec::new(),
            };
            (*target).type_ = pg_sys::NodeTag::T_ResultRelInfo;
            let no_range_table_entry = 0;
            let no_instrumentation = 0;
            pg_sys::InitResultRelInfo(
                target,
                table.relation,
                no_range_table_entry,
                std::ptr::null_mut(),
                no_instrumentation,
            );
            // Listed, so that AFTER triggers find the table open rather than open it again.
            (*estate).es_opened_result_relations =
                pg_sys::lappend((*estate).es_opened_result_relations, target.cast());
            let speculative = false;
            pg_sys::ExecOpenIndices(target, speculative);
            for number in 0..(*target).ri_NumIndices as usize {
                let index = *(*target).ri_IndexRelationDescs.add(number);
                plan.indexes.push((*index).rd_id);
                plan.is_lasting &= (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID;
            }
            // A copy, which nobody counts references of: slots for it outlive the statement.
            plan.descriptor = pg_sys::CreateTupleDescCopyConstr((*table.relation).rd_att);
            plan.prepare_defaults(table);
            pg_sys::MemoryContextSwitchTo(previous);
            plan
        }
    }

    /// # Safety
    /// The executor's memory context must be the current one.
    unsafe fn prepare_defaults(&mut self, table: &Table) {
        for number in self.given..table.column_count() {
            let attribute = table.attribute(number);
            // SAFETY: `number` is a column of the table; expressions live as long as the state.
            unsafe {
                if (*attribute).attisdropped || (*attribute).attgenerated != 0 {
                    continue;
                }
                let expression = pg_sys::build_column_default(table.relation, number as i32 + 1);
                if !expression.is_null() {
                    self.one_by_one |= pg_sys::contain_volatile_functions_not_nextval(expression);
                    let state = pg_sys::ExecPrepareExpr(expression.cast(), self.estate);
                    self.defaults.push((number, state));
                }
            }
        }
    }

    /// Points a kept plan at the table and its indexes as they are open now.
    fn open(&self, table: &Table) {
        // SAFETY: the arrays have room for the indexes they were made for; index_open raises where
        // one is gone.
        unsafe {
            (*self.target).ri_RelationDesc = table.relation;
            for (number, oid) in self.indexes.iter().enumerate() {
                let index = pg_sys::index_open(*oid, pg_sys::RowExclusiveLock as i32);
                *(*self.target).ri_IndexRelationDescs.add(number) = index;
            }
        }
    }

    /// Closes the indexes. Their locks stay, as the table's does: nobody can have one of an index
    /// while a transaction writes to its table.
    fn close(&self) {
        for number in 0..self.indexes.len() {
            // SAFETY: opened in `open` or `made`, closed once.
            unsafe {
                let index = *(*self.target).ri_IndexRelationDescs.add(number);
                pg_sys::index_close(index, pg_sys::NoLock as i32);
            }
        }
    }

    /// Room for a row: slot `number` of those that are filled at the same time.
    pub fn slot(&mut self, number: usize) -> *mut pg_sys::TupleTableSlot {
        while self.slots.len() <= number {
            // SAFETY: the table is open, and the slot is made where the descriptor's copy lives.
            unsafe {
                let previous = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
                let kind = pg_sys::table_slot_callbacks((*self.target).ri_RelationDesc);
                let slot = pg_sys::MakeSingleTupleTableSlot(self.descriptor, kind);
                pg_sys::MemoryContextSwitchTo(previous);
                self.slots.push(slot);
            }
        }
        self.slots[number]
    }

    /// The first slots, at least as many as [`Plan::slot`] was asked for.
    pub fn slots(&mut self) -> *mut *mut pg_sys::TupleTableSlot {
        self.slots.as_mut_ptr()
    }

    /// Ends the statement; the next one may use what is kept.
    pub fn end(self) {
        if self.is_lasting && self.slots.len() <= SLOTS_KEPT {
            for slot in &self.slots {
                // SAFETY: a live slot.
                unsafe { bindings::ExecClearTuple(*slot) };
            }
            self.close();
            if let Some(older) = KEPT.replace(Some(self)) {
                older.free();
            }
        } else {
            // SAFETY: the indexes are open.
            unsafe { pg_sys::ExecCloseIndices(self.target) };
            self.free();
        }
    }

    /// Gives its memory back. The indexes must be closed.
    fn free(mut self) {
        // SAFETY: slots before the state whose memory they live in; nothing of it is used again.
        unsafe {
            for slot in self.slots.drain(..) {
                pg_sys::ExecDropSingleTupleTableSlot(slot);
            }
            // Those that triggers asked for.
            let should_free = false;
            pg_sys::ExecResetTupleTable((*self.estate).es_tupleTable, should_free);
            pg_sys::FreeExecutorState(self.estate);
        }
        self.estate = std::ptr::null_mut();
    }
}

impl Drop for Plan {
    /// A plan that was neither kept nor freed belongs to a statement that ends in an error.
    fn drop(&mut self) {
        if !self.estate.is_null() {
            // SAFETY: the state is live: `free` sets it to null.
            let context = unsafe { (*self.estate).es_query_cxt };
            ABANDONED.with_borrow_mut(|abandoned| abandoned.push(context));
        }
    }
}

/// Frees what errors have left: by now nobody uses it.
fn free_abandoned() {
    for context in ABANDONED.take() {
        // SAFETY: pushed once, by a plan that was dropped.
        unsafe { pg_sys::MemoryContextDelete(context) };
    }
}
