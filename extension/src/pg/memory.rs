//! Memory that is given back after each message.

use pgrx::PgMemoryContexts;

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
