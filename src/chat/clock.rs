//! A moment, as people write it beside a line. The [dispatcher](crate::dispatcher) reads the clock, once a turn.

use jiff::civil::DateTime;
use std::fmt;

/// A date and a time of day in the server's time zone. It is shown as `[14:03]`, or with its date where that is not today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) DateTime);

impl Moment {
    /// The day, shown as `2026-11-25`.
    pub(crate) fn day(self) -> jiff::civil::Date {
        self.0.date()
    }

    /// The same as it is written beside a line of the past.
    pub(crate) fn seen_from(self, today: Moment) -> String {
        if self.day() == today.day() { self.to_string() } else { self.0.strftime("[%F %H:%M]").to_string() }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.strftime("[%H:%M]").fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_another_day_has_its_date() {
        let moment = |text: &str| Moment(text.parse().unwrap());
        let friday = moment("2026-11-20T16:05:59");
        assert_eq!(friday.to_string(), "[16:05]");
        assert_eq!(friday.seen_from(moment("2026-11-20T23:59")), "[16:05]");
        assert_eq!(friday.seen_from(moment("2026-11-23T16:05")), "[2026-11-20 16:05]");
    }
}
