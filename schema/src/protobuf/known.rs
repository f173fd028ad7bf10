//! The imports that every registry has: nobody registers them.

use std::sync::LazyLock;

use protox::file::{FileResolver, GoogleFileResolver};

use super::descriptor;
use super::element::File;
use super::parser;

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("imports/", $name)))
    };
}

/// Google's common types and Confluent's own, as far as their shapes go.
const TEXTS: [(&str, &str); 18] = [
    file!("confluent/meta.proto"),
    file!("confluent/type/decimal.proto"),
    file!("google/type/calendar_period.proto"),
    file!("google/type/color.proto"),
    file!("google/type/date.proto"),
    file!("google/type/datetime.proto"),
    file!("google/type/dayofweek.proto"),
    file!("google/type/decimal.proto"),
    file!("google/type/expr.proto"),
    file!("google/type/fraction.proto"),
    file!("google/type/interval.proto"),
    file!("google/type/latlng.proto"),
    file!("google/type/money.proto"),
    file!("google/type/month.proto"),
    file!("google/type/phone_number.proto"),
    file!("google/type/postal_address.proto"),
    file!("google/type/quaternion.proto"),
    file!("google/type/timeofday.proto"),
];

/// Those that a compiler brings along.
const COMPILERS: [&str; 11] = [
    "google/protobuf/any.proto",
    "google/protobuf/api.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/source_context.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
];

/// What the packages of all of them begin with: who has neither word uses none of them.
pub const PACKAGES: [&str; 2] = ["google", "confluent"];

/// All of them, by name.
pub fn files() -> &'static [(&'static str, File)] {
    static FILES: LazyLock<Vec<(&'static str, File)>> = LazyLock::new(|| {
        let resolver = GoogleFileResolver::new();
        let descriptors = COMPILERS.iter().filter_map(|name| {
            let file = resolver.open_file(name).ok()?;
            Some((*name, descriptor::read(file.file_descriptor_proto()).ok()?))
        });
        let texts = TEXTS.iter().filter_map(|(name, text)| Some((*name, parser::parse(text).ok()?)));
        descriptors.chain(texts).collect()
    });
    &FILES
}

/// The text of one that the compiler does not have.
pub fn text(name: &str) -> Option<&'static str> {
    TEXTS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_readable() {
        assert_eq!(files().len(), TEXTS.len() + COMPILERS.len());
    }
}
