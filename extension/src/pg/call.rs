//! How SQL calls us: arguments out of the call frame, one reply into it.

use super::array;
use super::composite::{self, Composite, Composites};
use super::extension_version;
use super::jsonb::Jsonb;
use super::report::Report;
use super::text::Text;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::marker::PhantomData;

/// One call of one of our functions, alive for as long as PostgreSQL waits for its result.
pub struct Call<'a> {
    pub(super) fcinfo: pg_sys::FunctionCallInfo,
    parameters: &'static [Declared],
    lifetime: PhantomData<&'a ()>,
}

/// A parameter of one of our functions, as its SQL declares it.
pub struct Declared {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub type_: Type,
}

/// The types of parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `varchar`
    Varchar,
    /// `text`
    Text,
    /// `bigint`
    Bigint,
    /// `bigint[]`
    Bigints,
    /// `text[]`
    Texts,
    /// `boolean`
    Boolean,
    /// `jsonb`
    Jsonb,
    /// `interval`
    Interval,
    /// `timestamptz`
    Timestamptz,
    /// `jsonpath`
    Jsonpath,
    /// `uuid`
    Uuid,
    /// `oid`
    #[cfg(any(test, feature = "pg_test"))]
    Oid,
    /// A composite type of ours.
    Composite(&'static str),
    /// An array of a composite type of ours.
    Composites(&'static str),
}

/// A function and its parameters, as [`sql_functions`] declares them.
#[cfg(any(test, feature = "pg_test"))]
pub struct Signature {
    /// The C symbol.
    pub symbol: &'static str,
    /// In the order of the SQL declaration, without OUT parameters.
    pub parameters: &'static [Declared],
}

#[cfg(any(test, feature = "pg_test"))]
inventory::collect!(Signature);

/// 55000: our code and the SQL that declares a function do not agree, as where the library is newer
/// than the extension, or older.
fn undeclared(difference: &str) -> ! {
    let extension = extension_version::installed().unwrap_or_default();
    let library = extension_version::LIBRARY;
    Report::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("the function is not declared as the library reads it: {difference}"),
    )
    .detail(format!(
        "The extension's SQL is of version {extension}, its library of {library}."
    ))
    .hint(extension_version::repair(&extension))
    .raise()
}

/// 55000: SQL of an earlier version calls what has changed since.
pub fn declared_earlier() -> ! {
    undeclared("by the symbol of an earlier version")
}

/// What a function answers: a datum, or NULL.
pub struct Reply(pub(super) Option<pg_sys::Datum>);

impl Reply {
    /// SQL NULL; also the reply of a function that returned its rows through [`super::rows::Rows`].
    pub fn null() -> Self {
        Self(None)
    }

    /// The reply of a function declared `RETURNS void`.
    pub fn void() -> Self {
        Self(Some(pg_sys::Datum::from(0_usize)))
    }

    /// A `bigint`, or NULL.
    pub fn bigint(value: Option<i64>) -> Self {
        Self(value.map(pg_sys::Datum::from))
    }

    /// A `boolean`.
    pub fn boolean(value: bool) -> Self {
        Self(Some(pg_sys::Datum::from(value)))
    }

    /// A `jsonb`.
    pub fn jsonb(value: Jsonb<'_>) -> Self {
        Self(Some(value.datum()))
    }

    /// A value of the function's type.
    pub fn value(value: pg_sys::Datum) -> Self {
        Self(Some(value))
    }

    /// A `varchar` in the database's encoding, or NULL.
    pub fn text(value: Option<&[u8]>) -> Self {
        Self(value.map(|bytes| Text::copied(bytes).datum()))
    }
}

impl<'a> Call<'a> {
    /// Wraps the frame that PostgreSQL handed to a V1 function.
    ///
    /// # Safety
    /// `fcinfo` must be the live frame of the function that is running, for all of `'a`.
    pub unsafe fn new(fcinfo: pg_sys::FunctionCallInfo, parameters: &'static [Declared]) -> Self {
        // SAFETY: the caller's.
        let given = unsafe { (*fcinfo).nargs as usize };
        if given != parameters.len() {
            undeclared(&format!("{given} parameters and not {}", parameters.len()));
        }
        Self {
            fcinfo,
            parameters,
            lifetime: PhantomData,
        }
    }

    /// What the caller gave for a parameter, which must be declared with a type that `is_right`.
    fn argument(&self, name: &str, is_right: impl Fn(&Type) -> bool) -> Option<pg_sys::Datum> {
        let declared = self.parameters.iter().position(|known| known.name == name);
        let number = declared
            .filter(|number| is_right(&self.parameters[*number].type_))
            .unwrap_or_else(|| undeclared(&format!("no such parameter {name}")));
        // SAFETY: `new` was given the running function's frame, which holds as many arguments as
        // there are parameters.
        let argument = unsafe { *(*self.fcinfo).args.as_ptr().add(number) };
        (!argument.isnull).then_some(argument.value)
    }

