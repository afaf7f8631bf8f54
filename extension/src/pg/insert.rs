//! INSERT without a plan: the executor's own steps for a row, in the executor's order.
//!
//! Triggers (BEFORE and AFTER, row and statement, with transition tables), column defaults,
//! generated columns, constraints, indexes and logical decoding all see the row as they would
//! see one from an INSERT statement. Only the caller's privilege on the table is not asked.

use super::bindings;
use super::relation::{ColumnOrder, Table};
use super::versions;
use pgrx::pg_sys;
use plan::Plan;
use std::marker::PhantomData;

mod plan;

/// One INSERT statement's worth of rows into one table.
pub struct Insert<'a> {
    plan: Plan,
    transition: *mut pg_sys::TransitionCaptureState,
    given: usize,
    order: ColumnOrder,
    lifetime: PhantomData<&'a Table>,
}

/// Rows that go into the table together at most, as with COPY.
const ROWS_TOGETHER: usize = 1_000;
/// Bytes of variable length after which no further row joins the others, as with COPY.
const BYTES_TOGETHER: usize = 65_535;

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It is in the table.
    Inserted,
    /// A BEFORE trigger returned NULL: there is no row.
    Suppressed,
    /// A BEFORE trigger changed a column that it was told to keep; nothing was inserted.
    Changed(usize),
}

impl<'a> Insert<'a> {
    /// Begins the statement; rows give values for the first `given` columns, the rest get their
    /// defaults.
    pub fn begin(table: &'a Table, given: usize) -> Self {
        let mut insert = Self {
            plan: Plan::opened(table, given),
            transition: std::ptr::null_mut(),
            given,
            order: table.order,
            lifetime: PhantomData,
        };
        // SAFETY: the table stays open for 'a; what triggers capture lives as long as the plan.
        unsafe {
            let triggers = (*table.relation).trigdesc;
            if !triggers.is_null() {
                let Plan { estate, target, .. } = insert.plan;
                let previous = pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
                insert.plan.one_by_one |= (*triggers).trig_insert_before_row;
                // The query comes first: the captured rows belong to it.
                pg_sys::AfterTriggerBeginQuery();
                insert.transition = pg_sys::MakeTransitionCaptureState(
                    triggers,
                    table.oid(),
                    pg_sys::CmdType::CMD_INSERT,
                );
                pg_sys::ExecBSInsertTriggers(estate, target);
                pg_sys::MemoryContextSwitchTo(previous);
            }
        }
        insert
    }

    /// Inserts a row. `values` are the given columns; a BEFORE trigger may change any of them
    /// but those in `fixed` (numbers of bigint or text columns).
    pub fn row(&mut self, values: &[Option<pg_sys::Datum>], fixed: &[usize]) -> Insertion {
        // SAFETY: the slot belongs to the open table and is filled column by column before it is
        // stored; every pointer passed on lives until `finish`.
        unsafe {
            let slot = self.plan.slot(0);
            self.fill(slot, values);
            let triggers = (*self.plan.target).ri_TrigDesc;
            if !triggers.is_null() && (*triggers).trig_insert_before_row {
                if !pg_sys::ExecBRInsertTriggers(self.plan.estate, self.plan.target, slot) {
                    return Insertion::Suppressed;
                }
                if let Some(column) = first_changed(slot, values, fixed, self.order) {
                    return Insertion::Changed(column);
                }
            }
            self.check(slot);
            pg_sys::simple_table_tuple_insert((*self.plan.target).ri_RelationDesc, slot);
            self.follow_up(slot);
        }
        Insertion::Inserted
    }

