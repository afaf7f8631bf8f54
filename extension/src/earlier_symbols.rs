//! What the SQL of earlier versions calls, and cannot call any more. Where parameters or results of a
//! function change, its symbol gets the version as a suffix, and the one it had comes here: a session
//! keeps the library that it has loaded, through an update of the SQL too.

use crate::pg::call::earlier_symbols;

earlier_symbols! {
    discard_parked,
    dry_run,
    promote,
    retry_parked,
    start,
    tick,
    verify,
}
