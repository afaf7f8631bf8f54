//! SQL statements planned once per session.
//!
//! pgrx's `Spi` reads a column as what the caller says it is, and leaves the plan with the caller. Here a
//! plan belongs to its statement for as long as the session lasts, and every column's type is compared
//! before it is read.

use super::bindings;
use super::layout::type_name;
use super::report::Report;
use super::snapshot::Fresh;
use super::text::Text;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A statement whose plan is made at its first run in a session and kept.
///
/// Names and operators in `sql` must be qualified: it may run under any search_path.
pub struct Statement {
    sql: &'static CStr,
    types: &'static [pg_sys::BuiltinOid],
    plan: AtomicPtr<pg_sys::_SPI_plan>,
}

/// One row of a result, readable inside the closure it is handed to.
///
/// What a statement returns depends on the names in it and on the tables of now: every column is
/// compared with the type that it is read as. Reading one of another type, or one that is not
/// there, raises 42804.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// Column `number` (from 0) of this type, to be handed on; `None` for NULL.
    pub fn value(&self, number: usize, type_oid: pg_sys::Oid) -> Option<pg_sys::Datum> {
        self.datum(number, &[type_oid])
    }

    /// The type of column `number` (from 0); the invalid one where there is no such column.
    pub fn type_of(&self, number: usize) -> pg_sys::Oid {
        // SAFETY: the descriptor belongs to the result being read; columns are counted from 1.
        unsafe { pg_sys::SPI_gettypeid(self.descriptor, number as i32 + 1) }
    }

    fn datum(&self, number: usize, types: &[pg_sys::Oid]) -> Option<pg_sys::Datum> {
        // SAFETY: tuple and descriptor belong to the result being read; the column is there.
        unsafe {
            let columns = (*self.descriptor).natts as usize;
            let type_oid = (number < columns)
                .then(|| (*bindings::TupleDescAttr(self.descriptor, number)).atttypid);
            if !type_oid.is_some_and(|type_oid| types.contains(&type_oid)) {
                unexpected(number, type_oid, types);
            }
            let mut is_null = false;
            let place = number as i32 + 1;
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, place, &mut is_null);
            (!is_null).then_some(datum)
        }
    }

    /// A `bigint` column, from 0.
    pub fn bigint(&self, number: usize) -> Option<i64> {
        self.datum(number, &[pg_sys::INT8OID])
            .map(|datum| datum.value() as i64)
    }

    /// A `timestamp` column, from 0, in microseconds since 2000-01-01 00:00.
    pub fn timestamp(&self, number: usize) -> Option<i64> {
        self.datum(number, &[pg_sys::TIMESTAMPOID])
            .map(|datum| datum.value() as i64)
    }

    /// A `boolean` column, from 0; false for NULL.
    pub fn boolean(&self, number: usize) -> bool {
        self.datum(number, &[pg_sys::BOOLOID])
            .is_some_and(|datum| datum.value() as u8 != 0)
    }

    /// An `oid` column, from 0.
    pub fn oid(&self, number: usize) -> Option<pg_sys::Oid> {
        self.datum(number, &[pg_sys::OIDOID])
            .map(|datum| pg_sys::Oid::from(datum.value() as u32))
    }

    /// A `text` or `varchar` column, from 0, copied.
    pub fn text(&self, number: usize) -> Option<String> {
        // SAFETY: the column is of a text type.
        self.datum(number, &[pg_sys::TEXTOID, pg_sys::VARCHAROID])
            .map(|datum| unsafe { Text::from_datum(datum) }.to_str().into_owned())
    }
}

fn unexpected(number: usize, found: Option<pg_sys::Oid>, wanted: &[pg_sys::Oid]) -> ! {
    let found = found.map_or_else(|| "missing".to_owned(), type_name);
    let wanted: Vec<String> = wanted.iter().copied().map(type_name).collect();
    Report::new(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "column {} of a result is {found}, not {}",
            number + 1,
            wanted.join(" or ")
        ),
    )
    .hint("A table or type of the store is not as create_store() and the extension made it.")
    .raise()
}

