//! Requests as no client would send them: cut short, with bytes changed, or made to take as much memory as they can.
//! None may panic, and none may take more memory than the guard allows for its length.

// An allocator is unsafe to write; this one hands every call on to the system's and counts.
#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use ottla_protocol::messages::*;
use ottla_protocol::{guard, request, shapes};
use support::{Random, Style, body, with_every_request};

/// How many changed bodies are tried for each API and version.
const MUTATIONS: u64 = 400;
/// What errors and the test itself may take, in bytes.
const OVERHEAD: usize = 64 * 1024;

struct Counting;

thread_local! {
    /// Bytes that this thread holds, and the most that it has held.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(change: impl Fn(usize) -> usize) {
    // A thread that is ending has no counter any more.
    let _ended = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = change(now);
        held.set((now, most.max(now)));
    });
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|now| now + layout.size());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(|now| now.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(|now| now.saturating_sub(layout.size()) + new_size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decodes, and says how many bytes that took at the most. The guard may refuse; the decoder may too.
fn memory_of<R: Request>(version: i16, body: &Bytes) -> usize {
    HELD.set((0, 0));
    let _refused = request::decode_body::<R>(R::KEY, version, body.clone()).is_err();
    HELD.get().1
}

#[track_caller]
fn check<R: Request>(version: i16, body: &Bytes) {
    let allowed = guard::allowance(body.len()) + OVERHEAD;
    let took = memory_of::<R>(version, body);
    let name = std::any::type_name::<R>();
    assert!(took <= allowed, "{name} v{version}: {took} bytes for {} ({allowed} allowed)", body.len());
}

fn versions<R: Request>() -> impl Iterator<Item = i16> {
    let shape = shapes::request(R::KEY).unwrap();
    shape.versions.min.max(R::VERSIONS.min)..=shape.versions.max.min(R::VERSIONS.max)
}

#[test]
fn changed_bodies() {
    fn changed<R: Request>() {
        let shape = shapes::request(R::KEY).unwrap();
        for version in versions::<R>() {
            for seed in 0..MUTATIONS {
                let mut random = Random::new(seed ^ (R::KEY as u64) << 32);
                let bytes = body(shape, version, Style::Newer, &mut random);
                check::<R>(version, &mutate(bytes, &mut random));
            }
        }
    }
    macro_rules! all {
        ($($request:ident)*) => { $(changed::<$request>();)* };
    }
    with_every_request!(all);
}

/// One to three changes, most of them where lengths are likely to be.
fn mutate(bytes: Bytes, random: &mut Random) -> Bytes {
    const NASTY: [u8; 7] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0f];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, NASTY[random.below(NASTY.len())]),
            2 => bytes.extend([0xff; 5]),
            3 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = NASTY[random.below(NASTY.len())]),
        }
    }
    bytes.into()
}

#[test]
fn lengths_that_lie() {
    fn lying<R: Request>() {
        for version in versions::<R>() {
            for filler in [0x00, 0x01, 0x02, 0x7f, 0x80, 0xff] {
                for length in [0, 1, 4, 5, 9, 100, 400] {
                    let mut bytes = vec![filler; length];
                    bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
                    check::<R>(version, &bytes.into());
                }
            }
        }
    }
    macro_rules! all {
        ($($request:ident)*) => { $(lying::<$request>();)* };
    }
    with_every_request!(all);
}

#[test]
fn very_many_empty_elements() {
    fn bloated<R: Request>() {
        let shape = shapes::request(R::KEY).unwrap();
        for version in versions::<R>() {
            for elements in [1_000, 30_000] {
                let bytes = body(shape, version, Style::Bloated { elements }, &mut Random::new(1));
                check::<R>(version, &bytes);
            }
        }
    }
    macro_rules! all {
        ($($request:ident)*) => { $(bloated::<$request>();)* };
    }
    with_every_request!(all);
}

/// The body that makes kafka-protocol alone ask for 309 GB and die.
#[test]
fn five_bytes_of_metadata() {
    let bytes = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(request::decode_body::<MetadataRequest>(MetadataRequest::KEY, 12, bytes.clone()).is_err());
    assert!(memory_of::<MetadataRequest>(12, &bytes) < 1_000);
}
