//! Zigzag varints, as records write their lengths and deltas.

use super::MalformedRecords;

/// Reads an i32 of 1 to 5 bytes at the front of `bytes`, and leaves the rest in it.
#[inline]
pub(super) fn take_i32(bytes: &mut &[u8]) -> Result<i32, MalformedRecords> {
    let raw = take(bytes, 5)?;
    // As in Java, bits above the 32nd fall away.
    let raw = raw as u32;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads an i64 of 1 to 10 bytes at the front of `bytes`, and leaves the rest in it.
#[inline]
pub(super) fn take_i64(bytes: &mut &[u8]) -> Result<i64, MalformedRecords> {
    let raw = take(bytes, 10)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

#[inline]
fn take(bytes: &mut &[u8], max_bytes: usize) -> Result<u64, MalformedRecords> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => {
            *bytes = &bytes[1..];
            Ok(u64::from(byte))
        }
        _ => take_long(bytes, max_bytes),
    }
}

fn take_long(bytes: &mut &[u8], max_bytes: usize) -> Result<u64, MalformedRecords> {
    let mut raw = 0u64;
    for (position, &byte) in bytes.iter().take(max_bytes).enumerate() {
        raw |= u64::from(byte & 0x7f).wrapping_shl(7 * position as u32);
        if byte < 0x80 {
            *bytes = &bytes[position + 1..];
            return Ok(raw);
        }
    }
    match bytes.len() < max_bytes {
        true => Err(MalformedRecords::Truncated),
        false => Err(MalformedRecords::VarintTooLong),
    }
}

pub(super) fn put_i32(bytes: &mut Vec<u8>, value: i32) {
    put(bytes, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

pub(super) fn put_i64(bytes: &mut Vec<u8>, value: i64) {
    put(bytes, ((value << 1) ^ (value >> 63)) as u64);
}

fn put(bytes: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        bytes.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for value in [
            0,
            1,
            -1,
            63,
            64,
            -64,
            -65,
            8191,
            8192,
            i64::from(i32::MAX),
            i64::from(i32::MIN),
            i64::MAX,
            i64::MIN,
        ] {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, value);
            assert_eq!(take_i64(&mut &bytes[..]), Ok(value));
            if let Ok(small) = i32::try_from(value) {
                let mut narrow = Vec::new();
                put_i32(&mut narrow, small);
                assert_eq!(narrow, bytes);
                assert_eq!(take_i32(&mut &narrow[..]), Ok(small));
            }
        }
    }

    #[test]
    fn refuses_too_many_bytes() {
        assert_eq!(take_i32(&mut &[0xff; 6][..]), Err(MalformedRecords::VarintTooLong));
        assert_eq!(take_i64(&mut &[0xff; 11][..]), Err(MalformedRecords::VarintTooLong));
        assert_eq!(take_i32(&mut &[0xff; 3][..]), Err(MalformedRecords::Truncated));
        assert_eq!(take_i32(&mut &[][..]), Err(MalformedRecords::Truncated));
    }
}
