//! Which member of a consumer group reads what: Message DB's rule, to the letter.

use crate::error::Error;
use crate::message_db::null::or_null;
use crate::stream_name;
use md5::{Digest, Md5};

/// The first eight bytes of the MD5 sum, as a signed number. Message DB's `hash_64`.
pub fn hash_64(value: &[u8]) -> i64 {
    let sum = Md5::digest(value);
    let mut first = [0; 8];
    first.copy_from_slice(&sum[..8]);
    i64::from_be_bytes(first)
}

/// One member of a group of consumers of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    member: i64,
    size: i64,
}

impl Consumer {
    /// Checks the two arguments as Message DB does; `None` when neither is given.
    pub fn from_arguments(member: Option<i64>, size: Option<i64>) -> Result<Option<Self>, Error> {
        let refuse = |rule: &str| {
            let member = or_null(member);
            let size = or_null(size);
            Error::MessageDb(format!(
                "{rule} (Consumer Group Member: {member}, Consumer Group Size: {size})"
            ))
        };
        let (member, size) = match (member, size) {
            (None, None) => return Ok(None),
            (Some(member), Some(size)) => (member, size),
            _ => return Err(refuse("Consumer group member and size must be specified")),
        };
        if size < 1 {
            return Err(refuse("Consumer group size must not be less than 1"));
        }
        if member < 0 {
            return Err(refuse("Consumer group member must not be less than 0"));
        }
        if member >= size {
            return Err(refuse(
                "Consumer group member must be less than the group size",
            ));
        }
        Ok(Some(Self { member, size }))
    }

    /// The size as Message DB passes it on: a smallint, or error 22003.
    pub fn smallint_size(&self) -> Result<i16, Error> {
        i16::try_from(self.size).map_err(|_| Error::OutOfRange("smallint"))
    }

    /// Whether this member reads the stream. A name without an id belongs to no member.
    pub fn reads(&self, stream_name: &[u8]) -> Result<bool, Error> {
        let Some(cardinal_id) = stream_name::cardinal_id(stream_name) else {
            return Ok(false);
        };
        Ok(remainder(cardinal_id, self.size)? == self.member)
    }
}

fn remainder(cardinal_id: &[u8], size: i64) -> Result<i64, Error> {
    let hash = hash_64(cardinal_id)
        .checked_abs()
        .ok_or(Error::OutOfRange("bigint"))?;
    Ok(hash % size)
}

/// Which member of a group of this size reads the stream in a subscription: Message DB's, and
/// member 0 for a name without an id, which Message DB gives to nobody.
pub fn member_of(stream_name: &[u8], size: i64) -> Result<i64, Error> {
    stream_name::cardinal_id(stream_name).map_or(Ok(0), |id| remainder(id, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hash_is_message_dbs() {
        // SELECT hash_64('someId'), from Message DB 1.3.0.
        assert_eq!(hash_64(b""), -3162216497309240828);
    }

    #[test]
    fn a_stream_is_read_by_the_member_that_its_hash_says() {
        // 3162216497309240828 is the size of the hash, and 828 what is left of it by 1000.
        let reads = |member, stream: &[u8]| {
            let consumer = Consumer::from_arguments(Some(member), Some(1_000));
            consumer
                .ok()
                .flatten()
                .map(|consumer| consumer.reads(stream).ok())
        };
        assert_eq!(reads(828, b"account-"), Some(Some(true)));
        assert_eq!(reads(828, b"account-+more"), Some(Some(true)));
        assert_eq!(reads(827, b"account-"), Some(Some(false)));
        assert_eq!(member_of(b"account-", 1_000).ok(), Some(828));
    }

    #[test]
    fn a_name_without_an_id_is_member_0s_in_a_subscription_and_nobodys_in_message_db() {
        let first = Consumer { member: 0, size: 2 };
        assert_eq!(first.reads(b"account").ok(), Some(false));
        assert_eq!(member_of(b"account", 2).ok(), Some(0));
    }

    #[test]
    fn member_and_size_come_together_and_the_member_is_one_of_them() {
        let given = |member, size| Consumer::from_arguments(member, size).ok();
        assert_eq!(given(None, None), Some(None));
        assert_eq!(given(Some(0), None), None);
        assert_eq!(given(None, Some(1)), None);
        let fits =
            |member, size| given(Some(member), Some(size)) == Some(Some(Consumer { member, size }));
        assert!(fits(0, 1) && fits(2, 3));
        assert!(!fits(-1, 1) && !fits(0, 0) && !fits(3, 3) && !fits(4, 3));
    }

    #[test]
    fn each_wrong_argument_is_named() {
        let is_about = |member, size, rule: &str| {
            let refused = Consumer::from_arguments(Some(member), Some(size));
            matches!(refused, Err(Error::MessageDb(said)) if said.contains(rule))
        };
        assert!(is_about(0, 0, "size must not be less than 1"));
        assert!(is_about(-1, 1, "member must not be less than 0"));
        assert!(is_about(1, 1, "must be less than the group size"));
    }

    #[test]
    fn a_size_is_a_smallint() {
        let size = |size| Consumer { member: 0, size }.smallint_size().ok();
        assert_eq!(size(32_767), Some(32_767));
        assert_eq!(size(32_768), None);
    }

    proptest! {
        #[test]
        fn every_stream_with_an_id_has_exactly_one_reader(id in "[a-z0-9]{0,20}", size in 1..40_i64) {
            let stream = format!("account-{id}");
            let readers = (0..size)
                .filter_map(|member| Consumer::from_arguments(Some(member), Some(size)).ok().flatten())
                .filter(|member| member.reads(stream.as_bytes()).is_ok_and(|reads| reads))
                .count();
            prop_assert_eq!(readers, 1);
        }
    }
}
