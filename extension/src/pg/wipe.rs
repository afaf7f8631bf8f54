//! The free room of pages, where rows that VACUUM took away have left their bytes.

use pgrx::pg_sys;

/// Overwrites the free room of all pages of a table or an index with zeros; returns of how many it held
/// something else.
///
/// PostgreSQL closes the gap that a row leaves by moving the others, and does not write over what then is
/// between the line pointers and the rows; what reads or writes rows never looks there. The page is logged
/// whole, without that room, so that standbys and a recovery have zeros there too.
pub fn free_room(oid: pg_sys::Oid) -> i64 {
    let mut wiped = 0;
    // SAFETY: the relation stays open; each page is pinned, and locked against everybody while it is
    // looked at and changed; nothing is allocated and nothing can raise between the change and its record.
    unsafe {
        let relation = pg_sys::relation_open(oid, pg_sys::AccessShareLock as i32);
        let is_logged =
            (*(*relation).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT;
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_VACUUM);
        for block in 0..pg_sys::RelationGetNumberOfBlocksInFork(relation, fork) {
            pgrx::check_for_interrupts!();
            let mode = pg_sys::ReadBufferMode::RBM_NORMAL;
            let buffer = pg_sys::ReadBufferExtended(relation, fork, block, mode, strategy);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_EXCLUSIVE as i32);
            let room = room_of(pg_sys::BufferGetPage(buffer));
            if room.iter().any(|byte| *byte != 0) {
                pg_sys::CritSectionCount += 1;
                room.fill(0);
                pg_sys::MarkBufferDirty(buffer);
                if is_logged {
                    let is_standard = true;
                    pg_sys::log_newpage_buffer(buffer, is_standard);
                }
                pg_sys::CritSectionCount -= 1;
                wiped += 1;
            }
            pg_sys::UnlockReleaseBuffer(buffer);
        }
        pg_sys::FreeAccessStrategy(strategy);
        pg_sys::relation_close(relation, pg_sys::AccessShareLock as i32);
    }
    wiped
}

/// The room between the line pointers and the rows; none where the page is new.
///
/// # Safety
/// The page must be pinned and locked against everybody for as long as the room is used.
unsafe fn room_of<'a>(page: pg_sys::Page) -> &'a mut [u8] {
    let header = page.cast::<pg_sys::PageHeaderData>();
    // SAFETY: the caller's; a page begins with its header, and what is used of it is within the page.
    unsafe {
        let (lower, upper) = ((*header).pd_lower as usize, (*header).pd_upper as usize);
        let is_sound = size_of::<pg_sys::PageHeaderData>() <= lower
            && lower <= upper
            && upper <= pg_sys::BLCKSZ as usize;
        let length = if is_sound { upper - lower } else { 0 };
        std::slice::from_raw_parts_mut(page.cast::<u8>().add(lower), length)
    }
}