    /// The argument of this name, of a `bigint` parameter; `None` for SQL NULL.
    pub fn bigint(&self, name: &str) -> Option<i64> {
        self.argument(name, |given| [Type::Bigint].contains(given))
            .map(|datum| datum.value() as i64)
    }

    /// The argument of this name, of a `boolean` parameter; `None` for SQL NULL.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.argument(name, |given| [Type::Boolean].contains(given))
            .map(|datum| datum.value() as u8 != 0)
    }

    /// The argument of this name, of a `varchar` or `text` parameter.
    pub fn text(&self, name: &str) -> Option<Text<'a>> {
        // SAFETY: the SQL declaration gives this parameter a text type, and the detoasted copy
        // (or the original) lives in the call's memory context, at least as long as the call.
        self.argument(name, |given| [Type::Varchar, Type::Text].contains(given))
            .map(|datum| unsafe { Text::from_datum(datum) })
    }

    /// The argument of this name, of a `jsonb` parameter.
    pub fn jsonb(&self, name: &str) -> Option<Jsonb<'a>> {
        // SAFETY: the SQL declaration gives this parameter type jsonb.
        self.argument(name, |given| [Type::Jsonb].contains(given))
            .map(|datum| unsafe { Jsonb::from_datum(datum) })
    }

    /// The argument of this name, of a `bigint[]` parameter; `None` for SQL NULL, and where an
    /// element is NULL.
    pub fn bigints(&self, name: &str) -> Option<&'a [i64]> {
        // SAFETY: the SQL declaration gives this parameter type bigint[]; the array, or its flat
        // copy, lives at least as long as the call.
        self.argument(name, |given| [Type::Bigints].contains(given))
            .and_then(|datum| unsafe { array::bigints(datum) })
    }

    /// The argument of this name, of a composite type.
    /// 55000 where its attributes do not have these types.
    pub fn composite<const N: usize>(
        &self,
        name: &str,
        types: &[pg_sys::Oid; N],
    ) -> Option<Composite<'a, N>> {
        // SAFETY: the SQL declaration gives this parameter a named composite type.
        self.argument(name, |given| matches!(given, Type::Composite(_)))
            .map(|datum| unsafe { composite::read(datum, types) })
    }

    /// The argument of this name, an array of a composite type.
    /// 55000 where its attributes do not have these types.
    pub fn composites<const N: usize>(
        &self,
        name: &str,
        types: &[pg_sys::Oid; N],
    ) -> Option<Composites<'a, N>> {
        // SAFETY: the SQL declaration gives this parameter an array of a composite type.
        self.argument(name, |given| matches!(given, Type::Composites(_)))
            .map(|datum| unsafe { Composites::of(datum, types) })
    }

    /// The argument of this name, of an `interval` parameter, in milliseconds (a month is 30 days).
    pub fn interval_ms(&self, name: &str) -> Option<i64> {
        self.argument(name, |given| [Type::Interval].contains(given))
            .map(|datum| {
                // SAFETY: the SQL declaration gives this parameter type interval.
                let interval = unsafe { *datum.cast_mut_ptr::<pg_sys::Interval>() };
                let days = i64::from(interval.month) * 30 + i64::from(interval.day);
                days.saturating_mul(86_400_000)
                    .saturating_add(interval.time / 1_000)
            })
    }

    /// The argument of this name, of a parameter of this type, as it is, to be handed on.
    pub fn value(&self, name: &str, type_: Type) -> Option<pg_sys::Datum> {
        self.argument(name, |given| *given == type_)
    }

    /// Whether this procedure was called by a statement of its own outside a transaction block.
    pub fn may_end_transactions(&self) -> bool {
        // SAFETY: a CALL puts a CallContext into the live frame; functions have none.
        unsafe {
            let context = (*self.fcinfo).context;
            !context.is_null()
                && (*context).type_ == pg_sys::NodeTag::T_CallContext
                && !(*context.cast::<pg_sys::CallContext>()).atomic
        }
    }

    /// Finishes the call: the reply's datum, or the error raised as PostgreSQL's own.
    pub fn finish(self, reply: Result<Reply, impl Into<Report>>) -> pg_sys::Datum {
        match reply {
            Ok(Reply(Some(datum))) => datum,
            Ok(Reply(None)) => {
                // SAFETY: see `argument`.
                unsafe { (*self.fcinfo).isnull = true };
                pg_sys::Datum::null()
            }
            Err(error) => error.into().raise(),
        }
    }
}

