//! Memory that is given back after each message, and PostgreSQL's own, looked at by name.

use pgrx::PgMemoryContexts;
use pgrx::pg_sys;
use std::ffi::CStr;

/// A memory context of our own, emptied again and again.
pub struct Scratch(PgMemoryContexts);

impl Scratch {
    /// A new, empty context below the current one.
    pub fn new(name: &'static str) -> Self {
        Self(PgMemoryContexts::new(name))
    }

    /// Runs `work` with this as the current memory context and frees what it left there.
    pub fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let result = self.within(work);
        self.reset();
        result
    }

    /// Runs `work` with this as the current memory context; what it left there stays until
    /// [`Scratch::reset`].
    pub fn within<T>(&mut self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the context belongs to this value; callers keep nothing beyond its reset.
        unsafe { self.0.switch_to(|_| work()) }
    }

    /// Frees everything.
    pub fn reset(&mut self) {
        // SAFETY: as in `within`.
        unsafe { self.0.reset() }
    }
}

/// The memory contexts directly below this one.
pub(super) fn children(of: pg_sys::MemoryContext) -> impl Iterator<Item = pg_sys::MemoryContext> {
    // SAFETY: a live context's children are a list that ends in null; nobody adds or deletes any
    // while it is walked.
    let next = |context: pg_sys::MemoryContext| unsafe {
        (!context.is_null()).then(|| (context, (*context).nextchild))
    };
    // SAFETY: as above.
    let mut following = unsafe { (*of).firstchild };
    std::iter::from_fn(move || {
        let (context, after) = next(following)?;
        following = after;
        Some(context)
    })
}

/// A memory context's name, as PostgreSQL gave it.
pub(super) fn name_of<'a>(context: pg_sys::MemoryContext) -> &'a CStr {
    // SAFETY: names of contexts are constants of the server or of a library.
    unsafe { CStr::from_ptr((*context).name) }
}

/// Whether there is a memory context of this name directly below another.
pub(super) fn has_child(of: pg_sys::MemoryContext, name: &CStr) -> bool {
    !of.is_null() && children(of).any(|context| name_of(context) == name)
}
