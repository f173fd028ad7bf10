//! Where a group begins in a partition that it has never read (`share.auto.offset.reset`).

use ottla_storage::StorageError;

use super::leader::ShareFailure;
use super::settings::OffsetReset;
use crate::broker::{Isolation, Led};

/// The offset; an error when there is no record so new.
pub async fn initial_offset(led: &Led, reset: OffsetReset, now_ms: i64) -> Result<i64, ShareFailure> {
    let found = match reset {
        OffsetReset::Earliest => led.partition.log().start_offset().map(Some),
        OffsetReset::Latest => {
            led.partition.visible().map(|visible| Some(visible.end(Isolation::ReadUncommitted)))
        }
        OffsetReset::ByDuration { ms } => at_time(led, now_ms.saturating_sub(ms)).await,
    };
    match found {
        Ok(Some(offset)) => Ok(offset),
        Ok(None) => Err(ShareFailure::OffsetNotAvailable),
        Err(StorageError::Deleted) => Err(ShareFailure::UnknownTopicOrPartition),
        Err(_) => Err(ShareFailure::Unknown),
    }
}

async fn at_time(led: &Led, timestamp_ms: i64) -> Result<Option<i64>, StorageError> {
    let found = led.partition.look_up(move |log| log.offset_for_timestamp(timestamp_ms)).await?;
    let end = led.partition.visible()?.end(Isolation::ReadUncommitted);
    Ok(found.map(|found| found.offset).filter(|offset| *offset < end))
}
