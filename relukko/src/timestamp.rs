//! Times in the interface's format: RFC 3339 in UTC, to the microsecond, without trailing zeros.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Required by `#[serde(with)]`.
pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    format(*time)
        .ok_or_else(|| ser::Error::custom("a time out of the range of dates"))?
        .serialize(to)
}

/// Required by `#[serde(with)]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    parse(&text).map_err(de::Error::custom)
}

/// `None` for dates before 1970 and after 9999, where RFC 3339 ends.
pub(crate) fn format(time: SystemTime) -> Option<String> {
    // A `SystemTime` may be far beyond what `OffsetDateTime` accepts without a panic.
    (time < end() && time >= UNIX_EPOCH).then_some(())?;
    OffsetDateTime::from(whole_microseconds(time)).format(&Rfc3339).ok()
}

/// The end of RFC 3339's range: after the year 9999.
fn end() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

/// Accepts any offset, as long as the date is in range in UTC as well.
pub(crate) fn parse(text: &str) -> Result<SystemTime, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|error| format!("{text:?} is not a date and time in RFC 3339: {error}"))?;
    // Computed in steps that cannot overflow: in UTC the date may be in the year 10000.
    let seconds = u64::try_from(time.unix_timestamp()).ok().map(Duration::from_secs);
    let since_1970 = seconds.map(|it| it + Duration::from_nanos(time.nanosecond().into()));
    let time = since_1970.and_then(|it| UNIX_EPOCH.checked_add(it)).filter(|time| *time < end());
    time.map(whole_microseconds).ok_or_else(|| format!("{text:?} is not between 1970 and 9999"))
}

/// Truncates to the interface's precision.
pub(crate) fn whole_microseconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    time - Duration::from_nanos(u64::from(since_epoch.subsec_nanos() % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_time_is_read_back() {
        for text in ["2024-10-31T20:14:43.9313Z", "2099-12-31T12:34:56Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(format(parse(text).unwrap()).unwrap(), text);
        }
        assert_eq!(parse("2024-10-31T21:14:43.9313+01:00"), parse("2024-10-31T20:14:43.9313Z"));
        let exact = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        assert_eq!(format(exact).unwrap(), "2023-11-14T22:13:20.123456Z");
    }

    #[test]
    fn a_date_that_an_offset_moves_out_of_range_is_an_error() {
        for text in ["9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+23:59"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
            any in ".*",
        ) {
            let _ = parse(&any);
            if let Ok(time) = parse(&text) {
                let written = format(time).unwrap();
                proptest::prop_assert_eq!(parse(&written).unwrap(), time);
            }
        }
    }

    #[test]
    fn other_text_is_an_error() {
        for text in ["", "tomorrow", "2024-10-31", "2024-10-31T20:14:43", "1969-12-31T23:59:59Z"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(format(UNIX_EPOCH + Duration::from_secs(u64::MAX / 4)), None);
        assert_eq!(format(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
