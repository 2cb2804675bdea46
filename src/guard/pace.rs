//! How fast a client may be, and all clients of one address together: token buckets, in the form of the generic cell rate
//! algorithm (ITU-T I.371).
//!
//! One token is a line, or each 128 bytes of a longer one; a question with a long answer costs more. A client's thread
//! simply waits as long as it is told, so that its socket fills up and TCP slows the sender down. Nothing is dropped: a
//! paste of a thousand lines arrives whole, only not at once.
//!
//! The bucket of an address is larger, so that a classroom behind one router never meets it. It outlives the connections:
//! to connect again does not fill it.

use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many bytes of a line one token is for.
const BYTES_PER_TOKEN: usize = 128;

/// How many times the rate and the burst of one client all clients of one address have together.
const CLIENTS_PER_ADDRESS: u32 = 8;

/// The longest wait. Beyond it no debt is written down: otherwise one client that sends and hangs up, again and again,
/// could silence everyone else at its address for hours.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A bucket that fills up with tokens at a rate.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// How long one token takes to come.
    interval: Duration,
    /// How long a whole bucket of them takes.
    tolerance: Duration,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl Bucket {
    /// `rate` tokens a second, at most `burst` at once. A rate or a burst of 0 is no limit.
    pub(crate) fn new(rate: u32, burst: u32) -> Bucket {
        let no_limit = rate == 0 || burst == 0;
        let interval = if no_limit { Duration::ZERO } else { Duration::from_secs(1) / rate };
        Bucket { interval, tolerance: interval * burst, full_at: None }
    }

    /// Takes tokens, at most the whole bucket, and says how long to wait until they are there.
    pub(crate) fn take(&mut self, tokens: u32, now: Instant) -> Duration {
        let price = (self.interval * tokens).min(self.tolerance);
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + price;
        let full_at = full_at.min(now + self.tolerance + LONGEST_WAIT.max(self.interval));
        self.full_at = Some(full_at);
        full_at.duration_since(now).saturating_sub(self.tolerance)
    }

    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// The pace of one client: its own bucket, and the one that it shares with all clients of its address.
#[derive(Debug)]
pub(crate) struct Pace {
    own: Bucket,
    shared: Arc<Mutex<Bucket>>,
}

impl Pace {
    pub(crate) fn new(rate: u32, burst: u32, shared: Arc<Mutex<Bucket>>) -> Pace {
        Pace { own: Bucket::new(rate, burst), shared }
    }

    /// The bucket for one address.
    pub(crate) fn shared(rate: u32, burst: u32) -> Arc<Mutex<Bucket>> {
        let [rate, burst] = [rate, burst].map(|of_one| of_one.saturating_mul(CLIENTS_PER_ADDRESS));
        Arc::new(Mutex::new(Bucket::new(rate, burst)))
    }

    /// So many bytes, of a line or of a part of one: how long they must wait.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        let tokens = u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX);
        self.own.take(tokens, now).max(self.shared.lock().take(tokens, now))
    }
}

/// What a client is told that is ahead of it.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "You send more than {:.0} lines a second (each {BYTES_PER_TOKEN} bytes of a long line count as one), so the \
             rest waits its turn. Waiting loses nothing.",
            self.own.interval.as_secs_f64().recip()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: u32, burst: u32) -> Pace {
        Pace::new(rate, burst, Pace::shared(rate, burst))
    }

    #[test]
    fn a_burst_is_free_and_the_lines_after_it_keep_to_the_rate() {
        let (mut pace, mut now) = (pace(10, 3), Instant::now());
        let mut next = |now| pace.take(60, now).as_millis();
        assert_eq!([(); 5].map(|()| next(now)), [0, 0, 0, 100, 200]);
        now += Duration::from_millis(200);
        assert_eq!(next(now), 100);
        // After a rest it may be quick again, but no quicker than at the start.
        now += Duration::from_secs(3600);
        assert_eq!([(); 4].map(|()| next(now)), [0, 0, 0, 100]);
    }

    #[test]
    fn a_long_line_costs_several_tokens_and_at_most_the_whole_burst() {
        let (mut pace, now) = (pace(10, 3), Instant::now());
        let waits = [128, 129, 1, 300, 1 << 20].map(|bytes| pace.take(bytes, now).as_millis());
        assert_eq!(waits, [0, 0, 100, 400, 700]);
    }

    #[test]
    fn a_rate_or_a_burst_of_zero_is_no_limit() {
        for (rate, burst) in [(0, 1), (20, 0)] {
            let (mut pace, now) = (pace(rate, burst), Instant::now());
            assert!((0..10_000).all(|_| pace.take(60, now).is_zero()));
        }
    }

    #[test]
    fn the_clients_of_one_address_share_a_bucket_that_a_new_connection_does_not_fill() {
        let (shared, now) = (Pace::shared(20, 200), Instant::now());
        let talks = |lines| {
            let mut pace = Pace::new(20, 200, shared.clone());
            (0..lines).map(|_| pace.take(60, now)).max().unwrap()
        };
        // A classroom of 30 that pastes 40 lines each is not slowed.
        assert!((0..30).all(|_| talks(40).is_zero()));
        assert!((0..2).all(|_| talks(200).is_zero()));
        assert_eq!(talks(1), Duration::from_millis(1000 / 160).max(Duration::from_micros(6250)));
        assert!(!shared.lock().is_full(now + Duration::from_secs(9)));
        assert!(shared.lock().is_full(now + Duration::from_secs(11)));
    }

    #[test]
    fn a_debt_is_not_endless() {
        let (shared, now) = (Pace::shared(20, 200), Instant::now());
        for _ in 0..1000 {
            Pace::new(20, 200, shared.clone()).take(4096, now);
        }
        assert_eq!(Pace::new(20, 200, shared).take(1, now), LONGEST_WAIT);
    }

    #[test]
    fn a_paste_of_a_thousand_lines_takes_forty_seconds() {
        let (mut pace, mut now) = (pace(20, 200), Instant::now());
        let begun = now;
        for _ in 0..1000 {
            now += pace.take(80, now);
        }
        assert_eq!((now - begun).as_secs(), 40);
    }
}