    /// Inserts `count` rows, of which `row` gives the columns, as [`Insert::row`] would one after
    /// another, but a page of the table at a time, as COPY does, unless a BEFORE trigger or a
    /// column's default could tell the difference. `at` is told which row goes into the indexes.
    ///
    /// An error is the number of the row that did not go in, and why.
    pub fn rows<const COLUMNS: usize>(
        &mut self,
        count: usize,
        row: impl Fn(usize) -> [Option<pg_sys::Datum>; COLUMNS],
        fixed: &[usize],
        at: impl Fn(usize),
    ) -> Result<(), (usize, Insertion)> {
        if self.plan.one_by_one {
            for number in 0..count {
                at(number);
                let outcome = self.row(&row(number), fixed);
                if outcome != Insertion::Inserted {
                    return Err((number, outcome));
                }
                self.forget_expressions();
            }
            return Ok(());
        }
        let mut first = 0;
        while first < count {
            let (mut next, mut bytes) = (first, 0);
            while next < count && next - first < ROWS_TOGETHER && bytes < BYTES_TOGETHER {
                let slot = self.plan.slot(next - first);
                // SAFETY: a slot of this table; the values live until the rows are copied below.
                unsafe {
                    self.fill(slot, &row(next));
                    bytes += variable_bytes(slot);
                    self.check(slot);
                }
                next += 1;
            }
            // SAFETY: the slots hold complete rows of the open table; PostgreSQL copies them into
            // their slots before it stores them.
            unsafe { self.insert_together(next - first) };
            for number in first..next {
                at(number);
                let slot = self.plan.slot(number - first);
                // SAFETY: this slot's row was just stored.
                unsafe { self.follow_up(slot) };
                self.forget_expressions();
            }
            first = next;
        }
        Ok(())
    }

    /// # Safety
    /// The first `count` slots must hold complete rows.
    unsafe fn insert_together(&mut self, count: usize) {
        // SAFETY: the caller's; the table's access method stores the rows and notes where.
        unsafe {
            let relation = (*self.plan.target).ri_RelationDesc;
            let (used, no_options, no_state) = (true, 0, std::ptr::null_mut());
            let command = pg_sys::GetCurrentCommandId(used);
            let slots = self.plan.slots();
            if let Some(multi_insert) = (*(*relation).rd_tableam).multi_insert {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    multi_insert(relation, slots, count as i32, command, no_options, no_state);
                });
            }
        }
    }

    /// Puts the row's values and the defaults of the other columns into a slot.
    ///
    /// # Safety
    /// `slot` must be a slot of the open table.
    unsafe fn fill(&self, slot: *mut pg_sys::TupleTableSlot, values: &[Option<pg_sys::Datum>]) {
        debug_assert_eq!(values.len(), self.given);
        // SAFETY: the caller's; the arrays have room for every column.
        unsafe {
            bindings::ExecClearTuple(slot);
            let columns = (*(*slot).tts_tupleDescriptor).natts as usize;
            for place in 0..columns {
                let value = values.get(self.order.number(place)).copied().flatten();
                *(*slot).tts_isnull.add(place) = value.is_none();
                *(*slot).tts_values.add(place) = value.unwrap_or(pg_sys::Datum::null());
            }
            self.fill_defaults(slot);
            pg_sys::ExecStoreVirtualTuple(slot);
        }
    }

    /// Computes generated columns and checks constraints.
    ///
    /// # Safety
    /// The slot must hold the row.
    unsafe fn check(&self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: the caller's; all belong to one executor state.
        unsafe {
            let constraints = (*(*(*self.plan.target).ri_RelationDesc).rd_att).constr;
            if !constraints.is_null() {
                if (*constraints).has_generated_stored {
                    bindings::ExecComputeStoredGenerated(
                        self.plan.target,
                        self.plan.estate,
                        slot,
                        pg_sys::CmdType::CMD_INSERT,
                    );
                }
                pg_sys::ExecConstraints(self.plan.target, slot, self.plan.estate);
            }
        }
    }

    /// The row's index entries and its AFTER triggers.
    ///
    /// # Safety
    /// The slot must hold the row that was just inserted.
    unsafe fn follow_up(&self, slot: *mut pg_sys::TupleTableSlot) {
        // SAFETY: the caller's.
        unsafe {
            let recheck = self.insert_index_entries(slot);
            pg_sys::ExecARInsertTriggers(
                self.plan.estate,
                self.plan.target,
                slot,
                recheck,
                self.transition,
            );
        }
    }

    /// Frees what expressions of the row before have left.
    fn forget_expressions(&self) {
        // SAFETY: the context belongs to the executor state; rows are copied out of it by now.
        unsafe {
            let context = (*self.plan.estate).es_per_tuple_exprcontext;
            if !context.is_null() {
                pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
        }
    }

    /// # Safety
    /// The slot must hold the row that was just inserted.
    unsafe fn insert_index_entries(&self, slot: *mut pg_sys::TupleTableSlot) -> *mut pg_sys::List {
        // SAFETY: the caller's; the plan keeps the indexes open.
        unsafe { versions::ExecInsertIndexTuples(self.plan.target, slot, self.plan.estate) }
    }

    /// # Safety
    /// The slot must be cleared and its arrays filled for the given columns.
    unsafe fn fill_defaults(&self, slot: *mut pg_sys::TupleTableSlot) {
        for (number, state) in &self.plan.defaults {
            // SAFETY: the expression was prepared in this executor state.
            unsafe {
                let context = self.expression_context();
                let mut is_null = false;
                if let Some(evaluate) = (**state).evalfunc {
                    let value = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                        evaluate(*state, context, &mut is_null)
                    });
                    *(*slot).tts_values.add(*number) = value;
                    *(*slot).tts_isnull.add(*number) = is_null;
                }
            }
        }
    }

    /// # Safety
    /// The executor state must be live.
    unsafe fn expression_context(&self) -> *mut pg_sys::ExprContext {
        // SAFETY: MakePerTupleExprContext makes the one the executor's own macro would.
        unsafe {
            if (*self.plan.estate).es_per_tuple_exprcontext.is_null() {
                pg_sys::MakePerTupleExprContext(self.plan.estate)
            } else {
                (*self.plan.estate).es_per_tuple_exprcontext
            }
        }
    }

    /// Ends the statement: statement triggers, immediate AFTER triggers and checks fire here.
    pub fn finish(self) {
        // SAFETY: undoes `begin` in the executor's order.
        unsafe {
            if !(*self.plan.target).ri_TrigDesc.is_null() {
                pg_sys::ExecASInsertTriggers(self.plan.estate, self.plan.target, self.transition);
                pg_sys::AfterTriggerEndQuery(self.plan.estate);
            }
        }
        // The plan may stay, what its expressions have left must not.
        self.forget_expressions();
        self.plan.end();
    }
}

