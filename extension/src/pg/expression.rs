//! Whether SQL that a person supplies is one expression and nothing else.

use pgrx::pg_sys;
use std::ffi::CStr;

/// Whether PostgreSQL's own parser finds `sql` to be exactly one expression. Put in parentheses,
/// on lines of its own, such an expression can neither end what surrounds it nor add to that. 42601
/// where it cannot be parsed at all.
pub fn is_one(sql: &CStr) -> bool {
    // In parentheses, as it will stand, it must parse; without, it must be whole.
    parse(b"SELECT (\n", sql, b"\n)\0");
    let statements = parse(b"SELECT\n", sql, b"\n\0");
    // SAFETY: a raw parse tree is whole.
    unsafe {
        only(statements)
            .map(|statement| (*statement.cast::<pg_sys::RawStmt>()).stmt)
            .is_some_and(|statement| selects_one_value(statement))
    }
}

/// The statements of a query; 42601 where it cannot be parsed.
fn parse(before: &[u8], sql: &CStr, after: &[u8]) -> *mut pg_sys::List {
    let query = [before, sql.to_bytes(), after].concat();
    // SAFETY: `after` ends in NUL; a syntax error raises.
    unsafe {
        let mode = pg_sys::RawParseMode::RAW_PARSE_DEFAULT;
        pg_sys::raw_parser(query.as_ptr().cast(), mode)
    }
}

/// # Safety
/// `statement` must be a node of a raw parse tree.
unsafe fn selects_one_value(statement: *mut pg_sys::Node) -> bool {
    // SAFETY: the caller's; a node's tag says what it is.
    unsafe {
        if (*statement).type_ != pg_sys::NodeTag::T_SelectStmt {
            return false;
        }
        let select = &*statement.cast::<pg_sys::SelectStmt>();
        let clauses = [
            select.distinctClause,
            select.fromClause,
            select.groupClause,
            select.windowClause,
            select.valuesLists,
            select.sortClause,
            select.lockingClause,
        ];
        let nodes = [
            select.whereClause,
            select.havingClause,
            select.limitOffset,
            select.limitCount,
        ];
        let is_bare = clauses.iter().all(|clause| clause.is_null())
            && nodes.iter().all(|node| node.is_null())
            && select.intoClause.is_null()
            && select.withClause.is_null()
            && select.op == pg_sys::SetOperation::SETOP_NONE;
        is_bare
            && only(select.targetList).is_some_and(|target| {
                let target = &*target.cast::<pg_sys::ResTarget>();
                target.name.is_null() && target.indirection.is_null() && !is_star(target.val)
            })
    }
}

/// Whether a node stands for all columns (`*`, `m.*`), which is no value.
///
/// # Safety
/// `node` must be a node of a raw parse tree.
unsafe fn is_star(node: *mut pg_sys::Node) -> bool {
    // SAFETY: the caller's; a column reference has at least one field.
    unsafe {
        if (*node).type_ != pg_sys::NodeTag::T_ColumnRef {
            return false;
        }
        let fields = (*node.cast::<pg_sys::ColumnRef>()).fields;
        let last = (*(*fields).elements.add((*fields).length as usize - 1)).ptr_value;
        (*last.cast::<pg_sys::Node>()).type_ == pg_sys::NodeTag::T_A_Star
    }
}

/// The one element of a list of nodes; `None` where it has none or several.
///
/// # Safety
/// `list` must be null or a list of pointers.
unsafe fn only(list: *mut pg_sys::List) -> Option<*mut pg_sys::Node> {
    // SAFETY: the caller's.
    unsafe {
        if list.is_null() || (*list).length != 1 {
            return None;
        }
        Some((*(*list).elements).ptr_value.cast())
    }
}
