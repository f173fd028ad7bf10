//! Strings, numbers, enumerations and constants.

use std::collections::BTreeSet;

use super::difference::*;
use super::walk::Walk;
use crate::json::graph::{NumberRule, StringRule};
use crate::json::text::Decimal;

impl Walk<'_> {
    pub(super) fn strings(&mut self, before: &StringRule, after: &StringRule) {
        let differences = [&MAX_LENGTH_ADDED, &MAX_LENGTH_DECREASED];
        self.upper_limit("maxLength", before.max_length, after.max_length, differences);
        let differences = [&MIN_LENGTH_ADDED, &MIN_LENGTH_INCREASED];
        self.lower_limit("minLength", before.min_length, after.min_length, differences);
        match (&before.pattern, &after.pattern) {
            (None, Some(_)) => self.note_at("pattern", &PATTERN_ADDED),
            (Some(old), Some(new)) if old != new => self.note_at("pattern", &PATTERN_CHANGED),
            _ => (),
        }
    }

    pub(super) fn numbers(&mut self, before: &NumberRule, after: &NumberRule) {
        let value = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok());
        let differences = [&MAXIMUM_ADDED, &MAXIMUM_DECREASED];
        self.upper_limit("maximum", value(&before.maximum), value(&after.maximum), differences);
        let differences = [&MINIMUM_ADDED, &MINIMUM_INCREASED];
        self.lower_limit("minimum", value(&before.minimum), value(&after.minimum), differences);
        let differences = [&EXCLUSIVE_MAXIMUM_ADDED, &EXCLUSIVE_MAXIMUM_DECREASED];
        let limits = (value(&before.exclusive_maximum), value(&after.exclusive_maximum));
        self.upper_limit("exclusiveMaximum", limits.0, limits.1, differences);
        let differences = [&EXCLUSIVE_MINIMUM_ADDED, &EXCLUSIVE_MINIMUM_INCREASED];
        let limits = (value(&before.exclusive_minimum), value(&after.exclusive_minimum));
        self.lower_limit("exclusiveMinimum", limits.0, limits.1, differences);
        self.multiples(before.multiple_of.as_deref(), after.multiple_of.as_deref());
        if !before.requires_integer && after.requires_integer {
            self.note(&TYPE_NARROWED);
        }
    }

    fn multiples(&mut self, before: Option<&str>, after: Option<&str>) {
        match (before, after) {
            (None, Some(_)) => self.note_at("multipleOf", &MULTIPLE_OF_ADDED),
            // Since 2019-09 it may be 0, of which nothing is a multiple.
            (Some(old), Some(new)) if old != new => match (is_multiple(new, old), is_multiple(old, new)) {
                // Either is a multiple of the other: they are equal. Or the update's data is the original's and more.
                (_, true) => (),
                (true, false) => self.note_at("multipleOf", &MULTIPLE_OF_EXPANDED),
                (false, false) => self.note_at("multipleOf", &MULTIPLE_OF_CHANGED),
            },
            _ => (),
        }
    }

    pub(super) fn enums(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        if before.is_subset(after) {
            return;
        }
        let is_narrowed = after.is_subset(before);
        self.note_at("enum", if is_narrowed { &ENUM_ARRAY_NARROWED } else { &ENUM_ARRAY_CHANGED });
    }

    pub(super) fn constants(&mut self, before: &str, after: &str) {
        if before != after {
            self.note_at("const", &ENUM_ARRAY_CHANGED);
        }
    }

    /// A limit from above: the differences are that it is new, and that it is lower.
    pub(super) fn upper_limit<T: PartialOrd>(
        &mut self,
        keyword: &str,
        before: Option<T>,
        after: Option<T>,
        [added, decreased]: [&'static Difference; 2],
    ) {
        match (before, after) {
            (None, Some(_)) => self.note_at(keyword, added),
            (Some(old), Some(new)) if new < old => self.note_at(keyword, decreased),
            _ => (),
        }
    }

    /// A limit from below: the differences are that it is new, and that it is higher.
    pub(super) fn lower_limit<T: PartialOrd>(
        &mut self,
        keyword: &str,
        before: Option<T>,
        after: Option<T>,
        [added, increased]: [&'static Difference; 2],
    ) {
        match (before, after) {
            (None, Some(_)) => self.note_at(keyword, added),
            (Some(old), Some(new)) if new > old => self.note_at(keyword, increased),
            _ => (),
        }
    }
}

/// Whether `number` is a whole multiple of `of`, exactly as far as 128 bits go.
fn is_multiple(number: &str, of: &str) -> bool {
    exact_remainder(number, of).unwrap_or_else(|| {
        let quotient = number.parse::<f64>().unwrap_or(f64::NAN) / of.parse::<f64>().unwrap_or(f64::NAN);
        quotient.fract() == 0.0
    })
}

fn exact_remainder(number: &str, of: &str) -> Option<bool> {
    let (number, of) = (Decimal::parse(number)?, Decimal::parse(of)?);
    let scale = number.scale.max(of.scale);
    let unscaled = |decimal: &Decimal| {
        let zeros = u32::try_from(scale - decimal.scale).ok()?;
        decimal.digits.parse::<u128>().ok()?.checked_mul(10u128.checked_pow(zeros)?)
    };
    unscaled(&number)?.checked_rem(unscaled(&of)?).map(|rest| rest == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_found_exactly() {
        let cases = [
            ("10", "5", true),
            ("5", "10", false),
            ("0.3", "0.1", true),
            ("0.50", "0.5", true),
            ("10", "0.5", true),
            ("1E+3", "10", true),
            ("7", "2", false),
            ("1E+400", "3", false),
            ("100000000000000000000000000000000000000000", "2", true),
        ];
        for (number, of, expected) in cases {
            assert_eq!(is_multiple(number, of), expected, "{number} of {of}");
        }
    }
}
