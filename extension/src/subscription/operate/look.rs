//! Work that is looked at and taken back.

use crate::error::Error;
use crate::pg::failure::Failure;
use crate::pg::subtransaction::attempt;

/// Runs `work` and takes all its effects back, whether it succeeds or not.
pub fn looked_at<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let mut result = None;
    let taken_back = attempt(|| {
        result = Some(work()?);
        Err::<(), Error>(Error::TakenBack)
    });
    match (result, taken_back) {
        (Some(result), _) => Ok(result),
        (None, Err(failure)) => Err(Failure::go_on(failure)),
        (None, Ok(())) => Err(Error::TakenBack),
    }
}
