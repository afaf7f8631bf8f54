//! The settings that a role's code runs with, in whoever's session it runs.
//!
//! They are those that a new session of the role in this database would begin with: the server's,
//! the database's, the role's, the role's in this database. What the session at hand has set for
//! itself, or brings from its own role or its connection, is not among them.

use super::acting_as::ActingAs;
use super::setting;
use super::spi::Statement;
use super::text::Text;
use super::transaction;
use super::versions;
use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid::{OIDOID, TEXTOID};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int};
use std::rc::Rc;

/// Settings that change what SQL means, what it returns or whether it succeeds, and PostgreSQL's
/// own default of each.
const SETTINGS: [(&CStr, &CStr); 30] = [
    (c"array_nulls", c"on"),
    (c"backslash_quote", c"safe_encoding"),
    (c"bytea_output", c"hex"),
    (c"check_function_bodies", c"on"),
    (c"createrole_self_grant", c""),
    (c"DateStyle", c"ISO, MDY"),
    (c"default_table_access_method", c"heap"),
    (c"default_tablespace", c""),
    (c"default_text_search_config", c"pg_catalog.simple"),
    (c"default_toast_compression", c"pglz"),
    (c"escape_string_warning", c"on"),
    (c"extra_float_digits", c"1"),
    (c"gin_fuzzy_search_limit", c"0"),
    (c"IntervalStyle", c"postgres"),
    (c"lc_monetary", c"C"),
    (c"lc_numeric", c"C"),
    (c"lc_time", c"C"),
    (c"lock_timeout", c"0"),
    (
        c"message_store.inherited_metadata",
        c"traceId, userId, traceparent, tracestate",
    ),
    (c"restrict_nonsystem_relation_kind", c""),
    (c"row_security", c"on"),
    (c"session_replication_role", c"origin"),
    (c"standard_conforming_strings", c"on"),
    (c"statement_timeout", c"0"),
    (c"temp_tablespaces", c""),
    (c"TimeZone", c"GMT"),
    (c"timezone_abbreviations", c"Default"),
    (c"transform_null_equals", c"off"),
    (c"xmlbinary", c"base64"),
    (c"xmloption", c"content"),
];

/// One more, of a library that is loaded when the first function in its language is called.
const OF_PLPGSQL: (&CStr, &CStr) = (c"plpgsql.variable_conflict", c"error");

/// Settings of a role that are somebody else's to choose: the search_path is the subscription's,
/// and who acts is ours.
const NOT_OURS: [&str; 3] = ["search_path", "role", "session_authorization"];

/// How long what was read of a role is believed, in microseconds.
const BELIEVED_FOR: u64 = 1_000_000;

struct OfRole {
    read_at: i64,
    /// Name and value, the later one wins.
    own: Rc<Vec<(CString, CString)>>,
}

thread_local! {
    /// The server's own variables, in the order of [`SETTINGS`]; null where this version has none.
    static VARIABLES: OnceCell<[*mut pg_sys::config_generic; SETTINGS.len()]> =
        const { OnceCell::new() };
    /// That of [`OF_PLPGSQL`]; null until the library has made it.
    static MADE_BY_PLPGSQL: Cell<*mut pg_sys::config_generic> =
        const { Cell::new(std::ptr::null_mut()) };
    static OF_ROLES: RefCell<HashMap<pg_sys::Oid, OfRole>> = RefCell::new(HashMap::new());
}

/// The latter override the former.
static READ: Statement = Statement::new(
    c"SELECT u.setting \
        FROM pg_catalog.pg_db_role_setting s \
        CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) WITH ORDINALITY u (setting, number) \
       WHERE s.setdatabase OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, $1]) \
         AND s.setrole OPERATOR(pg_catalog.=) ANY (ARRAY[0::pg_catalog.oid, $2]) \
       ORDER BY s.setrole OPERATOR(pg_catalog.<>) 0::pg_catalog.oid, \
                s.setdatabase OPERATOR(pg_catalog.<>) 0::pg_catalog.oid, u.number",
    &[OIDOID, OIDOID],
);
static IN_FILES: Statement = Statement::new(
    c"SELECT f.setting FROM pg_catalog.pg_file_settings f \
       WHERE f.applied AND pg_catalog.lower(f.name) OPERATOR(pg_catalog.=) pg_catalog.lower($1)",
    &[TEXTOID],
);

/// The settings of a role, looked up while the session acts as whoever it is.
pub struct RoleSettings {
    own: Rc<Vec<(CString, CString)>>,
}

impl RoleSettings {
    /// Those of `role` in this database; a change is noticed within a second.
    pub fn of(role: pg_sys::Oid) -> Self {
        let now = transaction::clock();
        let known = OF_ROLES.with_borrow(|roles| {
            let known = roles.get(&role)?;
            (now.abs_diff(known.read_at) < BELIEVED_FOR).then(|| known.own.clone())
        });
        let own = known.unwrap_or_else(|| {
            let own = Rc::new(read(role));
            let known = OfRole {
                read_at: now,
                own: own.clone(),
            };
            OF_ROLES.with_borrow_mut(|roles| roles.insert(role, known));
            own
        });
        Self { own }
    }

