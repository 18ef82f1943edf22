//! Times as the interface writes them: RFC 3339 in UTC, to the microsecond, without trailing zeros.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// What `#[serde(with)]` asks for.
pub(crate) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
    format(*time).ok_or_else(|| ser::Error::custom("a time that is no date"))?.serialize(to)
}

/// What `#[serde(with)]` asks for.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
    parse(&text).map_err(de::Error::custom)
}

/// `None` beyond the year 9999, where RFC 3339 ends.
pub(crate) fn format(time: SystemTime) -> Option<String> {
    // A `SystemTime` may be far beyond what `OffsetDateTime` takes without a panic.
    let far = UNIX_EPOCH + Duration::from_secs(253_402_300_800);
    (time < far && time >= UNIX_EPOCH).then_some(())?;
    OffsetDateTime::from(whole_microseconds(time)).format(&Rfc3339).ok()
}

/// Any offset is taken.
pub(crate) fn parse(text: &str) -> Result<SystemTime, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|error| format!("{text:?} is no date and time of RFC 3339: {error}"))?;
    let time = time.to_offset(UtcOffset::UTC);
    if time < OffsetDateTime::UNIX_EPOCH {
        return Err(format!("{text:?} is before 1970"));
    }
    Ok(whole_microseconds(time.into()))
}

/// Cuts off what the interface has no digits for.
pub(crate) fn whole_microseconds(time: SystemTime) -> SystemTime {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    time - Duration::from_nanos(u64::from(since_epoch.subsec_nanos() % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for text in ["2024-10-31T20:14:43.9313Z", "2099-12-31T12:34:56Z", "1970-01-01T00:00:00Z"] {
            assert_eq!(format(parse(text).unwrap()).unwrap(), text);
        }
        assert_eq!(parse("2024-10-31T21:14:43.9313+01:00"), parse("2024-10-31T20:14:43.9313Z"));
        let exact = UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789);
        assert_eq!(format(exact).unwrap(), "2023-11-14T22:13:20.123456Z");
    }

    #[test]
    fn what_is_no_time_is_an_error() {
        for text in ["", "tomorrow", "2024-10-31", "2024-10-31T20:14:43", "1969-12-31T23:59:59Z"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(format(UNIX_EPOCH + Duration::from_secs(u64::MAX / 4)), None);
        assert_eq!(format(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
