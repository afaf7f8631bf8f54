//! Tables and indexes, opened by name and closed when dropped.
//!
//! pgrx's `PgRelation` finds a name along the search_path and raises where there is none. Ours are of one
//! schema, may be missing, and are compared with the layout that the code believes in.

use super::bindings;
use super::catalog::{self, Generation};
use super::report::Report;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::ffi::CStr;

/// The oid of a relation by schema and name, where it exists.
pub fn oid(schema: &CStr, name: &CStr) -> Option<pg_sys::Oid> {
    let missing_ok = true;
    // SAFETY: catalog look-ups of NUL-terminated names.
    unsafe {
        let namespace = pg_sys::get_namespace_oid(schema.as_ptr(), missing_ok);
        if namespace == pg_sys::InvalidOid {
            return None;
        }
        let relation = pg_sys::get_relname_relid(name.as_ptr(), namespace);
        (relation != pg_sys::InvalidOid).then_some(relation)
    }
}

/// The name of a relation, without its schema.
///
/// # Safety
/// The relation must be open.
pub(super) unsafe fn name_of(relation: pg_sys::Relation) -> String {
    // SAFETY: the caller's; an open relation has its pg_class row, whose name ends in NUL within
    // its fixed width.
    let name = unsafe { CStr::from_ptr((*(*relation).rd_rel).relname.data.as_ptr()) };
    name.to_string_lossy().into_owned()
}

/// The role that owns a relation, where it exists.
pub fn owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a syscache tuple is read and released; the struct lies at its data.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let tuple = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let owner = (*form).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(owner)
    }
}

/// Oids by schema and name.
struct Known {
    generation: Option<Generation>,
    oids: Vec<(&'static CStr, &'static CStr, pg_sys::Oid)>,
}

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { generation: None, oids: Vec::new() }) };
}

/// The same as [`oid`], remembered for as long as no name changes.
pub fn known_oid(schema: &'static CStr, name: &'static CStr) -> Option<pg_sys::Oid> {
    let generation = catalog::generation();
    let known = KNOWN.with_borrow_mut(|known| {
        if known.generation != Some(generation) {
            known.generation = Some(generation);
            known.oids.clear();
        }
        known
            .oids
            .iter()
            .find(|(its_schema, its_name, _)| *its_name == name && *its_schema == schema)
            .map(|(_, _, oid)| *oid)
    });
    if known.is_some() {
        return known;
    }
    let oid = oid(schema, name)?;
    // The look-up may have heard of a change.
    if catalog::generation() == generation {
        KNOWN.with_borrow_mut(|known| known.oids.push((schema, name, oid)));
    }
    Some(oid)
}

/// Lets every session, when this transaction has committed, look at a relation anew.
pub fn announce_change(schema: &CStr, name: &CStr) {
    if let Some(oid) = oid(schema, name) {
        // SAFETY: the oid of a relation; the message is sent at commit.
        unsafe { pg_sys::CacheInvalidateRelcacheByRelid(oid) }
    }
}

/// Whether a relation exists and has a column of this name.
pub fn has_column(schema: &CStr, relation: &CStr, column: &CStr) -> bool {
    oid(schema, relation).is_some_and(|oid| {
        // SAFETY: a catalog look-up of a NUL-terminated name.
        let number = unsafe { pg_sys::get_attnum(oid, column.as_ptr()) };
        i32::from(number) != pg_sys::InvalidAttrNumber as i32
    })
}

/// An open table. The lock taken with it lasts to the end of the transaction.
pub struct Table {
    pub(super) relation: pg_sys::Relation,
    pub(super) order: ColumnOrder,
}

/// Where the columns are in a table whose columns stand in another order than our numbers of them:
/// the place of column 0, of column 1, and so on. `None`: everywhere the number is the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnOrder(pub Option<&'static [usize]>);

impl ColumnOrder {
    /// The place of column `number`.
    #[inline]
    pub fn place(self, number: usize) -> usize {
        match self.0 {
            None => number,
            Some(places) => places.get(number).copied().unwrap_or(number),
        }
    }

    /// The number of the column at a place.
    pub fn number(self, place: usize) -> usize {
        let found = self.0.and_then(|places| {
            let mut numbers = places.iter();
            numbers.position(|its_place| *its_place == place)
        });
        found.unwrap_or(place)
    }

    /// How many places the first `columns` columns take up, from the first place on.
    pub fn reach(self, columns: usize) -> usize {
        (0..columns)
            .map(|number| self.place(number) + 1)
            .max()
            .unwrap_or(0)
    }
}

/// One column as the table's descriptor has it.
pub struct Column<'a> {
    /// Its name.
    pub name: &'a CStr,
    /// Its type.
    pub type_oid: pg_sys::Oid,
    /// Whether it was dropped.
    pub is_dropped: bool,
}