/// Exports a C symbol of PostgreSQL's version-1 convention: what it answers, from its frame, behind the
/// guard.
macro_rules! symbol {
    ($name:ident, |$fcinfo:ident| $answer:expr) => {
        #[unsafe(export_name = concat!("pg_finfo_", stringify!($name)))]
        extern "C" fn finfo() -> &'static ::pgrx::pg_sys::Pg_finfo_record {
            static V1: ::pgrx::pg_sys::Pg_finfo_record =
                ::pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }

        #[unsafe(export_name = stringify!($name))]
        extern "C-unwind" fn entry(
            $fcinfo: ::pgrx::pg_sys::FunctionCallInfo,
        ) -> ::pgrx::pg_sys::Datum {
            // SAFETY: PostgreSQL calls a V1 function with its live frame and waits for it;
            // nothing else happens in this frame.
            unsafe { $crate::pg::guard::run(|| $answer) }
        }
    };
}
pub(crate) use symbol;

/// Makes Rust functions callable from SQL: for each `name(parameter: Type, ...) => path`, the C symbol
/// `name` that a `CREATE FUNCTION ... LANGUAGE c AS 'MODULE_PATHNAME', 'name'` names. Arguments are
/// read by the parameters' names; tests compare these with `sql/functions/` and with `pg_proc`.
///
/// `path` is a `fn(&Call) -> Result<Reply, E>` where `E: Into<Report>`. PostgreSQL errors and Rust panics inside are
/// turned into an ordinary SQL error at this boundary.
///
/// Where the SQL is newer than the library, they raise 55000, unless the list begins with
/// `beside newer SQL too:`. It does for what asks no table of the store.
macro_rules! sql_functions {
    (beside newer SQL too: $($function:tt)+) => {
        $crate::pg::call::sql_functions! { @ (); $($function)+ }
    };
    (@ $require:expr; $($name:ident($($parameter:ident: $type:expr),*) => $path:path),+ $(,)?) => {
        $(const _: () = {
            #[allow(unused_imports, reason = "of what some function has")]
            use $crate::pg::call::Type::*;
            const PARAMETERS: &[$crate::pg::call::Declared] = &[
                $($crate::pg::call::Declared { name: stringify!($parameter), type_: $type }),*
            ];
            #[cfg(any(test, feature = "pg_test"))]
            ::inventory::submit! {
                $crate::pg::call::Signature { symbol: stringify!($name), parameters: PARAMETERS }
            }

            $crate::pg::call::symbol!($name, |fcinfo| {
                $require;
                let call = $crate::pg::call::Call::new(fcinfo, PARAMETERS);
                let reply = $path(&call);
                call.finish(reply)
            });
        };)+
    };
    ($($function:tt)+) => {
        $crate::pg::call::sql_functions! {
            @ $crate::pg::extension_version::require_not_newer(); $($function)+
        }
    };
}
pub(crate) use sql_functions;

/// A call of the handler or of the validator of a language.
pub struct LanguageCall {
    pub(super) fcinfo: pg_sys::FunctionCallInfo,
}

impl LanguageCall {
    /// # Safety
    /// `fcinfo` must be the live frame of the function that is running.
    pub unsafe fn new(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        Self { fcinfo }
    }
}

/// Makes Rust functions the handler and the validator of a language: for each `name(parameter: Type, ...) => path`,
/// the C symbol `name`. `path` is a `fn(LanguageCall) -> Datum`. Where the SQL is newer than the library, they
/// raise 55000.
macro_rules! language_functions {
    ($($name:ident($($parameter:ident: $type:ident),*) => $path:path),+ $(,)?) => {
        $(const _: () = {
            #[cfg(any(test, feature = "pg_test"))]
            ::inventory::submit! {
                $crate::pg::call::Signature {
                    symbol: stringify!($name),
                    parameters: &[$($crate::pg::call::Declared {
                        name: stringify!($parameter),
                        type_: $crate::pg::call::Type::$type,
                    }),*],
                }
            }

            $crate::pg::call::symbol!($name, |fcinfo| {
                $crate::pg::extension_version::require_not_newer();
                $path($crate::pg::call::LanguageCall::new(fcinfo))
            });
        };)+
    };
}
pub(crate) use language_functions;

/// Exports symbols that the SQL of earlier versions declares. They stand for functions whose
/// parameters or results have changed since, under another symbol, so that neither an earlier library
/// is called by our SQL nor our library by earlier SQL: 55000.
macro_rules! earlier_symbols {
    ($($name:ident),+ $(,)?) => {
        $(const _: () = {
            $crate::pg::call::symbol!($name, |_fcinfo| $crate::pg::call::declared_earlier());
        };)+
    };
}
pub(crate) use earlier_symbols;
