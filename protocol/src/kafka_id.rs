//! Ids as Kafka writes them: the sixteen bytes of a UUID as 22 characters of URL-safe base64.

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn kafka_id(id: &Uuid) -> String {
    // 128 bits and four zeroes make 22 times six.
    let bits = id.as_u128();
    let digit = |position: u32| match position {
        21 => (bits << 4) & 0x3f,
        _ => (bits >> (122 - 6 * position)) & 0x3f,
    };
    (0..22).map(|position| ALPHABET[digit(position) as usize] as char).collect()
}

/// The inverse of [`kafka_id`].
pub fn parse_kafka_id(text: &str) -> Option<Uuid> {
    if text.len() != 22 {
        return None;
    }
    let digit = |byte: u8| ALPHABET.iter().position(|known| *known == byte).map(|digit| digit as u128);
    let bytes = text.as_bytes();
    let bits = bytes[..21].iter().try_fold(0_u128, |bits, byte| Some(bits << 6 | digit(*byte)?))?;
    Some(Uuid::from_u128(bits << 2 | digit(bytes[21])? >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(kafka_id(&Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(kafka_id(&Uuid::from_u128(u128::MAX)), "_____________________w");
        for text in ["KhS4CUNISVCzghnRNkHnfw", "2d19tftuSK-vOeCXcViX4A", "T3R0bGEtcmVmZXJlbmNlMQ"] {
            assert_eq!(kafka_id(&parse_kafka_id(text).unwrap()), text);
        }
        assert_eq!(parse_kafka_id("short"), None);
        assert_eq!(parse_kafka_id("!!!!!!!!!!!!!!!!!!!!!!"), None);
    }
}
