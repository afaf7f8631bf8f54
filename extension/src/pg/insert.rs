//! INSERT without a plan: the executor's own steps for a row, in the executor's order.
//!
//! Triggers (BEFORE and AFTER, row and statement, with transition tables), column defaults,
//! generated columns, constraints, indexes and logical decoding all see the row as they would
//! see one from an INSERT statement. Only the caller's privilege on the table is not asked.

use super::bindings;
use super::relation::Table;
use pgrx::pg_sys;
use std::marker::PhantomData;

/// One INSERT statement's worth of rows into one table.
pub struct Insert<'a> {
    estate: *mut pg_sys::EState,
    target: *mut pg_sys::ResultRelInfo,
    slot: *mut pg_sys::TupleTableSlot,
    transition: *mut pg_sys::TransitionCaptureState,
    given: usize,
    defaults: Vec<(usize, *mut pg_sys::ExprState)>,
    /// Whether something that runs for one row could look for those before it.
    one_by_one: bool,
    /// Rows on their way into the table together.
    slots: Vec<*mut pg_sys::TupleTableSlot>,
    lifetime: PhantomData<&'a Table>,
}

/// Rows that go into the table together at most, as with COPY.
const ROWS_TOGETHER: usize = 1_000;
/// Bytes of variable length after which no further row joins the others, as with COPY.
const BYTES_TOGETHER: usize = 65_535;

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
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
        // SAFETY: the executor state and all it points to live in its own memory context until
        // `finish`; the table stays open for 'a. An error unwinds and the abort frees the rest.
        unsafe {
            let estate = pg_sys::CreateExecutorState();
            let previous = pg_sys::MemoryContextSwitchTo((*estate).es_query_cxt);
            let size = std::mem::size_of::<pg_sys::ResultRelInfo>();
            let target = pg_sys::palloc0(size).cast::<pg_sys::ResultRelInfo>();
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
            let slot = pg_sys::table_slot_create(table.relation, &mut (*estate).es_tupleTable);
            let mut insert = Self {
                estate,
                target,
                slot,
                transition: std::ptr::null_mut(),
                given,
                defaults: Vec::new(),
                one_by_one: false,
                slots: Vec::new(),
                lifetime: PhantomData,
            };
            insert.prepare_defaults(table);
            let triggers = (*table.relation).trigdesc;
            if !triggers.is_null() {
                insert.one_by_one |= (*triggers).trig_insert_before_row;
                // The query comes first: the captured rows belong to it.
                pg_sys::AfterTriggerBeginQuery();
                insert.transition = pg_sys::MakeTransitionCaptureState(
                    triggers,
                    table.oid(),
                    pg_sys::CmdType::CMD_INSERT,
                );
                pg_sys::ExecBSInsertTriggers(estate, target);
            }
            pg_sys::MemoryContextSwitchTo(previous);
            insert
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

    /// Inserts a row. `values` are the given columns; a BEFORE trigger may change any of them
    /// but those in `fixed` (numbers of bigint or text columns).
    pub fn row(&mut self, values: &[Option<pg_sys::Datum>], fixed: &[usize]) -> Outcome {
        // SAFETY: the slot belongs to the open table and is filled column by column before it is
        // stored; every pointer passed on lives until `finish`.
        unsafe {
            self.fill(self.slot, values);
            let triggers = (*self.target).ri_TrigDesc;
            if !triggers.is_null() && (*triggers).trig_insert_before_row {
                if !pg_sys::ExecBRInsertTriggers(self.estate, self.target, self.slot) {
                    return Outcome::Suppressed;
                }
                if let Some(column) = self.first_changed(values, fixed) {
                    return Outcome::Changed(column);
                }
            }
            self.check(self.slot);
            pg_sys::simple_table_tuple_insert((*self.target).ri_RelationDesc, self.slot);
            self.follow_up(self.slot);
        }
        Outcome::Inserted
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
    ) -> Result<(), (usize, Outcome)> {
        if self.one_by_one {
            for number in 0..count {
                at(number);
                let outcome = self.row(&row(number), fixed);
                if outcome != Outcome::Inserted {
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
                let slot = self.slot_number(next - first);
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
                // SAFETY: this slot's row was just stored.
                unsafe { self.follow_up(self.slots[number - first]) };
                self.forget_expressions();
            }
            first = next;
        }
        Ok(())
    }

    /// Slot `number` of those for rows that go together.
    fn slot_number(&mut self, number: usize) -> *mut pg_sys::TupleTableSlot {
        while self.slots.len() <= number {
            // SAFETY: the slot is made where the executor state lives, which frees it.
            unsafe {
                let previous = pg_sys::MemoryContextSwitchTo((*self.estate).es_query_cxt);
                let relation = (*self.target).ri_RelationDesc;
                let slot = pg_sys::table_slot_create(relation, &mut (*self.estate).es_tupleTable);
                pg_sys::MemoryContextSwitchTo(previous);
                self.slots.push(slot);
            }
        }
        self.slots[number]
    }

    /// # Safety
    /// The first `count` slots must hold complete rows.
    unsafe fn insert_together(&mut self, count: usize) {
        // SAFETY: the caller's; the table's access method stores the rows and notes where.
        unsafe {
            let relation = (*self.target).ri_RelationDesc;
            let (used, no_options, no_state) = (true, 0, std::ptr::null_mut());
            let command = pg_sys::GetCurrentCommandId(used);
            if let Some(multi_insert) = (*(*relation).rd_tableam).multi_insert {
                pg_sys::ffi::pg_guard_ffi_boundary(|| {
                    multi_insert(
                        relation,
                        self.slots.as_mut_ptr(),
                        count as i32,
                        command,
                        no_options,
                        no_state,
                    );
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
            for number in 0..columns {
                let value = values.get(number).copied().flatten();
                *(*slot).tts_isnull.add(number) = value.is_none();
                *(*slot).tts_values.add(number) = value.unwrap_or(pg_sys::Datum::null());
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
            let constraints = (*(*(*self.target).ri_RelationDesc).rd_att).constr;
            if !constraints.is_null() {
                if (*constraints).has_generated_stored {
                    bindings::ExecComputeStoredGenerated(
                        self.target,
                        self.estate,
                        slot,
                        pg_sys::CmdType::CMD_INSERT,
                    );
                }
                pg_sys::ExecConstraints(self.target, slot, self.estate);
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
            pg_sys::ExecARInsertTriggers(self.estate, self.target, slot, recheck, self.transition);
        }
    }

    /// Frees what expressions of the row before have left.
    fn forget_expressions(&self) {
        // SAFETY: the context belongs to the executor state; rows are copied out of it by now.
        unsafe {
            let context = (*self.estate).es_per_tuple_exprcontext;
            if !context.is_null() {
                pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
            }
        }
    }

    /// # Safety
    /// The slot must hold the row that was just inserted.
    unsafe fn insert_index_entries(&self, slot: *mut pg_sys::TupleTableSlot) -> *mut pg_sys::List {
        let update = false;
        let no_duplicate_error = false;
        // SAFETY: the caller's; no arbiter indexes, no speculative insertion.
        unsafe {
            pg_sys::ExecInsertIndexTuples(
                self.target,
                slot,
                self.estate,
                update,
                no_duplicate_error,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                #[cfg(not(feature = "pg15"))]
                false,
            )
        }
    }

    /// # Safety
    /// The slot must be cleared and its arrays filled for the given columns.
    unsafe fn fill_defaults(&self, slot: *mut pg_sys::TupleTableSlot) {
        for (number, state) in &self.defaults {
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
            if (*self.estate).es_per_tuple_exprcontext.is_null() {
                pg_sys::MakePerTupleExprContext(self.estate)
            } else {
                (*self.estate).es_per_tuple_exprcontext
            }
        }
    }

    /// # Safety
    /// The slot must hold the row as the BEFORE triggers left it.
    unsafe fn first_changed(
        &self,
        values: &[Option<pg_sys::Datum>],
        fixed: &[usize],
    ) -> Option<usize> {
        // SAFETY: columns are deformed before they are read; datumIsEqual compares by the
        // column's own length and passing mode.
        unsafe {
            let columns = (*(*self.slot).tts_tupleDescriptor).natts;
            // Where no trigger fired, the slot is as it was filled, with nothing to deform.
            if i32::from((*self.slot).tts_nvalid) < columns {
                pg_sys::slot_getsomeattrs_int(self.slot, columns);
            }
            fixed.iter().copied().find(|&number| {
                let is_null = *(*self.slot).tts_isnull.add(number);
                let Some(wanted) = values[number] else {
                    return !is_null;
                };
                let now = *(*self.slot).tts_values.add(number);
                let attribute = bindings::TupleDescAttr((*self.slot).tts_tupleDescriptor, number);
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

    /// Ends the statement: statement triggers, immediate AFTER triggers and checks fire here.
    pub fn finish(self) {
        // SAFETY: undoes `begin` in the executor's order.
        unsafe {
            if !(*self.target).ri_TrigDesc.is_null() {
                pg_sys::ExecASInsertTriggers(self.estate, self.target, self.transition);
                pg_sys::AfterTriggerEndQuery(self.estate);
            }
            pg_sys::ExecCloseIndices(self.target);
            let should_free = false;
            pg_sys::ExecResetTupleTable((*self.estate).es_tupleTable, should_free);
            pg_sys::FreeExecutorState(self.estate);
        }
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
