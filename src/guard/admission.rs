//! Decides which connections become clients.
//!
//! The acceptor asks for a [`Permit`] before it starts a thread. A permit is a place in the room: for as long
//! as it lives, whatever happens to its client, the place is counted. The places and the bans are behind a
//! lock, because the acceptor and the dispatcher share them; it is held for a look-up, and now and then for a
//! walk through all addresses.

use super::limits::room_in_the_system;
use super::pace::{AddressPace, Bucket, Pace, RoomPace};
use crate::config::{Allow, Config, interfaces};
use crossbeam_channel::{Receiver, Sender, bounded};
use ipnet::IpNet;
use log::warn;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many clients a second may come from one address, after --max-per-ip at once. In a small room each of
/// them may be two lines for everyone.
const CONNECTS_PER_SECOND: u32 = 4;

/// How often the networks of this machine are looked up again at most, however many strangers come.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How many events of one address may be under way to the dispatcher. Those of more than a hundred addresses
/// fit into the event channel, so that nobody waits in front of it.
const SLOTS: usize = 8;

/// Why a client is refused: the middle of a sentence.
pub(crate) type Refusal = &'static str;

pub(crate) const EXHAUSTED: Refusal =
    "the server cannot serve one more client at the moment; please try again later";

const BANNED: Refusal = "your address is banned from this server";
const SENT_AWAY: Refusal =
    "the operator has sent away a client of your address; please come back in a minute";

/// The rules, and the book that clones share.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    config: Config,
    here: Arc<Mutex<Here>>,
    book: Arc<Mutex<Book>>,
    pub(crate) room: Arc<RoomPace>,
}

/// What follows from the networks that this machine is on. They change while the server runs: a provider
/// hands out another prefix, a notebook comes into a Wi-Fi.
#[derive(Debug)]
struct Here {
    allow: Vec<Allow>,
    /// The IPv6 networks, of a /64 or smaller.
    networks: Vec<IpNet>,
    /// When they were last looked up, but for the first time.
    looked_up: Option<Instant>,
}

impl Here {
    fn look_up(allow: &[Allow], looked_up: Option<Instant>) -> Here {
        let networks = interfaces().map(|(_, net)| net.trunc());
        let networks = networks.filter(|net| net.addr().is_ipv6() && net.prefix_len() >= 64).collect();
        Here { allow: allow.iter().map(Allow::now).collect(), networks, looked_up }
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|allow| allow.contains(address))
    }

    fn is_neighbour(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }
}

/// The clients that are here, by address, and the bans.
#[derive(Debug, Default)]
struct Book {
    /// Each [`Permit`] has a clone of it, so it counts them.
    places: Arc<()>,
    by_address: HashMap<IpAddr, Address>,
    /// The oldest first, some of them only until a time.
    bans: Vec<(IpNet, Option<Instant>)>,
}

/// One address, and how much of everything it has had.
#[derive(Debug)]
struct Address {
    /// How fast its clients may connect.
    connects: Bucket,
    /// How fast they may talk, all together. The pace of each has a clone of it, so it counts them.
    pace: Arc<Mutex<AddressPace>>,
    /// A slot for each event that is under way to the dispatcher.
    slots: Slots,
}

/// The two ends of a channel: an event is under way from when something is put in until it is taken out
/// again.
pub(crate) type Slots = (Sender<()>, Receiver<()>);

/// One taken place.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: Arc<()>,
    /// How fast its client may talk.
    pub(crate) pace: Pace,
    /// All clients of its address share them.
    pub(crate) slots: Slots,
}

impl Admission {
    /// The rules of `config`; with fewer places where the system leaves room for fewer, which the log says.
    pub(crate) fn new(config: &Config) -> Admission {
        let (room, asked) = (room_in_the_system(), config.max_clients);
        if room < asked {
            warn!(
                "the system's limits leave room for {room} clients, not {asked}: see ulimit -n, vm.max_map_count, \
                 and pids.max of the container"
            );
        }
        let config = Config { max_clients: room.min(asked), ..config.clone() };
        let here = Arc::new(Mutex::new(Here::look_up(&config.allow, None)));
        let room = Arc::new(RoomPace::new(config.rate, config.burst));
        Admission { config, here, book: Arc::default(), room }
    }

    /// What counts as one address. On this machine's own networks each IPv6 address does, because everyone
    /// there shares the /64; elsewhere the /64 does, because each customer has one (RFC 6177).
    pub(crate) fn origin(&self, address: IpAddr) -> IpAddr {
        let prefix = if address.is_ipv4() || self.here.lock().is_neighbour(address) { 128 } else { 64 };
        IpNet::new(address, prefix).map_or(address, |net| net.network())
    }

