//! Durations and dates as users write and read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A duration in command-line syntax, for the defaults.
pub(crate) fn exact(time: Duration) -> String {
    humantime::format_duration(time).to_string()
}

/// Reads `90` (seconds), `90s`, `5m`, `1h30m`, `500ms`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    if text.starts_with('-') {
        return Err("a duration starts with a digit (write 90, 90s, 5m or 1h30m)".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| format!("{error} (write 90, 90s, 5m or 1h30m)"))
}

/// Shows a duration with sensible precision.
pub(crate) fn show(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}

/// Shows a number of seconds; negative values count as zero.
pub(crate) fn show_seconds(seconds: f64) -> String {
    show(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// How many seconds `time` is after `other`; negative if it is before.
pub(crate) fn signed_seconds(time: SystemTime, other: SystemTime) -> f64 {
    match time.duration_since(other) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// A date in RFC 3339 and UTC; `None` before 1970 and after 9999, which it cannot express. A file's
/// owner can give it any time stamp.
pub(crate) fn date(time: SystemTime) -> Option<String> {
    const END: Duration = Duration::from_secs(253_402_300_800); // the year 10000
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    (since_epoch < END).then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_as_users_write_them() {
        let read = [
            ("90", 90_000),
            ("0", 0),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("2 days", 172_800_000),
        ];
        for (text, millis) in read {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text:?}");
        }
    }

    #[test]
    fn other_text_is_not_a_duration() {
        for text in ["", "s", "-5", "5 parsecs", "1h30", "1:30", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn short_durations_are_shown_more_precisely() {
        assert_eq!(show(Duration::from_millis(5_405_900)), "1h 30m 5s");
        assert_eq!(show(Duration::from_millis(940)), "0.9s");
    }

    #[test]
    fn dates_within_the_range_of_rfc_3339_are_shown() {
        assert_eq!(date(UNIX_EPOCH).as_deref(), Some("1970-01-01T00:00:00Z"));
        let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        assert_eq!(date(last).as_deref(), Some("9999-12-31T23:59:59Z"));
        assert_eq!(date(last + Duration::from_secs(1)), None);
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), None);
    }
}
