//! How fast a client may be, all clients of one address together, and the whole room: token buckets, in the
//! form of the generic cell rate algorithm (ITU-T I.371).
//!
//! One token is a line, or each 128 bytes of a longer one, as it is shown; a question with a long answer
//! costs more. A client's thread simply waits as long as it is told, so that its socket fills up and TCP
//! slows the sender down. Nothing is dropped: a paste of a thousand lines arrives whole, only not at once.
//!
//! The bucket of an address is larger, so that a classroom behind one router rarely meets it. It outlives the
//! connections: to connect again does not fill it. But one machine can have many addresses. So there is a
//! bucket for all that the room is told, which everyone has to read: it fills up no faster than a slow reader
//! reads. Each address has a small share of it for which nobody waits, so that people who say a line now and
//! then never notice that bucket.

use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many bytes of a line one token is for.
pub(crate) const BYTES_PER_TOKEN: usize = 128;

/// How many times the rate and the burst of one client all clients of one address have together.
const CLIENTS_PER_ADDRESS: u32 = 8;

/// The same for the talk of the whole room. By default 400 tokens a second: with the names and times around
/// the text, 60 to 90 KiB a second, which a slow reader can read; and at once about as much as a backlog and
/// the kernel hold.
const RATES_PER_ROOM: u32 = 20;
const BURSTS_PER_ROOM: u32 = 8;

/// In a room of up to so many people a token counts once, in one of twice as many twice, and so on.
const PEOPLE_PER_TOKEN: usize = 500;

/// The share of each address in the talk of the room for which it never waits: tokens a second, and at once.
const FREE_RATE: u32 = 2;
const FREE_BURST: u32 = 8;

/// The longest waits: for the pace of a client or an address, and for the room. Beyond them no debt is
/// written down: otherwise one client that sends and hangs up, again and again, could silence others for
/// hours.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT_FOR_ROOM: Duration = Duration::from_secs(60);

/// A bucket that fills up with tokens at a rate.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// How long one token takes to come.
    interval: Duration,
    /// How long a whole bucket of them takes.
    tolerance: Duration,
    longest_wait: Duration,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl Bucket {
    /// `rate` tokens a second, at most `burst` at once. A rate or a burst of 0 is no limit.
    pub(crate) fn new(rate: u32, burst: u32) -> Bucket {
        let no_limit = rate == 0 || burst == 0;
        let interval = if no_limit { Duration::ZERO } else { Duration::from_secs(1) / rate };
        Bucket { interval, tolerance: interval * burst, longest_wait: LONGEST_WAIT, full_at: None }
    }

    /// Takes tokens, at most the whole bucket, and says how long to wait until they are there.
    pub(crate) fn take(&mut self, tokens: u32, now: Instant) -> Duration {
        let price = (self.interval * tokens).min(self.tolerance);
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + price;
        let full_at = full_at.min(now + self.tolerance + self.longest_wait.max(self.interval));
        self.full_at = Some(full_at);
        full_at.duration_since(now).saturating_sub(self.tolerance)
    }

    /// How long to wait until so many tokens are there; `None` if they never are, all at once.
    fn wait_for(&self, tokens: u32, now: Instant) -> Option<Duration> {
        (self.interval * tokens <= self.tolerance).then(|| self.clone().take(tokens, now))
    }

    /// Takes tokens if all of them are there now.
    pub(crate) fn take_now(&mut self, tokens: u32, now: Instant) -> bool {
        let is_there = self.wait_for(tokens, now) == Some(Duration::ZERO);
        if is_there {
            self.take(tokens, now);
        }
        is_there
    }

    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|full_at| full_at <= now)
    }
}

/// What all clients of one address share.
#[derive(Debug)]
pub(crate) struct AddressPace {
    lines: Bucket,
    /// The free share in the talk of the room.
    free_talk: Bucket,
    /// One of its clients waits for the room until then.
    waits_until: Option<Instant>,
}

impl AddressPace {
    pub(crate) fn new(rate: u32, burst: u32) -> AddressPace {
        let of_all = |of_one: u32| of_one.saturating_mul(CLIENTS_PER_ADDRESS);
        AddressPace {
            lines: Bucket::new(of_all(rate), of_all(burst)),
            free_talk: Bucket::new(FREE_RATE, FREE_BURST),
            waits_until: None,
        }
    }

    /// Whether everything is as it was before its first client came.
    pub(crate) fn is_rested(&self, now: Instant) -> bool {
        self.lines.is_full(now)
            && self.free_talk.is_full(now)
            && self.waits_until.is_none_or(|until| until <= now)
    }
}