impl Table {
    /// Opens a table to write rows (RowExclusiveLock).
    pub fn open_to_write(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        Self::open_known(schema, name, pg_sys::RowExclusiveLock as i32)
    }

    /// Opens a table to read rows (AccessShareLock).
    pub fn open_to_read(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        Self::open_known(schema, name, pg_sys::AccessShareLock as i32)
    }

    /// Opens a table to hold rows of it (RowShareLock).
    pub fn open_to_hold(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        Self::open_known(schema, name, pg_sys::RowShareLock as i32)
    }

    /// Opens a table whose name is known only now to read rows (AccessShareLock).
    pub fn find_to_read(schema: &CStr, name: &CStr) -> Option<Self> {
        oid(schema, name).map(|oid| Self::open(oid, pg_sys::AccessShareLock as i32))
    }

    fn open_known(
        schema: &'static CStr,
        name: &'static CStr,
        mode: pg_sys::LOCKMODE,
    ) -> Option<Self> {
        let oid = known_oid(schema, name)?;
        let table = Self::open(oid, mode);
        // Taking the lock is when changes are heard of: the name may mean another table now.
        match known_oid(schema, name) {
            Some(now) if now != oid => Some(Self::open(now, mode)),
            _ => Some(table),
        }
    }

    fn open(oid: pg_sys::Oid, mode: pg_sys::LOCKMODE) -> Self {
        // SAFETY: table_open raises an error where the oid does not name a table.
        let relation = unsafe { pg_sys::table_open(oid, mode) };
        Self {
            relation,
            order: ColumnOrder(None),
        }
    }

    /// The table with its columns numbered otherwise than they stand in it.
    pub fn with_order(mut self, order: ColumnOrder) -> Self {
        self.order = order;
        self
    }

    fn form(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has its pg_class row for as long as it is open.
        unsafe { &*(*self.relation).rd_rel }
    }

    /// The table's oid.
    pub fn oid(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open.
        unsafe { (*self.relation).rd_id }
    }

    /// The role that owns the table.
    pub fn owner(&self) -> pg_sys::Oid {
        self.form().relowner
    }

    /// Whether it is an ordinary table of PostgreSQL's own kind (heap), not a view, partitioned or
    /// foreign one.
    pub fn is_ordinary(&self) -> bool {
        self.form().relkind as u8 == pg_sys::RELKIND_RELATION
            && self.form().relam == pg_sys::HEAP_TABLE_AM_OID
    }

    /// Whether row-level security is switched on, for whomever.
    pub fn has_row_security(&self) -> bool {
        self.form().relrowsecurity
    }

    /// Whether it has no page, and so no row of anybody's.
    pub fn has_no_page(&self) -> bool {
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        // SAFETY: the relation is open and has storage.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, fork) == 0 }
    }

    /// Whether it has rules.
    pub fn has_rules(&self) -> bool {
        // SAFETY: an open relation's entry in the relation cache; its rules are there or null.
        unsafe { (*self.relation).rd_rules.as_ref() }.is_some_and(|rules| rules.numLocks > 0)
    }

    /// Whether it has a trigger of this name that fires.
    pub fn has_trigger(&self, name: &CStr) -> bool {
        // SAFETY: an open relation's entry in the relation cache; its triggers are there or null, and
        // their names end with a NUL.
        unsafe {
            let Some(triggers) = (*self.relation).trigdesc.as_ref() else {
                return false;
            };
            let all = std::slice::from_raw_parts(triggers.triggers, triggers.numtriggers as usize);
            all.iter()
                .any(|trigger| CStr::from_ptr(trigger.tgname) == name)
        }
    }

    /// Whether tables inherit from it.
    pub fn has_children(&self) -> bool {
        // The flag stays when the last of them is gone, until the table is analyzed.
        let may_have = self.form().relhassubclass;
        let no_lock = pg_sys::NoLock as pg_sys::LOCKMODE;
        // SAFETY: a look into the catalog by oid; the list lies in the current memory context.
        may_have && !unsafe { bindings::find_inheritance_children(self.oid(), no_lock) }.is_null()
    }

    /// Raises 42501 unless the current user may SELECT from the table.
    pub fn require_select(&self) {
        // SAFETY: look-ups by oid; the name is copied into the error.
        unsafe {
            let user = pg_sys::GetUserId();
            let wanted = pg_sys::ACL_SELECT as pg_sys::AclMode;
            let result = pg_sys::pg_class_aclcheck(self.oid(), user, wanted);
            if result != pg_sys::AclResult::ACLCHECK_OK {
                let name = (&raw const self.form().relname.data).cast();
                pg_sys::aclcheck_error(result, pg_sys::ObjectType::OBJECT_TABLE, name);
            }
        }
    }