/// The first of the `fixed` columns whose value a BEFORE trigger has changed.
///
/// # Safety
/// The slot must hold the row as the BEFORE triggers left it.
unsafe fn first_changed(
    slot: *mut pg_sys::TupleTableSlot,
    values: &[Option<pg_sys::Datum>],
    fixed: &[usize],
    order: ColumnOrder,
) -> Option<usize> {
    // SAFETY: columns are deformed before they are read; datumIsEqual compares by the
    // column's own length and passing mode.
    unsafe {
        let columns = (*(*slot).tts_tupleDescriptor).natts;
        // Where no trigger fired, the slot is as it was filled, with nothing to deform.
        if i32::from((*slot).tts_nvalid) < columns {
            pg_sys::slot_getsomeattrs_int(slot, columns);
        }
        fixed.iter().copied().find(|&number| {
            let place = order.place(number);
            let is_null = *(*slot).tts_isnull.add(place);
            let Some(wanted) = values[number] else {
                return !is_null;
            };
            let now = *(*slot).tts_values.add(place);
            let attribute = bindings::TupleDescAttr((*slot).tts_tupleDescriptor, place);
            is_null
                || !bindings::datum_image_eq(
                    wanted,
                    now,
                    (*attribute).attbyval,
                    (*attribute).attlen,
                )
        })
    }
}

/// Bytes of the columns of variable length.
///
/// # Safety
/// The slot must hold a row of the values that it was filled with.
unsafe fn variable_bytes(slot: *mut pg_sys::TupleTableSlot) -> usize {
    // SAFETY: the caller's; columns of length -1 are varlenas.
    unsafe {
        let descriptor = (*slot).tts_tupleDescriptor;
        (0..(*descriptor).natts as usize)
            .filter(|number| {
                let attribute = bindings::TupleDescAttr(descriptor, *number);
                (*attribute).attlen == -1 && !*(*slot).tts_isnull.add(*number)
            })
            .map(|number| {
                let value = *(*slot).tts_values.add(number);
                pgrx::varlena::varsize_any(value.cast_mut_ptr())
            })
            .sum()
    }
}
