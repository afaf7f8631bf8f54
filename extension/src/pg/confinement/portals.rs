//! Portals: cursors that are open when confined code begins are out of its reach, and those that
//! it opens are gone when it has ended.
//!
//! An open portal runs a query with the rights it was opened with: whoever fetches from it sees
//! what its owner may see.

use crate::pg::memory;
use pgrx::pg_sys;
use std::cell::Cell;
use std::ffi::CStr;

thread_local! {
    /// The memory context above those of all portals, which is made once, when a session begins.
    static ABOVE: Cell<pg_sys::MemoryContext> = const { Cell::new(std::ptr::null_mut()) };
}

/// Those that are there when confined code begins.
pub(super) struct Portals {
    known: Vec<pg_sys::Portal>,
    /// Of these, those that could be fetched from.
    ready: Vec<pg_sys::Portal>,
}

impl Portals {
    /// Keeps the portals there are from being fetched from, moved in or closed, until dropped.
    pub(super) fn hidden() -> Self {
        let known = all();
        // SAFETY: live portals. One that says that it is running is left alone by everybody; none
        // of these ends before this value does, since it belongs to a caller of ours.
        let ready = unsafe {
            let is_ready =
                |portal: &pg_sys::Portal| (**portal).status == pg_sys::PortalStatus::PORTAL_READY;
            let ready: Vec<_> = known.iter().copied().filter(is_ready).collect();
            for portal in &ready {
                (**portal).status = pg_sys::PortalStatus::PORTAL_ACTIVE;
            }
            ready
        };
        Self { known, ready }
    }

    /// Closes the portals that were opened since.
    pub(super) fn close_others(&self) {
        for portal in all() {
            if !self.known.contains(&portal) {
                let is_top_commit = false;
                // SAFETY: a live portal of code that has ended; PostgreSQL raises an error where
                // it cannot be closed.
                unsafe { pg_sys::PortalDrop(portal, is_top_commit) };
            }
        }
    }
}

impl Drop for Portals {
    /// Also while an error unwinds: an abort ends portals by their status.
    fn drop(&mut self) {
        for portal in &self.ready {
            // SAFETY: as in `hidden`.
            unsafe { (**portal).status = pg_sys::PortalStatus::PORTAL_READY };
        }
    }
}

/// Every portal of the session. Each has a memory context of its own below a common one, which
/// bears its name.
fn all() -> Vec<pg_sys::Portal> {
    let above = above_all();
    if above.is_null() {
        return Vec::new();
    }
    memory::children(above).filter_map(portal_in).collect()
}

fn above_all() -> pg_sys::MemoryContext {
    if ABOVE.get().is_null() {
        // SAFETY: a plain global that is set before any session begins.
        let top = unsafe { pg_sys::TopMemoryContext };
        let found =
            memory::children(top).find(|context| memory::name_of(*context) == c"TopPortalContext");
        ABOVE.set(found.unwrap_or(std::ptr::null_mut()));
    }
    ABOVE.get()
}

/// The portal whose memory this is.
fn portal_in(context: pg_sys::MemoryContext) -> Option<pg_sys::Portal> {
    /// How the context of the portal without a name is called.
    const UNNAMED: &CStr = c"<unnamed>";
    // SAFETY: a portal's context bears its name, which lives as long; a name is looked up.
    unsafe {
        if (*context).ident.is_null() {
            return None;
        }
        let name = CStr::from_ptr((*context).ident);
        let found = |name: &CStr| {
            let portal = pg_sys::GetPortalByName(name.as_ptr());
            (!portal.is_null() && (*portal).portalContext == context).then_some(portal)
        };
        found(name).or_else(|| (name == UNNAMED).then(|| found(c"")).flatten())
    }
}
