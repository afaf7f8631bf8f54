//! PL/Proxy, which runs functions on other servers, and what it puts before their words
//! (`plproxy_remote_error` and `plproxy_error_with_state` of its `src/main.c`).

use super::bindings::Anum_pg_language_lanplcallfoid;
use super::call::HandlerCall;
use super::guard::{self, Raised, Rewording};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::pg_sys::ffi::pg_guard_ffi_boundary;
use std::cell::Cell;
use std::ffi::{CStr, CString};

type Handler = unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

thread_local! {
    /// PL/Proxy's, once this session has looked for it.
    static HANDLER: Cell<Option<Handler>> = const { Cell::new(None) };
}

/// Lets PL/Proxy run a function whose body is in its language. What the other server refuses is told as that
/// told it; 08006 with `hint` where it does not answer.
pub fn run(call: HandlerCall, hint: &CStr) -> pg_sys::Datum {
    guard::reword(
        || {
            let handler = HANDLER.get().unwrap_or_else(find);
            // SAFETY: a call handler is called with the live frame of the function that is running.
            unsafe { pg_guard_ffi_boundary(|| handler(call.fcinfo)) }
        },
        |raised| as_it_was_told(raised).or_else(|| as_no_answer(raised, hint)),
    )
}

fn find() -> Handler {
    let missing_ok = false;
    // SAFETY: catalog look-ups; a function that is in the catalog has an address once it is loaded, and a
    // library stays loaded.
    let found = unsafe {
        let language = pg_sys::get_language_oid(c"plproxy".as_ptr(), missing_ok);
        let function = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::LANGOID as i32,
            Anum_pg_language_lanplcallfoid,
            pg_sys::Datum::from(language),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        let mut info = pg_sys::FmgrInfo::default();
        pg_sys::fmgr_info(function, &mut info);
        info.fn_addr
    };
    HANDLER.set(found);
    found.unwrap_or_else(|| unreachable!("fmgr_info sets the address or raises an error"))
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
