//! PL/Proxy, which runs functions on other servers, and what it puts before their words
//! (`plproxy_remote_error` and `plproxy_error_with_state` of its `src/main.c`).

use super::bindings;
use super::call::LanguageCall;
use super::guard::{self, Raised, Rewording};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_void};
use std::ptr::null_mut;

type Function = unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

thread_local! {
    /// PL/Proxy's handler, once this session has called it.
    static HANDLER: Cell<Option<Function>> = const { Cell::new(None) };
    /// Whether what PL/Proxy was told last was a cancellation there; see [`not_as_ours`].
    static CANCELLED_THERE: Cell<bool> = const { Cell::new(false) };
}

/// Lets PL/Proxy run a function whose body is in its language. What the other server refuses is told as that
/// told it; 08006 with `hint` where it does not answer.
pub fn run(call: LanguageCall, hint: &CStr) -> pg_sys::Datum {
    guard::reword(
        || {
            let handler = HANDLER
                .get()
                .unwrap_or_else(|| find(c"plproxy_call_handler"));
            HANDLER.set(Some(handler));
            CANCELLED_THERE.set(false);
            // SAFETY: a handler is called with the live frame of the function that is running. The callback is
            // taken off before its frame ends, where an error unwinds by the guard.
            unsafe {
                let mut not_as_ours = pg_sys::ErrorContextCallback {
                    previous: pg_sys::error_context_stack,
                    callback: Some(not_as_ours),
                    arg: null_mut(),
                };
                pg_sys::error_context_stack = &mut not_as_ours;
                let result = pg_guard_ffi_boundary(|| handler(call.fcinfo));
                pg_sys::error_context_stack = not_as_ours.previous;
                result
            }
        },
        |raised| {
            let told = as_it_was_told(raised).map(|told| Rewording {
                sqlstate: CANCELLED_THERE
                    .get()
                    .then_some(PgSqlErrorCode::ERRCODE_QUERY_CANCELED),
                ..told
            });
            told.or_else(|| as_no_answer(raised, hint))
        },
    )
}

/// Gives a cancellation that was told another SQLSTATE for as long as PL/Proxy has it. It takes 57014 for one
/// of the call, and waits for the server that has told it all already (`remote_cancel` of its
/// `src/execute.c`): for ever.
unsafe extern "C-unwind" fn not_as_ours(_: *mut c_void) {
    // SAFETY: called by PostgreSQL while it completes a report.
    unsafe {
        if pg_sys::geterrcode() == PgSqlErrorCode::ERRCODE_QUERY_CANCELED as i32
            && guard::look_at_current(|raised| as_it_was_told(raised).is_some()) == Some(true)
        {
            CANCELLED_THERE.set(true);
            bindings::errcode(PgSqlErrorCode::ERRCODE_OPERATOR_INTERVENTION);
        }
    }
}

/// Lets PL/Proxy check the body of a function.
pub fn validate(call: LanguageCall) -> pg_sys::Datum {
    // SAFETY: a validator is called with the live frame of our validator, as which it looks for the language.
    // The setting is read.
    unsafe {
        if pg_sys::check_function_bodies {
            let validator = find(c"plproxy_validator");
            pg_guard_ffi_boundary(|| validator(call.fcinfo))
        } else {
            pg_sys::Datum::null()
        }
    }
}

/// By its symbol, as PL/Proxy's own SQL names it: what the catalog says of a handler, such as settings, is not
/// for handlers.
fn find(symbol: &CStr) -> Function {
    let must_be_there = true;
    // SAFETY: the symbol is a function of PostgreSQL's version-1 convention, and its library stays loaded.
    unsafe {
        let address = pg_sys::load_external_function(
            c"plproxy".as_ptr(),
            symbol.as_ptr(),
            must_be_there,
            null_mut(),
        );
        std::mem::transmute::<*mut c_void, Function>(address.cast())
    }
}

/// Without `function(6): [database] REMOTE ERROR: ` before the message, `Remote detail: ` and `Remote hint: `.
fn as_it_was_told(raised: &Raised<'_>) -> Option<Rewording> {
    let (caller, rest) = parted(raised.message.to_bytes(), b"): [")?;
    if caller.contains(&b' ') {
        return None;
    }
    let (_database, rest) = parted(rest, b"] REMOTE ")?;
    let (_severity, message) = parted(rest, b": ")?;
    let without = |text: Option<&CStr>, prefix: &[u8]| {
        let text = text?.to_bytes();
        string(text.strip_prefix(prefix).unwrap_or(text)).into()
    };
    Some(Rewording {
        sqlstate: None,
        message: string(message),
        detail: without(raised.detail, b"Remote detail: "),
        hint: without(raised.hint, b"Remote hint: "),
    })
}

/// Of what PL/Proxy has to say itself: what is about a connection, without `PL/Proxy function f(6): `.
fn as_no_answer(raised: &Raised<'_>, hint: &CStr) -> Option<Rewording> {
    let (_function, message) = parted(
        raised
            .message
            .to_bytes()
            .strip_prefix(b"PL/Proxy function ")?,
        b"): ",
    )?;
    let is_meant = raised.is(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR)
        && [&b"["[..], b"connect timeout", b"query timeout"]
            .iter()
            .any(|start| message.starts_with(start));
    is_meant.then(|| Rewording {
        sqlstate: Some(PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE),
        message: string(message.trim_ascii_end()),
        detail: None,
        hint: Some(hint.to_owned()),
    })
}

/// What lies before and behind the first `separator`.
fn parted<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

fn string(bytes: &[u8]) -> CString {
    // What comes from a string that ends in NUL has none.
    CString::new(bytes).unwrap_or_default()
}
