//! The version of this library beside that of the SQL that declares its functions. They differ
//! from the installation of other files until `ALTER EXTENSION`, and in sessions that began before.

use super::report::Report;
use super::text::Text;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ffi::CStr;
use std::ptr::null_mut;

/// Of this library.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

thread_local! {
    /// Whether the SQL was no newer than the library when this session asked first.
    static NOT_NEWER: Cell<bool> = const { Cell::new(false) };
}

/// 55000 where the SQL is newer: this library does not know what that has made. Older SQL is known; and where
/// the SQL is updated under a session, that goes on with what it has.
pub fn require_not_newer() {
    if NOT_NEWER.get() {
        return;
    }
    // A router's database has that of the router.
    if let Some(extension) = installed().or_else(|| version_of(c"message_store_router"))
        && compare(&extension) == Ordering::Greater
    {
        Report::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "the extension's SQL is of version {extension}, this session's library of {LIBRARY}"
            ),
        )
        .detail("An older library does not know what newer SQL has made.")
        .hint(repair(&extension))
        .raise()
    }
    NOT_NEWER.set(true);
}

/// Of the SQL, as the catalog has it now; none where the functions were declared without the extension.
/// Without a statement: it is asked in parallel queries too, and by whoever may not read the catalog.
pub fn installed() -> Option<String> {
    version_of(c"message_store")
}

fn version_of(extension: &CStr) -> Option<String> {
    let mut key = pg_sys::ScanKeyData::default();
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let by_name = pg_sys::Oid::from(pg_sys::ExtensionNameIndexId);
    // SAFETY: a look into the catalog as PostgreSQL's own `get_extension_oid`. The key's name outlives the
    // scan, and the version, which is never NULL, is copied before the row is let go of.
    unsafe {
        pg_sys::ScanKeyInit(
            &mut key,
            pg_sys::Anum_pg_extension_extname as pg_sys::AttrNumber,
            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
            pg_sys::Oid::from(pg_sys::F_NAMEEQ),
            pg_sys::Datum::from(extension.as_ptr()),
        );
        let catalog = pg_sys::table_open(pg_sys::ExtensionRelationId, lock);
        let scan = pg_sys::systable_beginscan(catalog, by_name, true, null_mut(), 1, &mut key);
        let row = pg_sys::systable_getnext(scan);
        let version = (!row.is_null()).then(|| {
            let (column, mut is_null) = (pg_sys::Anum_pg_extension_extversion as i32, false);
            let version = pg_sys::heap_getattr(row, column, (*catalog).rd_att, &mut is_null);
            Text::from_datum(version).to_str().into_owned()
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
        version
    }
}

/// What to do where the library does not fit SQL of this version.
pub fn repair(extension: &str) -> String {
    match compare(extension) {
        Ordering::Less => "ALTER EXTENSION message_store UPDATE;".to_owned(),
        Ordering::Equal => "Declare the functions as the extension's script does.".to_owned(),
        Ordering::Greater => format!(
            "Connect again, or else install the library of {extension}: this session has loaded that \
             of {LIBRARY}."
        ),
    }
}

/// The SQL of this version beside the library.
fn compare(extension: &str) -> Ordering {
    numbers(extension).cmp(&numbers(LIBRARY))
}

/// The numbers of a version, to be compared: 0.10.0 is after 0.9.9, and a release after what came before it
/// (0.9.9-rc.1).
fn numbers(version: &str) -> ([u64; 3], bool) {
    let version = version.split('+').next().unwrap_or_default();
    let release = version.split('-').next().unwrap_or_default();
    let mut numbers = release.split('.');
    let numbers = [(); 3].map(|()| {
        let number = numbers.next().unwrap_or_default();
        number.parse().unwrap_or_default()
    });
    (numbers, release == version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_extension_is_updated_and_an_older_library_replaced() {
        assert_eq!(repair("0.1.1"), "ALTER EXTENSION message_store UPDATE;");
        assert!(repair("0.100.0").contains("the library of 0.100.0"));
        assert!(repair(LIBRARY).contains("script"));
    }

    #[test]
    fn versions_compare_by_their_numbers() {
        // "message_db" is what the extension is called while a Message DB is taken over.
        let rising = [
            "message_db",
            "0.1",
            "0.1.1",
            "0.9.9-rc.1",
            "0.9.9",
            "0.10.0",
            "1.0.0",
        ];
        assert!(
            rising
                .map(numbers)
                .is_sorted_by(|before, after| before < after)
        );
        assert_eq!(numbers("0.4"), numbers("0.4.0+build.7"));
    }
}
