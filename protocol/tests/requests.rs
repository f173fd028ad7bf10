//! Every request API in every version: what is well formed passes the guard, and decodes and encodes to the same bytes.

mod support;

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::*;
use ottla_protocol::request;
use ottla_protocol::shapes;
use support::{Random, Style, body, with_every_request};

/// Requests whose newest version kafka-protocol lacks and Ottla does not serve yet: add them to `MESSAGES` in generate.py first.
/// (InitProducerId 6 is not served by Kafka itself unless it is told to.)
const WITHOUT_THE_NEWEST: [i16; 2] = [22, 80];

const SEEDS: u64 = 40;

macro_rules! round_trips {
    ($($request:ident)*) => {
        #[test]
        fn every_request_comes_back_byte_for_byte() {
            $(round_trip::<$request>();)*
        }

        const KEYS: &[i16] = &[$(<$request as Request>::KEY),*];
    };
}
with_every_request!(round_trips);

fn round_trip<R: Request>() {
    let shape = shapes::request(R::KEY).unwrap();
    let versions = shape.versions.min.max(R::VERSIONS.min)..=shape.versions.max.min(R::VERSIONS.max);
    assert!(!versions.is_empty());
    let has_newest = *versions.end() == shape.versions.max;
    assert_eq!(
        has_newest,
        !WITHOUT_THE_NEWEST.contains(&R::KEY),
        "{} ends at {}",
        shape.name,
        versions.end()
    );
    for (version, seed) in versions.flat_map(|version| (0..SEEDS).map(move |seed| (version, seed))) {
        let bytes = body(shape, version, Style::Filled, &mut Random::new(seed));
        match request::decode_body::<R>(R::KEY, version, bytes.clone()) {
            Ok(request) => {
                assert_eq!(encode(&request, version), bytes, "{} v{version} seed {seed}", shape.name)
            }
            Err(error) => panic!("{} v{version} seed {seed}: {error}: {bytes:02x?}", shape.name),
        }
        let newer = body(shape, version, Style::Newer, &mut Random::new(seed));
        if let Err(error) = request::decode_body::<R>(R::KEY, version, newer.clone()) {
            panic!("{} v{version} seed {seed}, newer: {error}: {newer:02x?}", shape.name);
        }
    }
}

fn encode<R: Encodable>(request: &R, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    request.encode(&mut out, version).unwrap();
    assert_eq!(out.len(), request.compute_size(version).unwrap());
    out.freeze()
}

#[test]
fn every_shape_has_a_type() {
    let shapes: Vec<i16> = shapes::REQUESTS.iter().map(|shape| shape.api_key).collect();
    assert!(shapes.is_sorted());
    let mut keys = KEYS.to_vec();
    keys.sort_unstable();
    assert_eq!(shapes, keys);
}

/// The header version follows from the shape's flexible versions; kafka-protocol has its own table to compare with.
#[test]
fn flexible_versions_are_the_crates() {
    macro_rules! compare {
        ($($request:ident)*) => {$(
            let shape = shapes::request($request::KEY).unwrap();
            for version in shape.versions.min..=shape.versions.max {
                let header_version = if shape.flexible.contains(version) { 2 } else { 1 };
                assert_eq!($request::header_version(version), header_version, "{} v{version}", shape.name);
            }
        )*};
    }
    with_every_request!(compare);
}
