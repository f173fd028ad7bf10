//! Segments in memory that take the place of others: at once, since nobody can see them half done.

use std::any::Any;

use bytes::Bytes;

use super::{MemoryStore, Segment};
use crate::aborted::AbortedTransaction;
use crate::batch_info::BatchInfo;
use crate::error::StorageError;
use crate::options::LogOptions;
use crate::store::{Extent, Placed, Replacement, Replacing, Rewrite, Source};

struct NewSegment {
    segment: Segment,
    aborted: Vec<AbortedTransaction>,
    is_in_place: bool,
}

/// The batches of a segment as it was.
struct Batches(std::vec::IntoIter<Bytes>, Bytes);

impl Rewrite for MemoryStore {
    fn source(&mut self, base_offset: i64, from: i64, _: usize) -> Option<Box<dyn Source>> {
        let segment = self.segments.iter().find(|segment| segment.rolling.base_offset == base_offset)?;
        let first = segment.batches.partition_point(|batch| batch.info.last_offset < from);
        let batches: Vec<_> = segment.batches[first..].iter().map(|batch| batch.bytes.clone()).collect();
        Some(Box::new(Batches(batches.into_iter(), Bytes::new())))
    }

    fn begin_replacement(&mut self, extents: &[Extent], _: &LogOptions) -> Option<Box<dyn Replacement>> {
        let base_offset = extents.first().map_or(0, |first| first.base_offset);
        let modified_ms = extents.iter().map(|extent| extent.modified_ms).max().unwrap_or(0);
        let segment = Segment::new(base_offset, modified_ms);
        Some(Box::new(NewSegment { segment, aborted: Vec::new(), is_in_place: false }))
    }

    fn replace(
        &mut self,
        extents: &[Extent],
        with: &mut dyn Replacement,
        _: i64,
    ) -> Result<Replacing, StorageError> {
        let with: &mut dyn Any = with;
        let Some(new) = with.downcast_mut::<NewSegment>() else {
            return Err(StorageError::corrupt("a replacement of another engine"));
        };
        if new.is_in_place {
            return Ok(Replacing::Done);
        }
        let current =
            self.segments.iter().map(|segment| (segment.rolling.base_offset, segment.rolling.bytes));
        let wanted = extents.iter().map(|extent| (extent.base_offset, extent.bytes));
        let first = current.clone().position(|segment| Some(segment) == wanted.clone().next());
        let Some(first) = first.filter(|first| current.skip(*first).take(extents.len()).eq(wanted)) else {
            return Ok(Replacing::Gone);
        };
        let (from, end) = (extents[0].base_offset, extents[extents.len() - 1].next_offset);
        let segment = std::mem::replace(&mut new.segment, Segment::new(from, 0));
        self.segments.splice(first..first + extents.len(), [segment]);
        let is_old = |aborted: &AbortedTransaction| (from..end).contains(&aborted.last_offset);
        let at = self.aborted.partition_point(|aborted| aborted.last_offset < from);
        self.aborted.retain(|aborted| !is_old(aborted));
        self.aborted.splice(at..at, std::mem::take(&mut new.aborted));
        new.is_in_place = true;
        Ok(Replacing::Done)
    }
}

impl Source for Batches {
    fn next(&mut self) -> Result<Option<&[u8]>, StorageError> {
        let Some(next) = self.0.next() else { return Ok(None) };
        self.1 = next;
        Ok(Some(&self.1))
    }
}

impl Replacement for NewSegment {
    fn append(&mut self, batches: &[u8], aborted: &[AbortedTransaction]) -> Result<(), StorageError> {
        let mut rest = batches;
        while let Some(info) = BatchInfo::parse(rest) {
            let (batch, behind) = rest.split_at((info.size as usize).min(rest.len()));
            self.segment.push(Placed { info, bytes: Bytes::copy_from_slice(batch) });
            rest = behind;
        }
        self.aborted.extend(aborted);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}
