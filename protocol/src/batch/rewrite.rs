//! A batch again, with fewer records: what compaction leaves of it. Everything that tells who wrote it and where it lies
//! stays: offsets, sequences, producer, epoch, codec. So producers and consumers see a gap and no more.

use super::builder::{put_length, put_nullable};
use super::header::{
    COMPRESSION_MASK, CONTROL_FLAG, DELETE_HORIZON_FLAG, LOG_APPEND_TIME_FLAG, TRANSACTIONAL_FLAG,
};
use super::varint::{put_i32, put_i64};
use super::{BATCH_HEADER_BYTES, BatchHeader, NO_TIMESTAMP, RecordView, TimestampType};
use crate::codec::{self, CodecError, Compression};

/// Writes the batch of `header` behind `into`, with these of its records (one at least). The maximum timestamp becomes
/// that of the records, unless the log gave the batch its time. A delete horizon (KIP-534) takes the place of the base
/// timestamp, and the records' timestamps then count from it.
pub fn rewrite<'a>(
    header: &BatchHeader,
    records: impl Iterator<Item = RecordView<'a>>,
    delete_horizon_ms: Option<i64>,
    into: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let compression = header.compression().ok_or_else(|| CodecError::Corrupt("unknown codec".to_owned()))?;
    let start = into.len();
    into.resize(start + BATCH_HEADER_BYTES, 0);
    let mut inflated = Vec::new();
    let payload = if compression == Compression::None { &mut *into } else { &mut inflated };

    let (mut base_timestamp_ms, mut newest_ms, mut count) = (delete_horizon_ms, NO_TIMESTAMP, 0);
    let mut written = Vec::new();
    for record in records {
        let timestamp_ms = header.timestamp_of(record.timestamp_delta);
        let base_ms = *base_timestamp_ms.get_or_insert(timestamp_ms);
        newest_ms = newest_ms.max(timestamp_ms);
        count += 1;
        write_record(&record, timestamp_ms.wrapping_sub(base_ms), &mut written);
        put_length(payload, written.len());
        payload.extend_from_slice(&written);
    }
    if compression != Compression::None {
        into.extend_from_slice(&codec::compress(compression, None, &inflated)?);
    }
    let horizon = delete_horizon_ms.map_or(0, |_| DELETE_HORIZON_FLAG);
    let changed = BatchHeader {
        attributes: kept_flags(header) | header.attributes & COMPRESSION_MASK | horizon,
        base_timestamp_ms: base_timestamp_ms.unwrap_or(NO_TIMESTAMP),
        max_timestamp_ms: match header.timestamp_type() {
            TimestampType::CreateTime => newest_ms,
            TimestampType::LogAppendTime => header.max_timestamp_ms,
        },
        records_count: count,
        ..*header
    };
    changed.write(&mut into[start..]);
    Ok(())
}

/// Writes the batch of `header` behind `into` without any of its records: what remains tells a producer's last sequence,
/// or where the log was compacted to.
pub fn rewrite_empty(header: &BatchHeader, into: &mut Vec<u8>) {
    let start = into.len();
    into.resize(start + BATCH_HEADER_BYTES, 0);
    let changed = BatchHeader {
        attributes: kept_flags(header),
        base_timestamp_ms: NO_TIMESTAMP,
        records_count: 0,
        ..*header
    };
    changed.write(&mut into[start..]);
}

fn kept_flags(header: &BatchHeader) -> i16 {
    header.attributes & (LOG_APPEND_TIME_FLAG | TRANSACTIONAL_FLAG | CONTROL_FLAG)
}

