//! Says how far the comparison is and how much longer it takes, on stderr.

use std::time::{Duration, Instant};

/// The plan, and the time spent.
pub struct Progress {
    start: Instant,
    planned: Duration,
    /// The part of the planned time that lies before the step that runs now.
    past: Duration,
    current: Duration,
}

impl Progress {
    pub fn start(planned: Duration) -> Self {
        eprintln!("It takes about {}.", clock(planned));
        Self { start: Instant::now(), planned, past: Duration::ZERO, current: Duration::ZERO }
    }

    /// The next step begins, for which so much time is planned.
    pub fn next(&mut self, planned: Duration, what: &str) {
        self.past += self.current;
        self.current = planned;
        let elapsed = self.start.elapsed();
        let whole = elapsed + remaining(self.planned, self.past, elapsed);
        eprintln!("[{} of about {}] {what}", clock(elapsed), clock(whole));
    }

    pub fn end(self) {
        eprintln!("It took {}.", clock(self.start.elapsed()));
    }
}

/// The rest of the plan, at the speed seen so far. The first steps say too little about it.
fn remaining(planned: Duration, past: Duration, elapsed: Duration) -> Duration {
    const TELLING: Duration = Duration::from_secs(20);
    let left = planned.saturating_sub(past);
    if past < TELLING { left } else { left.mul_f64(elapsed.as_secs_f64() / past.as_secs_f64()) }
}

/// 5:07
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs_f64().round() as u64;
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_speed_seen_so_far() {
        let seconds = Duration::from_secs;
        assert_eq!(remaining(seconds(300), seconds(10), seconds(20)), seconds(290));
        assert_eq!(remaining(seconds(300), seconds(100), seconds(150)), seconds(300));
        assert_eq!(remaining(seconds(300), seconds(301), seconds(150)), seconds(0));
        assert_eq!(clock(seconds(307)), "5:07");
    }
}