/// What everyone shares.
#[derive(Debug)]
pub(crate) struct RoomPace {
    talk: Mutex<Bucket>,
    people: AtomicUsize,
}

impl RoomPace {
    pub(crate) fn new(rate: u32, burst: u32) -> RoomPace {
        RoomPace { talk: Mutex::new(RoomPace::bucket(rate, burst)), people: AtomicUsize::new(0) }
    }

    /// A bucket as large as that of the room, from the pace of one client.
    pub(crate) fn bucket(rate: u32, burst: u32) -> Bucket {
        let talk = Bucket::new(rate.saturating_mul(RATES_PER_ROOM), burst.saturating_mul(BURSTS_PER_ROOM));
        Bucket { longest_wait: LONGEST_WAIT_FOR_ROOM, ..talk }
    }

    /// So many people will read what is said.
    pub(crate) fn set_people(&self, people: usize) {
        self.people.store(people, Ordering::Relaxed);
    }

    /// Whether the room may be told a line of the server's own about a client: a join, or a leave with up to
    /// 200 bytes of last words. It may not while its bucket is empty.
    pub(crate) fn may_tell(&self, now: Instant) -> bool {
        self.talk.lock().take_now(self.price(2), now)
    }

    /// In a large room each token counts several times, because it is sent so often.
    fn price(&self, tokens: u32) -> u32 {
        let people = self.people.load(Ordering::Relaxed);
        tokens.saturating_mul(u32::try_from(people.div_ceil(PEOPLE_PER_TOKEN).max(1)).unwrap_or(u32::MAX))
    }
}

/// A wait for the room's bucket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The tokens are taken, and there after this time.
    After(Duration),
    /// Another client of this address waits already, or the address's own share is there sooner. Ask again
    /// after this time.
    AskAgainAfter(Duration),
}

/// The pace of one client.
#[derive(Debug)]
pub(crate) struct Pace {
    own: Bucket,
    address: Arc<Mutex<AddressPace>>,
    room: Arc<RoomPace>,
}

impl Pace {
    pub(crate) fn new(rate: u32, burst: u32, address: Arc<Mutex<AddressPace>>, room: Arc<RoomPace>) -> Pace {
        Pace { own: Bucket::new(rate, burst), address, room }
    }

    /// Without a limit nothing need ask, and no clock is read.
    pub(crate) fn is_limited(&self) -> bool {
        !self.own.interval.is_zero()
    }

    /// So many bytes, of a line or of a part of one: how long they must wait.
    pub(crate) fn take(&mut self, bytes: usize, now: Instant) -> Duration {
        self.own.take(tokens(bytes), now).max(self.address.lock().lines.take(tokens(bytes), now))
    }

    /// So many bytes of a whole line that others in the room will read, all of them or one.
    ///
    /// An address waits for the room with one line at a time, so that it gets no more of its tokens by having
    /// more connections. It does not wait where its own share is there sooner.
    pub(crate) fn take_turn(&mut self, bytes: usize, now: Instant) -> Turn {
        let tokens = tokens(bytes);
        let price = self.room.price(tokens);
        let mut address = self.address.lock();
        let mut room = self.room.talk.lock();
        if address.free_talk.take_now(tokens, now) {
            room.take(price, now);
            return Turn::After(Duration::ZERO);
        }
        let before = address.waits_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        let for_room = before.max(room.clone().take(price, now));
        if let Some(for_share) = address.free_talk.wait_for(tokens, now).filter(|wait| *wait < for_room) {
            return Turn::AskAgainAfter(for_share);
        }
        if !before.is_zero() {
            return Turn::AskAgainAfter(before);
        }
        let pause = room.take(price, now);
        address.waits_until = Some(now + pause);
        Turn::After(pause)
    }
}

/// What so many bytes of a line cost.
pub(crate) fn tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// What a client is told that is ahead of it.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_one = self.own.interval.as_secs_f64().recip();
        let of_address = of_one * f64::from(CLIENTS_PER_ADDRESS);
        let of_room = of_one * f64::from(RATES_PER_ROOM);
        write!(
            f,
            "More comes than goes out: {of_one:.0} lines a second from one client, {of_address:.0} from one address, \
             {of_room:.0} in the whole room (each {BYTES_PER_TOKEN} bytes of a long line count as one). Yours wait their \
             turn, and waiting loses nothing."
        )
    }
}

#[cfg(test)]
mod tests;