    /// Puts them into force, until the settings level that the caller has opened ends. Acting as
    /// the role already.
    pub fn apply(&self) {
        let variables = VARIABLES.with(|known| *known.get_or_init(|| SETTINGS.map(find)));
        for (setting, variable) in SETTINGS.into_iter().zip(variables) {
            self.apply_to(setting, variable);
        }
        self.apply_to(OF_PLPGSQL, of_plpgsql());
        for (name, value) in self.own.iter() {
            if current_value(name).as_deref() != Some(value) {
                set(name, value);
            }
        }
    }

    fn apply_to(&self, (name, default): (&CStr, &CStr), variable: *mut pg_sys::config_generic) {
        if variable.is_null() || self.has(name) {
            return;
        }
        // SAFETY: a variable of the server, or one that was found just now.
        let (source, reset_source) = unsafe { ((*variable).source, (*variable).reset_source) };
        if is_of_all_roles(source) {
            return;
        }
        let of_all = if is_of_all_roles(reset_source) {
            reset_value(name)
        } else {
            in_files(name)
        };
        set(name, of_all.as_deref().unwrap_or(default));
    }

    fn has(&self, name: &CStr) -> bool {
        let is_name = |own: &CString| own.as_bytes().eq_ignore_ascii_case(name.to_bytes());
        self.own.iter().any(|(own, _)| is_name(own))
    }
}

/// Whether a value that comes from there is the same for every role of the database.
fn is_of_all_roles(source: pg_sys::GucSource::Type) -> bool {
    source <= pg_sys::GucSource::PGC_S_DATABASE
}

fn read(role: pg_sys::Oid) -> Vec<(CString, CString)> {
    let mut settings = Vec::new();
    let arguments = [transaction::database().into(), role]
        .map(|oid: pg_sys::Oid| Some(pg_sys::Datum::from(oid)));
    let _reader = ActingAs::role(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID));
    READ.run(&arguments, |row| {
        let setting = row.text(0).unwrap_or_default();
        let Some((name, value)) = setting.split_once('=') else {
            return;
        };
        if !NOT_OURS.contains(&name)
            && let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value))
        {
            settings.push((name, value));
        }
    });
    settings
}

/// What the server's files say of a setting.
fn in_files(name: &CStr) -> Option<CString> {
    let mut value = None;
    let name = Text::copied(name.to_bytes());
    let _reader = ActingAs::role(pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID));
    IN_FILES.run(&[Some(name.datum())], |row| {
        value = row.text(0).and_then(|text| CString::new(text).ok());
    });
    value
}

/// The variable of [`OF_PLPGSQL`]. Before the library is loaded it is missing, or a placeholder for
/// what a session has set, which is freed when the library makes the real one.
fn of_plpgsql() -> *mut pg_sys::config_generic {
    let known = MADE_BY_PLPGSQL.get();
    if !known.is_null() || current_value(OF_PLPGSQL.0).is_none() {
        return known;
    }
    let found = find(OF_PLPGSQL);
    // SAFETY: found just now, where it is not null.
    let is_made = unsafe {
        !found.is_null() && (*found).flags & pg_sys::GUC_CUSTOM_PLACEHOLDER as c_int == 0
    };
    if is_made {
        MADE_BY_PLPGSQL.set(found);
    }
    found
}

/// A variable of the server, by the name of its setting.
fn find((name, _): (&CStr, &CStr)) -> *mut pg_sys::config_generic {
    // SAFETY: a backend has its settings.
    unsafe { versions::find_variable(name) }
}

/// `None` where it is that of a placeholder.
fn reset_value(name: &CStr) -> Option<CString> {
    // SAFETY: a copy of what the server returns, which is good until the next call.
    unsafe {
        let value = pg_sys::GetConfigOptionResetString(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_owned())
    }
}

fn current_value(name: &CStr) -> Option<CString> {
    let (missing_ok, restrict_privileged) = (true, false);
    // SAFETY: as above; null where there is no such setting.
    unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), missing_ok, restrict_privileged);
        (!value.is_null()).then(|| CStr::from_ptr(value).to_owned())
    }
}

/// As a session's begin does it: a value that is not to be had is left out.
fn set(name: &CStr, value: &CStr) {
    let context = pg_sys::GucContext::PGC_SUSET;
    // It goes back with the level that the caller has opened.
    let action = pg_sys::GucAction::GUC_ACTION_SAVE;
    let quietly = pgrx::PgLogLevel::DEBUG1 as c_int;
    setting::set(name, Some(value), context, action, quietly);
}