impl Statement {
    /// A statement with parameters `$1`, `$2`, ... of these types.
    pub const fn new(sql: &'static CStr, types: &'static [pg_sys::BuiltinOid]) -> Self {
        Self {
            sql,
            types,
            plan: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Runs the statement with the current role's rights in a new snapshot; returns how many
    /// rows it returned or changed.
    pub fn run(&self, arguments: &[Option<pg_sys::Datum>], each: impl FnMut(&Row)) -> u64 {
        debug_assert_eq!(arguments.len(), self.types.len());
        let values = arguments.iter().copied();
        connected(
            values,
            // SAFETY: called connected; the arrays match the plan's parameters.
            |values, nulls| unsafe { self.execute(values, nulls) },
            one_by_one(each),
        )
    }

    /// Runs the statement as [`Statement::run`] does, and hands out all of its rows at once.
    pub fn run_whole<T>(
        &self,
        arguments: &[Option<pg_sys::Datum>],
        whole: impl FnOnce(&[Row]) -> T,
    ) -> T {
        debug_assert_eq!(arguments.len(), self.types.len());
        let values = arguments.iter().copied();
        connected(
            values,
            // SAFETY: called connected; the arrays match the plan's parameters.
            |values, nulls| unsafe { self.execute(values, nulls) },
            |_, rows| whole(&rows.collect::<Vec<_>>()),
        )
    }

    /// # Safety
    /// SPI must be connected; the arrays must match the plan's parameters.
    unsafe fn execute(&self, values: *mut pg_sys::Datum, nulls: *const std::ffi::c_char) {
        // SAFETY: the caller's.
        unsafe { pg_sys::SPI_execute_plan(self.kept_plan(), values, nulls, READ_ONLY, NO_LIMIT) };
    }

    /// Runs a query with the current role's rights in what is committed now, also where the
    /// transaction keeps its first snapshot; returns how many rows it returned.
    pub fn look(&self, arguments: &[Option<pg_sys::Datum>], each: impl FnMut(&Row)) -> u64 {
        debug_assert_eq!(arguments.len(), self.types.len());
        let values = arguments.iter().copied();
        let now = Fresh::take();
        // SAFETY: called connected; the arrays match the plan's parameters; the snapshot stays active.
        let execute = |values, nulls| unsafe {
            let (plan, fires_triggers) = (self.kept_plan(), true);
            let (crosscheck, only_reads) = (std::ptr::null_mut(), true);
            pg_sys::SPI_execute_snapshot(
                plan,
                values,
                nulls,
                now.as_ptr(),
                crosscheck,
                only_reads,
                fires_triggers,
                NO_LIMIT,
            );
        };
        connected(values, execute, one_by_one(each))
    }

    /// Runs the statement once with `name` replaced in its text, with no plan kept.
    pub fn run_with(
        &self,
        (name, replacement): (&str, &str),
        arguments: &[Option<pg_sys::Datum>],
        each: impl FnMut(&Row),
    ) -> u64 {
        let sql = self.sql.to_string_lossy().replace(name, replacement);
        let sql = std::ffi::CString::new(sql).unwrap_or_default();
        let arguments: Vec<_> = self
            .types
            .iter()
            .copied()
            .zip(arguments.iter().copied())
            .collect();
        run_text(&sql, &arguments, each)
    }

    /// # Safety
    /// SPI must be connected.
    unsafe fn kept_plan(&self) -> pg_sys::SPIPlanPtr {
        let kept = self.plan.load(Ordering::Relaxed);
        if !kept.is_null() {
            return kept;
        }
        let mut types: Vec<pg_sys::Oid> = self.types.iter().map(|oid| oid.value()).collect();
        // SAFETY: a syntax error raises; the plan moves to memory that lives with the session,
        // and PostgreSQL replans it when what it refers to changes.
        unsafe {
            let plan =
                pg_sys::SPI_prepare(self.sql.as_ptr(), types.len() as i32, types.as_mut_ptr());
            pg_sys::SPI_keepplan(plan);
            self.plan.store(plan, Ordering::Relaxed);
            plan
        }
    }
}

/// The text of a statement, put together from literals and from macros that stand for literals.
macro_rules! sql {
    ($($part:expr),+ $(,)?) => {
        match ::std::ffi::CStr::from_bytes_with_nul(concat!($($part,)+ "\0").as_bytes()) {
            Ok(sql) => sql,
            Err(_) => panic!("SQL contains no NUL"),
        }
    };
}
pub(crate) use sql;

/// Runs SQL text that differs from call to call, with the current role's rights.
pub fn run_text(
    sql: &CStr,
    arguments: &[(pg_sys::BuiltinOid, Option<pg_sys::Datum>)],
    each: impl FnMut(&Row),
) -> u64 {
    let mut types: Vec<pg_sys::Oid> = arguments.iter().map(|(oid, _)| oid.value()).collect();
    let values = arguments.iter().map(|(_, value)| *value);
    // SAFETY: called connected; there is a type for every value.
    let execute = |values, nulls| unsafe {
        pg_sys::SPI_execute_with_args(
            sql.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            values,
            nulls,
            READ_ONLY,
            NO_LIMIT,
        );
    };
    connected(values, execute, one_by_one(each))
}

/// Statements take a new snapshot and may write.
const READ_ONLY: bool = false;
/// All rows of a result are wanted.
const NO_LIMIT: std::ffi::c_long = 0;

/// Connects to SPI, lets `execute` run a statement with these arguments, and hands out how many rows it
/// returned or changed, and those that it returned.
fn connected<T>(
    arguments: impl Iterator<Item = Option<pg_sys::Datum>>,
    execute: impl FnOnce(*mut pg_sys::Datum, *const std::ffi::c_char),
    take: impl FnOnce(u64, &mut dyn Iterator<Item = Row>) -> T,
) -> T {
    let (mut values, nulls): (Vec<pg_sys::Datum>, Vec<std::ffi::c_char>) = arguments
        .map(|value| match value {
            Some(value) => (value, b' ' as std::ffi::c_char),
            None => (pg_sys::Datum::null(), b'n' as std::ffi::c_char),
        })
        .unzip();
    // SAFETY: connect and finish are paired; where an error unwinds, the abort finishes. The
    // arrays outlive the statement.
    unsafe {
        pg_sys::SPI_connect();
        execute(values.as_mut_ptr(), nulls.as_ptr());
        let taken = take(pg_sys::SPI_processed, &mut returned_rows());
        pg_sys::SPI_finish();
        taken
    }
}

/// Hands out row after row, and says how many there were or were changed.
fn one_by_one(
    mut each: impl FnMut(&Row),
) -> impl FnOnce(u64, &mut dyn Iterator<Item = Row>) -> u64 {
    move |processed, rows| {
        rows.for_each(|row| each(&row));
        processed
    }
}

/// # Safety
/// SPI must be connected and have just executed a statement; the rows are good until SPI_finish.
unsafe fn returned_rows() -> impl Iterator<Item = Row> {
    // SAFETY: SPI_tuptable, where set, holds `numvals` tuples until SPI_finish.
    let table = unsafe { pg_sys::SPI_tuptable.as_ref() };
    table.into_iter().flat_map(|table| {
        (0..table.numvals as usize).map(|number| Row {
            // SAFETY: as above.
            tuple: unsafe { *table.vals.add(number) },
            descriptor: table.tupdesc,
        })
    })
}
