//! FNV-1a, a stable hash. <http://www.isthe.com/chongo/tech/comp/fnv/>

/// The 64 bits of it. Part of the protocol of announcements, and of what stores keep.
pub fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
