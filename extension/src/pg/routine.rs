//! SQL functions that are found by name and called with one argument.

use super::versions;
use pgrx::pg_sys;
use pgrx::spi::quote_qualified_identifier;
use std::ffi::{CStr, CString};

/// A function found by its name and argument type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routine {
    oid: pg_sys::Oid,
}

impl Routine {
    /// Finds an ordinary function `name`, qualified or on the search_path, whose arguments have
    /// exactly these types. Error 42602 where `name` is not a valid name.
    pub fn find(name: &CStr, argument_types: &[pg_sys::Oid]) -> Option<Self> {
        let missing_ok = true;
        // SAFETY: the name is copied while it is parsed; the types outlive the look-up.
        let oid = unsafe {
            let names = versions::stringToQualifiedNameList(name.as_ptr());
            pg_sys::LookupFuncName(
                names,
                argument_types.len() as i32,
                argument_types.as_ptr(),
                missing_ok,
            )
        };
        (oid != pg_sys::InvalidOid && is_plain_function(oid)).then_some(Self { oid })
    }

    /// The function's name with its schema, quoted where needed.
    pub fn qualified_name(self) -> String {
        // SAFETY: the function exists under our catalog snapshot; both names are palloc'd copies.
        let (schema, name) = unsafe {
            let schema = pg_sys::get_namespace_name(pg_sys::get_func_namespace(self.oid));
            let name = pg_sys::get_func_name(self.oid);
            (CStr::from_ptr(schema), CStr::from_ptr(name))
        };
        quote_qualified_identifier(schema.to_string_lossy(), name.to_string_lossy())
    }

    /// The function as `GRANT` names it: its name with schema and the types of its arguments.
    pub fn signature(self) -> String {
        // SAFETY: the function exists under our catalog snapshot; the text is a palloc'd copy.
        let signature = unsafe { CStr::from_ptr(pg_sys::format_procedure_qualified(self.oid)) };
        signature.to_string_lossy().into_owned()
    }

    /// Whether `role` may EXECUTE the function.
    pub fn may_be_executed_by(self, role: pg_sys::Oid) -> bool {
        let wanted = pg_sys::ACL_EXECUTE as pg_sys::AclMode;
        // SAFETY: a catalog look-up.
        let result = unsafe { versions::pg_proc_aclcheck(self.oid, role, wanted) };
        result == pg_sys::AclResult::ACLCHECK_OK
    }

    /// Makes the function callable for as long as the current memory context lives.
    pub fn prepare(self, argument_count: usize) -> PreparedRoutine {
        // SAFETY: both blocks are zeroed, of the right size, and live in the current context.
        unsafe {
            let info =
                pg_sys::palloc0(std::mem::size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
            pg_sys::fmgr_info(self.oid, info);
            let size = std::mem::size_of::<pg_sys::FunctionCallInfoBaseData>()
                + argument_count * std::mem::size_of::<pg_sys::NullableDatum>();
            let frame = pg_sys::palloc0(size).cast::<pg_sys::FunctionCallInfoBaseData>();
            (*frame).flinfo = info;
            (*frame).fncollation = pg_sys::DEFAULT_COLLATION_OID;
            (*frame).nargs = argument_count as i16;
            PreparedRoutine { frame }
        }
    }
}

fn is_plain_function(oid: pg_sys::Oid) -> bool {
    // SAFETY: a syscache tuple is read and released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(oid));
        if tuple.is_null() {
            return false;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_proc>();
        let plain = (*form).prokind as u8 == pg_sys::PROKIND_FUNCTION && !(*form).proretset;
        pg_sys::ReleaseSysCache(tuple);
        plain
    }
}

/// A function ready to be called many times.
pub struct PreparedRoutine {
    frame: pg_sys::FunctionCallInfo,
}

impl PreparedRoutine {
    /// Calls the function and drops its result, NULL included.
    pub fn call(&mut self, arguments: &[pg_sys::Datum]) {
        // SAFETY: the frame was made for this many arguments of the types it was found by, and
        // lives in the context of `prepare`. Errors unwind through the guard.
        unsafe {
            debug_assert_eq!((*self.frame).nargs as usize, arguments.len());
            let slots = (*self.frame).args.as_mut_ptr();
            for (number, argument) in arguments.iter().enumerate() {
                *slots.add(number) = pg_sys::NullableDatum {
                    value: *argument,
                    isnull: false,
                };
            }
            (*self.frame).isnull = false;
            if let Some(address) = (*(*self.frame).flinfo).fn_addr {
                pg_sys::ffi::pg_guard_ffi_boundary(|| address(self.frame));
            }
            pg_sys::CommandCounterIncrement();
        }
    }
}

/// The oid of a composite type by schema and name.
pub fn row_type(schema: &CStr, name: &str) -> Option<pg_sys::Oid> {
    let missing_ok = true;
    let name = CString::new(name).ok()?;
    // SAFETY: catalog look-ups of NUL-terminated names.
    unsafe {
        let namespace = pg_sys::get_namespace_oid(schema.as_ptr(), missing_ok);
        let oid = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(name.as_ptr()),
            pg_sys::Datum::from(namespace),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        (oid != pg_sys::InvalidOid).then_some(oid)
    }
}

/// The oid of the array type of a type.
pub fn array_of(element: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a catalog look-up.
    unsafe { pg_sys::get_array_type(element) }
}
