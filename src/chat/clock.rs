//! A time of day, as people write it beside a line. The [dispatcher](crate::dispatcher) reads the clock, once a turn.

use std::fmt;

/// Hours and minutes, shown as `[14:03]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockTime {
    hour: i8,
    minute: i8,
}

impl ClockTime {
    pub(crate) fn of(moment: &jiff::ZonedDateTime) -> ClockTime {
        ClockTime { hour: moment.hour(), minute: moment.minute() }
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:02}:{:02}]", self.hour, self.minute)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    #[test]
    fn it_is_right_across_a_change_to_daylight_saving_time() {
        // The rule of Central Europe, written out, so that no database of time zones is needed.
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let shown = |utc: &str| {
            ClockTime::of(&utc.parse::<Timestamp>().unwrap().to_zoned_datetime(berlin.clone())).to_string()
        };
        assert_eq!(shown("2026-03-29T00:59:59Z"), "[01:59]");
        assert_eq!(shown("2026-03-29T01:00:00Z"), "[03:00]");
        assert_eq!(shown("2026-10-25T00:59:59Z"), "[02:59]");
        assert_eq!(shown("2026-10-25T01:00:00Z"), "[02:00]");
    }
}