    /// Takes a place for a client that comes from `address` `now`, or says why it gets none.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> Result<Permit, Refusal> {
        let Config { max_clients, max_per_ip, rate, burst, .. } = self.config;
        if !self.may_come(address, now) {
            return Err("your address may not connect to this server");
        }
        self.banned(address).map_or(Ok(()), Err)?;
        let mut book = self.book.lock();
        let free = max_clients.saturating_sub(book.places_taken());
        if free == 0 {
            return Err("the server is full; please try again later");
        }
        if book.by_address.len() == book.by_address.capacity() {
            book.forget(now);
        }
        let from_there = book.by_address.entry(self.origin(address)).or_insert_with(|| Address {
            connects: Bucket::new(CONNECTS_PER_SECOND, u32::try_from(max_per_ip).unwrap_or(u32::MAX)),
            pace: Arc::new(Mutex::new(AddressPace::new(rate, burst))),
            slots: bounded(SLOTS),
        });
        // While the last quarter of the places fills up, the share of each address gets smaller, so that
        // others find some.
        let share = max_per_ip.min(max_per_ip.saturating_mul(free).div_ceil((max_clients / 4).max(1)));
        if max_per_ip > 0 && Arc::strong_count(&from_there.pace) > share && !address.is_loopback() {
            return Err("there are too many clients from your address already");
        }
        // A client that comes too early is refused and costs nothing, so that the next in time gets in.
        if !from_there.connects.take_now(1, now) {
            return Err("too many clients have come from your address; please try again in a second");
        }
        let pace = Pace::new(rate, burst, from_there.pace.clone(), self.room.clone());
        let slots = from_there.slots.clone();
        Ok(Permit { _place: book.places.clone(), pace, slots })
    }

    /// Whether `--allow` lets an address in. Before a stranger is turned away, the networks of this machine
    /// are looked up again.
    fn may_come(&self, address: IpAddr, now: Instant) -> bool {
        let mut here = self.here.lock();
        let is_stranger = !here.allows(address) || (address.is_ipv6() && !here.is_neighbour(address));
        if is_stranger && here.looked_up.is_none_or(|before| now.duration_since(before) >= LOOK_AGAIN) {
            *here = Here::look_up(&self.config.allow, Some(now));
        }
        here.allows(address)
    }

    pub(crate) fn places_taken(&self) -> usize {
        self.book.lock().places_taken()
    }

    /// Lets no one in from there any more, or until a time. Clients already connected stay.
    pub(crate) fn ban(&self, net: IpNet, until: Option<Instant>) {
        let bans = &mut self.book.lock().bans;
        match bans.iter_mut().find(|(banned, _)| *banned == net) {
            Some((_, end)) => *end = end.and(until), // A ban without an end keeps none.
            None => bans.push((net, until)),
        }
    }

    /// Why a ban keeps an address out.
    pub(crate) fn banned(&self, address: IpAddr) -> Option<Refusal> {
        let now = Instant::now();
        let book = self.book.lock();
        let bans = book
            .bans
            .iter()
            .filter(|(net, until)| net.contains(&address) && until.is_none_or(|until| now < until));
        bans.map(|(_, until)| until.map_or(BANNED, |_| SENT_AWAY)).next_back()
    }

    /// Takes a ban back; false if there was none.
    pub(crate) fn unban(&self, net: IpNet) -> bool {
        let bans = &mut self.book.lock().bans;
        let before = bans.len();
        bans.retain(|(banned, _)| *banned != net);
        bans.len() < before
    }

    /// All bans, the oldest first.
    pub(crate) fn bans(&self) -> Vec<IpNet> {
        let now = Instant::now();
        let bans = &mut self.book.lock().bans;
        bans.retain(|(_, until)| until.is_none_or(|until| now < until));
        bans.iter().map(|(net, _)| *net).collect()
    }
}

impl Book {
    fn places_taken(&self) -> usize {
        Arc::strong_count(&self.places) - 1 // One of the clones is our own.
    }

    /// Forgets addresses without clients, but not before their buckets are full again: to come again must not
    /// fill them.
    ///
    /// This is for when the map would have to grow, and it leaves so much space that it is not needed again
    /// soon.
    fn forget(&mut self, now: Instant) {
        self.by_address.retain(|_, Address { connects, pace, .. }| {
            Arc::strong_count(pace) > 1 || !connects.is_full(now) || !pace.lock().is_rested(now)
        });
        self.by_address.reserve(self.by_address.len() + 1);
    }
}

#[cfg(test)]
mod tests;
