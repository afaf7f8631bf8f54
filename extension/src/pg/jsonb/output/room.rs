//! Room for the text of a value, which must not grow past what a value may have.

/// The text is longer than any value of PostgreSQL, or than memory has room for. A number of a few
/// bytes may have a hundred thousand digits.
#[derive(Debug)]
pub struct TooLong;

/// PostgreSQL's `MaxAllocSize`: the most bytes of a value.
const LIMIT: usize = 0x3FFF_FFFF;

/// Sees to it that so many more bytes, and a few between two values, have room.
pub fn make_room(text: &mut Vec<u8>, bytes: usize) -> Result<(), TooLong> {
    const BETWEEN: usize = 16;
    let more = bytes.saturating_add(BETWEEN);
    if text.len().saturating_add(more) > LIMIT {
        return Err(TooLong);
    }
    text.try_reserve(more).map_err(|_| TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_beyond_the_limit_is_refused_before_it_is_made() {
        let mut text = vec![b' '; 64];
        assert!(make_room(&mut text, LIMIT - 128).is_ok());
        assert!(make_room(&mut text, LIMIT - 64).is_err());
        assert!(make_room(&mut text, usize::MAX).is_err());
    }
}
