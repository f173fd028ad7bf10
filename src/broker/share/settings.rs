//! What a share group's configuration says: its own (the GROUP resource) over the broker's.

use crate::broker::Isolation;
use crate::config::ShareConfig;
use crate::coordinator::ClusterView;

use super::partition::Settings;

/// Where a group begins in a partition that it has never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetReset {
    Earliest,
    Latest,
    /// At the first record that is no older.
    ByDuration {
        ms: i64,
    },
}

/// A group's settings, as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    pub deliveries: Settings,
    pub isolation: Isolation,
    pub offset_reset: OffsetReset,
}

/// The broker's own settings, for groups that say nothing.
pub fn broker_settings(config: &ShareConfig) -> GroupSettings {
    GroupSettings {
        deliveries: Settings {
            record_lock_duration_ms: config.record_lock_duration_ms,
            delivery_count_limit: i16::try_from(config.delivery_count_limit).unwrap_or(i16::MAX),
            max_record_locks: config.partition_max_record_locks,
            renew_acknowledge_enabled: true,
        },
        isolation: Isolation::ReadUncommitted,
        offset_reset: OffsetReset::Latest,
    }
}

impl GroupSettings {
    /// What the group says itself takes precedence. It was checked when it was set.
    pub fn with_group(mut self, view: &dyn ClusterView, group_id: &str) -> GroupSettings {
        let own = |key: &str| view.group_config(group_id, key);
        let number = |key: &str| own(key).and_then(|value| value.trim().parse::<i64>().ok());
        if let Some(ms) = number("share.record.lock.duration.ms") {
            self.deliveries.record_lock_duration_ms = ms;
        }
        if let Some(limit) = number("share.delivery.count.limit") {
            self.deliveries.delivery_count_limit = i16::try_from(limit).unwrap_or(i16::MAX);
        }
        if let Some(locks) = number("share.partition.max.record.locks") {
            self.deliveries.max_record_locks = locks;
        }
        if let Some(enabled) = own("share.renew.acknowledge.enable") {
            self.deliveries.renew_acknowledge_enabled = enabled.trim().eq_ignore_ascii_case("true");
        }
        if own("share.isolation.level").is_some_and(|level| level.trim() == "read_committed") {
            self.isolation = Isolation::ReadCommitted;
        }
        if let Some(reset) = own("share.auto.offset.reset") {
            self.offset_reset = offset_reset(reset.trim());
        }
        self
    }
}

fn offset_reset(text: &str) -> OffsetReset {
    match text {
        "earliest" => OffsetReset::Earliest,
        _ => match text.strip_prefix("by_duration:").and_then(duration_ms) {
            Some(ms) => OffsetReset::ByDuration { ms },
            None => OffsetReset::Latest,
        },
    }
}

/// ISO 8601, as Java's `Duration.parse` reads it: `PnDTnHnMn.nS`.
fn duration_ms(text: &str) -> Option<i64> {
    let rest = text.strip_prefix(['P', 'p'])?;
    let (mut total_ms, mut number) = (0.0_f64, String::new());
    for letter in rest.chars().map(|letter| letter.to_ascii_uppercase()) {
        let unit_ms = match letter {
            'T' => continue,
            'D' => 86_400_000.0,
            'H' => 3_600_000.0,
            'M' => 60_000.0,
            'S' => 1_000.0,
            other => {
                number.push(other);
                continue;
            }
        };
        total_ms += number.parse::<f64>().ok()? * unit_ms;
        number.clear();
    }
    number.is_empty().then_some(total_ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::view::TestView;

    #[test]
    fn durations_are_read_as_java_does() {
        let cases = [
            ("PT1H", Some(3_600_000)),
            ("P1D", Some(86_400_000)),
            ("P1DT2H3M4.5S", Some(93_784_500)),
            ("pt0.25s", Some(250)),
            ("PT", Some(0)),
            ("1H", None),
            ("PT1", None),
            ("PT1X", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn what_the_group_says_takes_precedence() {
        let broker = GroupSettings {
            deliveries: Settings {
                record_lock_duration_ms: 30_000,
                delivery_count_limit: 5,
                max_record_locks: 2_000,
                renew_acknowledge_enabled: true,
            },
            isolation: Isolation::ReadUncommitted,
            offset_reset: OffsetReset::Latest,
        };
        let mut view = TestView::default();
        assert_eq!(broker.with_group(&view, "g"), broker);
        for (key, value) in [
            ("share.record.lock.duration.ms", "15000"),
            ("share.delivery.count.limit", "2"),
            ("share.partition.max.record.locks", "100"),
            ("share.renew.acknowledge.enable", "false"),
            ("share.isolation.level", "read_committed"),
            ("share.auto.offset.reset", "by_duration:PT1M"),
        ] {
            view.configure("g", key, value);
        }
        let own = GroupSettings {
            deliveries: Settings {
                record_lock_duration_ms: 15_000,
                delivery_count_limit: 2,
                max_record_locks: 100,
                renew_acknowledge_enabled: false,
            },
            isolation: Isolation::ReadCommitted,
            offset_reset: OffsetReset::ByDuration { ms: 60_000 },
        };
        assert_eq!(broker.with_group(&view, "g"), own);
        assert_eq!(broker.with_group(&view, "h"), broker);
    }
}
