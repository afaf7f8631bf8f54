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
        // SAFETY: the context belongs to this value; callers keep nothing that `work` allocated.
        unsafe {
            let result = self.0.switch_to(|_| work());
            self.0.reset();
            result
        }
    }
}
