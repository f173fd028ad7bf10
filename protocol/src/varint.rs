//! Unsigned varints (KIP-482): seven bits a byte, the least significant first, at most five bytes.

/// The most bytes that a 32-bit varint takes.
pub const MAX_LENGTH: usize = 5;

/// The value at the front of `bytes` and how many bytes it took; `None` when it does not end in time or is wider than 32 bits.
pub fn unsigned(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut value = 0_u32;
    for (at, &byte) in bytes.iter().take(MAX_LENGTH).enumerate() {
        let bits = u32::from(byte & 0x7f);
        if at == MAX_LENGTH - 1 && bits > 0x0f {
            return None;
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

/// Writes `value` and says in how many of the bytes.
pub fn encode_unsigned(mut value: u32) -> ([u8; MAX_LENGTH], usize) {
    let mut bytes = [0; MAX_LENGTH];
    let mut at = 0;
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    (bytes, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 28, u32::MAX] {
            let (bytes, length) = encode_unsigned(value);
            assert_eq!(unsigned(&bytes[..length]), Some((value, length)));
            assert_eq!(unsigned(&bytes[..length - 1]), None);
        }
    }

    #[test]
    fn refuses_more_than_32_bits() {
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(unsigned(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
    }
}