/// All of a record but its length.
fn write_record(record: &RecordView<'_>, timestamp_delta: i64, written: &mut Vec<u8>) {
    written.clear();
    written.push(0); // attributes: none is in use
    put_i64(written, timestamp_delta);
    put_i32(written, record.offset_delta);
    put_nullable(written, record.key);
    put_nullable(written, record.value);
    put_length(written, record.headers_count());
    written.extend_from_slice(record.headers_bytes());
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch::{BatchBuilder, RecordBatch, Records};

    const HEADERS: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"1")), (b"h", None), (b"", Some(b""))];

    fn batch(codec: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new().base_offset(100).leader_epoch(3).producer(7, 2, i32::MAX - 1);
        builder = builder.transactional().compression(codec, None);
        for (n, timestamp_ms) in [1000, 5000, 2000, 900].into_iter().enumerate() {
            let key = format!("k{n}");
            let value = (n != 2).then_some(&b"value"[..]);
            builder.append_with_headers(timestamp_ms, Some(key.as_bytes()), value, HEADERS);
        }
        builder.build()
    }

    type Seen = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

    fn records(batch: &RecordBatch) -> Vec<Seen> {
        let payload = batch.inflate(1 << 20).unwrap();
        Records::new(&payload, batch.records_count)
            .map(|record| {
                let record = record.unwrap();
                assert!(record.headers().eq(HEADERS.iter().copied()), "headers, in order, with doubles");
                let (at, offset) =
                    (batch.timestamp_of(record.timestamp_delta), batch.offset_of(record.offset_delta));
                (
                    at,
                    offset,
                    record.key.unwrap().to_vec(),
                    record.value.map(<[u8]>::to_vec),
                    record.headers_count(),
                )
            })
            .collect()
    }

    /// The batch with the records at these places, with what was before it in the buffer left alone.
    fn rewritten(batch: &RecordBatch, keep: &[usize], horizon: Option<i64>) -> RecordBatch {
        let payload = batch.inflate(1 << 20).unwrap();
        let all = Records::new(&payload, batch.records_count).map(Result::unwrap).enumerate();
        let kept = all.filter(|(n, _)| keep.contains(n)).map(|(_, record)| record);
        let mut bytes = b"before".to_vec();
        rewrite(batch, kept, horizon, &mut bytes).unwrap();
        assert_eq!(&bytes[..6], b"before");
        let again = RecordBatch::parse(&Bytes::copy_from_slice(&bytes[6..])).unwrap();
        assert!(again.is_crc_valid() && again.bytes().len() == bytes.len() - 6);
        again
    }

    #[test]
    fn what_is_kept_is_what_it_was() {
        for codec in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            let before = batch(codec);
            for (keep, horizon) in
                [(&[0, 1, 2, 3][..], None), (&[1, 3], None), (&[2], Some(77_000)), (&[0, 2], Some(5))]
            {
                let after = rewritten(&before, keep, horizon);
                let what = format!("{codec} {keep:?} {horizon:?}");
                let expected: Vec<_> = keep.iter().map(|n| records(&before)[*n].clone()).collect();
                assert_eq!(records(&after), expected, "{what}");
                assert_eq!(after.delete_horizon_ms(), horizon, "{what}");
                let newest = expected.iter().map(|record| record.0).max().unwrap();
                let base = horizon.unwrap_or(expected[0].0);
                let header = BatchHeader {
                    batch_length: after.batch_length,
                    crc: after.crc,
                    attributes: before.attributes | horizon.map_or(0, |_| DELETE_HORIZON_FLAG),
                    base_timestamp_ms: base,
                    max_timestamp_ms: newest,
                    records_count: keep.len() as i32,
                    ..*before
                };
                assert_eq!(*after, header, "{what}");
                // Once more, as the next pass would: the horizon stays when it is given again.
                assert_eq!(rewritten(&after, &[0], horizon).delete_horizon_ms(), horizon, "{what}");
                assert_eq!(records(&rewritten(&after, &[0], None)), expected[..1], "{what}");
            }
        }
        let before = batch(Compression::None);
        assert_eq!(rewritten(&before, &[0, 1, 2, 3], None).bytes(), before.bytes(), "byte for byte");
    }

    #[test]
    fn the_time_of_the_log_stays() {
        let mut builder = BatchBuilder::new().log_append_time(9000);
        builder.append(1, Some(b"a"), None);
        builder.append(2, Some(b"b"), None);
        let before = builder.build();
        let payload = before.inflate(1 << 20).unwrap();
        let mut bytes = Vec::new();
        let second = Records::new(&payload, 2).map(Result::unwrap).skip(1);
        rewrite(&before, second, Some(50_000), &mut bytes).unwrap();
        let after = RecordBatch::parse(&bytes.into()).unwrap();
        assert_eq!((after.max_timestamp_ms, after.delete_horizon_ms()), (9000, Some(50_000)));
        let payload = after.inflate(1 << 20).unwrap();
        let record = Records::new(&payload, 1).next().unwrap().unwrap();
        assert_eq!(after.timestamp_of(record.timestamp_delta), 9000);
    }

    #[test]
    fn an_emptied_batch_is_a_header() {
        let before = batch(Compression::Zstd);
        let mut bytes = Vec::new();
        rewrite_empty(&before, &mut bytes);
        let after = RecordBatch::parse(&bytes.into()).unwrap();
        assert!(after.is_crc_valid() && after.bytes().len() == BATCH_HEADER_BYTES);
        let header = BatchHeader {
            batch_length: after.batch_length,
            crc: after.crc,
            attributes: TRANSACTIONAL_FLAG,
            base_timestamp_ms: -1,
            records_count: 0,
            ..*before
        };
        assert_eq!(*after, header);
        assert_eq!(
            (after.last_offset(), after.last_sequence()),
            (before.last_offset(), before.last_sequence())
        );
    }
}
