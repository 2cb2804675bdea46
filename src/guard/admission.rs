//! Decides which connections become clients.
//!
//! The acceptor asks for a [`Permit`] before it starts a thread. A permit is a place in the room: for as long
//! as it lives, whatever happens to its client, the place is counted. The places and the bans are behind a
//! lock, because the acceptor and the dispatcher share them; it is held for a look-up, and now and then for a
//! walk through all addresses.

use super::pace::{AddressPace, Bucket, Pace, RoomPace};
use crate::config::{Config, interfaces};
use crossbeam_channel::{Receiver, Sender, bounded};
use ipnet::IpNet;
use log::warn;
use memmap2::MmapMut;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use std::{fs, io};

/// Descriptors that are not for clients: the standard streams, the listeners, the logs, refused connections,
/// some to spare.
const RESERVED_DESCRIPTORS: u64 = 18;

/// A thread has a stack, a signal stack, and a guard page for each (Linux counts them all).
const MAPPINGS_PER_THREAD: u64 = 4;
const RESERVED_MAPPINGS: u64 = 512;

/// How much address space must be free before another thread is started, or a large backlog grows. The
/// standard library aborts the process if a new thread finds no memory for its signal stack, or anything else
/// no memory for a few bytes. So there must be far more than one of them needs.
const HEADROOM: usize = 32 * 1024 * 1024;

/// How many clients a second may come from one address, after --max-per-ip at once. In a small room each of
/// them may be two lines for everyone.
const CONNECTS_PER_SECOND: u32 = 4;

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
    /// The IPv6 networks that this machine is on, of a /64 or smaller.
    networks: Arc<[IpNet]>,
    book: Arc<Mutex<Book>>,
    pub(crate) room: Arc<RoomPace>,
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
                "the system's limits leave room for {room} clients, not {asked}: see ulimit -n and vm.max_map_count"
            );
        }
        let config = Config { max_clients: room.min(asked), ..config.clone() };
        let networks = interfaces()
            .map(|(_, net)| net.trunc())
            .filter(|net| net.addr().is_ipv6() && net.prefix_len() >= 64);
        let room = Arc::new(RoomPace::new(config.rate, config.burst));
        Admission { config, networks: networks.collect(), book: Arc::default(), room }
    }

    /// What counts as one address. On this machine's own networks each IPv6 address does, because everyone
    /// there shares the /64; elsewhere the /64 does, because each customer has one (RFC 6177).
    pub(crate) fn origin(&self, address: IpAddr) -> IpAddr {
        let is_neighbour = self.networks.iter().any(|net| net.contains(&address));
        let prefix = if address.is_ipv4() || is_neighbour { 128 } else { 64 };
        IpNet::new(address, prefix).map_or(address, |net| net.network())
    }

    /// Takes a place for a client that comes from `address` `now`, or says why it gets none.
    pub(crate) fn admit(&self, address: IpAddr, now: Instant) -> Result<Permit, Refusal> {
        let Config { max_clients, max_per_ip, rate, burst, ref allow, .. } = self.config;
        if !allow.iter().any(|allow| allow.contains(address)) {
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

/// Fails while there is not enough memory to start another thread safely, or to let a backlog grow. A mapping
/// that nobody touches costs no page, and none has to be taken back from the other cores.
pub(crate) fn check_headroom() -> io::Result<()> {
    MmapMut::map_anon(HEADROOM).map(drop)
}

/// For how many clients the system has room: each has one descriptor, and its thread a few mappings of
/// memory.
fn room_in_the_system() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let mappings = fs::read_to_string("/proc/sys/vm/max_map_count").ok();
    let mappings = mappings.and_then(|count| count.trim().parse().ok()).unwrap_or(u64::MAX);
    let threads = mappings.saturating_sub(RESERVED_MAPPINGS) / MAPPINGS_PER_THREAD;
    let room = descriptors.saturating_sub(RESERVED_DESCRIPTORS).min(threads).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
