//! The imports that every registry has: nobody registers them.

use std::sync::LazyLock;

use super::element::File;
use super::parser;

macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("imports/", $name)))
    };
}

/// Google's own and common types and Confluent's, as far as their shapes go.
const TEXTS: [(&str, &str); 29] = [
    file!("confluent/meta.proto"),
    file!("confluent/type/decimal.proto"),
    file!("google/protobuf/any.proto"),
    file!("google/protobuf/api.proto"),
    file!("google/protobuf/descriptor.proto"),
    file!("google/protobuf/duration.proto"),
    file!("google/protobuf/empty.proto"),
    file!("google/protobuf/field_mask.proto"),
    file!("google/protobuf/source_context.proto"),
    file!("google/protobuf/struct.proto"),
    file!("google/protobuf/timestamp.proto"),
    file!("google/protobuf/type.proto"),
    file!("google/protobuf/wrappers.proto"),
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

/// What the packages of all of them begin with: who has neither word uses none of them.
pub const PACKAGES: [&str; 2] = ["google", "confluent"];

/// All of them, by name.
pub fn files() -> &'static [(&'static str, File)] {
    static FILES: LazyLock<Vec<(&'static str, File)>> = LazyLock::new(|| {
        let files = TEXTS.iter().filter_map(|(name, text)| Some((*name, parser::parse(text).ok()?)));
        files.collect()
    });
    &FILES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_readable() {
        assert_eq!(files().len(), TEXTS.len());
    }
}
