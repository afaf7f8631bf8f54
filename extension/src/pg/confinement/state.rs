//! Whether this session runs confined code now.

use std::cell::Cell;

thread_local! {
    static CONFINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether what runs now is confined.
pub(super) fn is_confined() -> bool {
    CONFINED.get()
}

/// Confines what runs from now on; returns whether it was confined before.
pub(super) fn confine() -> bool {
    CONFINED.replace(true)
}

/// Ends it, or not where it was confined before.
pub(super) fn put_back(before: bool) {
    CONFINED.set(before);
}
