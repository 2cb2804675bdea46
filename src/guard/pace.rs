//! How fast one client may be: a token bucket, in the form of the generic cell rate algorithm (ITU-T I.371).
//!
//! It knows no clock; the caller says what time it is. The client's thread simply waits as long as it is told, so that
//! its socket fills up and TCP slows the sender down. Nothing is dropped: a paste of a thousand lines arrives whole, only
//! not at once.

use std::fmt;
use std::time::{Duration, Instant};

/// The pace of one client.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// How long a line takes at the allowed rate.
    interval: Duration,
    /// How far a client may be ahead of that rate.
    tolerance: Duration,
    /// When the client would be done with what it has sent, had it kept to the rate.
    done_at: Option<Instant>,
}

impl Pace {
    /// `rate` lines per second, after `burst` lines for free. A rate or a burst of 0 is no limit.
    pub(crate) fn new(rate: u32, burst: u32) -> Pace {
        let rate = if burst == 0 { 0 } else { rate };
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Pace { interval, tolerance: interval * burst, done_at: None }
    }

    /// One more line of so many bytes, `now`: how long it must wait. A long line counts as one for each KiB that it has
    /// begun, because a burst of long ones would be more than a slow reader's backlog may hold.
    pub(crate) fn next_line(&mut self, bytes: usize, now: Instant) -> Duration {
        let lines = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        let done_at = self.done_at.map_or(now, |done_at| done_at.max(now)) + self.interval * lines;
        self.done_at = Some(done_at);
        done_at.duration_since(now).saturating_sub(self.tolerance)
    }
}

/// As people say it: `20 a second`.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} a second", self.interval.as_secs_f64().recip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_keeps_to_the_rate() {
        let (mut pace, mut now) = (Pace::new(10, 3), Instant::now());
        let mut next = |now| pace.next_line(60, now).as_millis();
        assert_eq!([(); 5].map(|()| next(now)), [0, 0, 0, 100, 200]);
        now += Duration::from_millis(200);
        assert_eq!(next(now), 100);
        // After a rest it may be quick again, but no quicker than at the start.
        now += Duration::from_secs(3600);
        assert_eq!([(); 4].map(|()| next(now)), [0, 0, 0, 100]);
    }

    #[test]
    fn a_long_line_counts_as_several() {
        let (mut pace, now) = (Pace::new(10, 3), Instant::now());
        assert_eq!(
            [1024, 1025, 0, 4096].map(|bytes| pace.next_line(bytes, now).as_millis()),
            [0, 0, 100, 500]
        );
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let (mut pace, now) = (Pace::new(0, 1), Instant::now());
        assert!((0..1000).all(|_| pace.next_line(60, now).is_zero()));
    }
}