    /// How many columns the descriptor has, dropped ones included.
    pub fn column_count(&self) -> usize {
        // SAFETY: the relation is open.
        unsafe { (*(*self.relation).rd_att).natts as usize }
    }

    /// The name of column `number`, from 0.
    pub fn column_name(&self, number: usize) -> &CStr {
        self.column(self.order.place(number)).name
    }

    /// The column that stands at a place, from 0.
    pub fn column(&self, number: usize) -> Column<'_> {
        debug_assert!(number < self.column_count());
        let attribute = self.attribute(number);
        // SAFETY: an attribute's name is NUL-terminated within its fixed width.
        unsafe {
            Column {
                name: CStr::from_ptr((*attribute).attname.data.as_ptr()),
                type_oid: (*attribute).atttypid,
                is_dropped: (*attribute).attisdropped,
            }
        }
    }

    /// Where the columns of these names and types are, from 0; `None` where one is missing or of
    /// another type.
    pub fn columns<const N: usize>(&self, wanted: [(&CStr, pg_sys::Oid); N]) -> Option<[usize; N]> {
        let mut places = [usize::MAX; N];
        for number in 0..self.column_count() {
            let column = self.column(number);
            let is_wanted = |(name, type_oid): &(&CStr, pg_sys::Oid)| {
                *name == column.name && *type_oid == column.type_oid
            };
            if let Some(wanted) = wanted.iter().position(is_wanted)
                && !column.is_dropped
            {
                places[wanted] = number;
            }
        }
        places
            .iter()
            .all(|place| *place != usize::MAX)
            .then_some(places)
    }

    pub(super) fn attribute(&self, number: usize) -> *mut pg_sys::FormData_pg_attribute {
        // SAFETY: callers stay below `column_count`.
        unsafe { bindings::TupleDescAttr((*self.relation).rd_att, number) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened in `open`, closed once; NoLock keeps the lock to the end.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as i32) }
        }
    }
}

/// An open index, for scans.
pub struct Index {
    pub(super) relation: pg_sys::Relation,
}

impl Index {
    /// Opens an index by name, to scan it (AccessShareLock); `None` where it is missing or still
    /// being built.
    pub fn open(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        Self::open_known(schema, name, pg_sys::AccessShareLock as i32)
    }

    /// The same, by one who will write to it too (RowExclusiveLock).
    pub fn open_to_write(schema: &'static CStr, name: &'static CStr) -> Option<Self> {
        Self::open_known(schema, name, pg_sys::RowExclusiveLock as i32)
    }

    fn open_known(
        schema: &'static CStr,
        name: &'static CStr,
        mode: pg_sys::LOCKMODE,
    ) -> Option<Self> {
        let oid = known_oid(schema, name)?;
        // SAFETY: index_open raises an error where the oid does not name an index.
        let relation = unsafe { pg_sys::index_open(oid, mode) };
        let index = Self { relation };
        // SAFETY: an open index has its pg_index row.
        let usable = unsafe { (*(*index.relation).rd_index).indisvalid };
        usable.then_some(index)
    }

    /// The collation the index compares its column `number` (from 0) by. 55000 unless this is a
    /// B-tree whose key column `number` holds values of type `type_oid`: an index of the same name
    /// may have been made over something else.
    pub(super) fn collation_of(&self, number: usize, type_oid: pg_sys::Oid) -> pg_sys::Oid {
        // SAFETY: an open index has its pg_index row, and arrays over its key columns.
        unsafe {
            let index = &*(*self.relation).rd_index;
            let is_as_expected = (*(*self.relation).rd_rel).relam == pg_sys::BTREE_AM_OID
                && number < index.indnkeyatts as usize
                && *(*self.relation).rd_opcintype.add(number) == type_oid;
            if !is_as_expected {
                self.refuse();
            }
            *(*self.relation).rd_indcollation.add(number)
        }
    }

    /// 55000 where this is an index of another table.
    pub(super) fn require_of(&self, table: &Table) {
        // SAFETY: an open index has its pg_index row.
        if unsafe { (*(*self.relation).rd_index).indrelid } != table.oid() {
            self.refuse();
        }
    }

    fn refuse(&self) -> ! {
        // SAFETY: the index is open.
        let name = unsafe { name_of(self.relation) };
        Report::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("index {name} is not the one that create_store() made"),
        )
        .hint("Drop it; SELECT message_store.create_store(); makes what is missing.")
        .raise()
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: opened in `open`, closed once.
            unsafe { pg_sys::index_close(self.relation, pg_sys::NoLock as i32) }
        }
    }
}
