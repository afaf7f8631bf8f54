//! The text of a number in a jsonb value: PostgreSQL's `numeric`, digits to the base 10,000.

use super::room::{TooLong, make_room};

/// Marks of the first two bytes after the length; a short number has its sign, scale and weight in
/// them, a long one its sign and scale, and its weight after.
mod mark {
    pub const KIND: u16 = 0xC000;
    pub const NEGATIVE: u16 = 0x4000;
    pub const SHORT: u16 = 0x8000;
    pub const SPECIAL: u16 = 0xC000;
    pub const MINUS_INFINITY: u16 = 0xF000;
    pub const INFINITY: u16 = 0xD000;
    pub const SPECIALS: u16 = 0xF000;
    pub const SHORT_NEGATIVE: u16 = 0x2000;
    pub const SHORT_SCALE: u16 = 0x1F80;
    pub const SHORT_SCALE_SHIFT: u32 = 7;
    pub const SHORT_WEIGHT_NEGATIVE: u16 = 0x0040;
    pub const SHORT_WEIGHT: u16 = 0x003F;
    pub const LONG_SCALE: u16 = 0x3FFF;
}

/// Decimal digits in one of the base 10,000.
const DECIMALS: usize = 4;
/// Bytes of the length that a stored number begins with.
const LENGTH: usize = 4;

struct Number<'a> {
    is_negative: bool,
    /// Decimal digits after the point that are shown.
    scale: usize,
    /// The power of 10,000 of the first digit.
    weight: i32,
    digits: &'a [u8],
}

/// Appends the text of a number, given the bytes it is stored in.
pub fn append(stored: &[u8], text: &mut Vec<u8>) -> Result<(), TooLong> {
    match Number::read(&stored[LENGTH..]) {
        Ok(number) => {
            let powers = usize::try_from(number.weight + 1).unwrap_or(0);
            make_room(text, DECIMALS * (powers + 1) + number.scale)?;
            number.append(text);
        }
        Err(special) => {
            make_room(text, special.len())?;
            text.extend_from_slice(special);
        }
    }
    Ok(())
}

impl<'a> Number<'a> {
    /// An error is the text of what is no number, which JSON does not have.
    fn read(stored: &'a [u8]) -> Result<Self, &'static [u8]> {
        let first = short(stored, 0);
        match first & mark::KIND {
            mark::SPECIAL => Err(match first & mark::SPECIALS {
                mark::INFINITY => b"Infinity",
                mark::MINUS_INFINITY => b"-Infinity",
                _ => b"NaN",
            }),
            mark::SHORT => {
                let weight = i32::from(first & mark::SHORT_WEIGHT);
                let beyond = i32::from(mark::SHORT_WEIGHT) + 1;
                Ok(Self {
                    is_negative: first & mark::SHORT_NEGATIVE != 0,
                    scale: usize::from((first & mark::SHORT_SCALE) >> mark::SHORT_SCALE_SHIFT),
                    weight: if first & mark::SHORT_WEIGHT_NEGATIVE != 0 {
                        weight - beyond
                    } else {
                        weight
                    },
                    digits: &stored[2..],
                })
            }
            sign => Ok(Self {
                is_negative: sign == mark::NEGATIVE,
                scale: usize::from(first & mark::LONG_SCALE),
                weight: i32::from(short(stored, 2).cast_signed()),
                digits: &stored[4..],
            }),
        }
    }

    fn append(&self, text: &mut Vec<u8>) {
        if self.is_negative {
            text.push(b'-');
        }
        let begin = text.len();
        for power in (0..=self.weight).rev() {
            text.extend_from_slice(&decimals(self.digit(power)));
        }
        let zeros = text[begin..]
            .iter()
            .take_while(|digit| **digit == b'0')
            .count();
        text.drain(begin..begin + zeros);
        if text.len() == begin {
            text.push(b'0');
        }
        if self.scale > 0 {
            text.push(b'.');
            let end = text.len() + self.scale;
            let mut power = -1;
            while text.len() < end {
                text.extend_from_slice(&decimals(self.digit(power)));
                power -= 1;
            }
            text.truncate(end);
        }
    }

    /// The digit that is multiplied by 10,000 to this power.
    fn digit(&self, power: i32) -> u16 {
        let at = usize::try_from(self.weight - power).map(|number| 2 * number);
        match at {
            Ok(at) if at + 2 <= self.digits.len() => short(self.digits, at),
            _ => 0,
        }
    }
}

fn decimals(digit: u16) -> [u8; DECIMALS] {
    let decimal = |divisor: u16| b'0' + (digit / divisor % 10) as u8;
    [decimal(1000), decimal(100), decimal(10), decimal(1)]
}

fn short(stored: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([stored[at], stored[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(shorts: &[u16]) -> String {
        let mut stored = vec![0; LENGTH];
        stored.extend(shorts.iter().flat_map(|short| short.to_ne_bytes()));
        let mut text = Vec::new();
        append(&stored, &mut text).expect("short enough");
        String::from_utf8(text).expect("digits")
    }

    #[test]
    fn a_short_number_is_printed_with_its_sign_and_scale() {
        assert_eq!(printed(&[mark::SHORT]), "0");
        assert_eq!(printed(&[mark::SHORT, 42]), "42");
        assert_eq!(
            printed(&[mark::SHORT | mark::SHORT_NEGATIVE | 1, 1, 234]),
            "-10234"
        );
        assert_eq!(printed(&[mark::SHORT | (2 << 7), 1, 5000]), "1.50");
        assert_eq!(printed(&[mark::SHORT | (6 << 7) | 0x7F, 12]), "0.001200");
    }

    #[test]
    fn a_long_number_has_its_weight_apart() {
        assert_eq!(printed(&[0, 2, 7]), "700000000");
        assert_eq!(printed(&[mark::NEGATIVE | 3, 0, 1, 2500]), "-1.250");
    }
}
