//! Who may come in.
//!
//! The acceptor asks for a [`Permit`] before it starts a thread. A permit is a place in the room that gives itself
//! back when it is dropped, whatever happened to its client.
//!
//! Next on the tour: [`server`](crate::server), how all this starts and stops.

use crate::config::Config;
use crate::protocol::reply::Refusal;
use ipnet::IpNet;
use log::warn;
use parking_lot::Mutex;
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::sync::Arc;

/// Descriptors that are not for clients: the standard streams, the listeners, the logs, those turned away, some to spare.
const RESERVED_DESCRIPTORS: usize = 18;

/// A thread has a stack, a signal stack, and a guard page for each (Linux counts them all).
const MAPPINGS_PER_THREAD: usize = 4;
const RESERVED_MAPPINGS: usize = 512;

/// The rules, and the places that are taken.
#[derive(Clone, Debug)]
pub struct Admission {
    max_clients: usize,
    max_per_ip: usize,
    allow: Vec<IpNet>,
    taken: Arc<Mutex<Taken>>,
    bans: Arc<Mutex<Vec<IpNet>>>,
}

/// Held for a few instructions only, by the acceptor and by threads that end.
#[derive(Debug, Default)]
struct Taken {
    places: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One taken place.
#[derive(Debug)]
pub struct Permit {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Admission {
    /// The rules of `config`; with fewer places where the system leaves room for fewer, which is said in the log.
    pub fn new(config: &Config) -> Admission {
        let room = room_in_the_system();
        if room < config.max_clients {
            warn!(
                "the system's limits leave room for {room} clients, not {}: see ulimit -n and vm.max_map_count",
                config.max_clients
            );
        }
        Admission {
            max_clients: config.max_clients.min(room),
            max_per_ip: config.max_per_ip,
            allow: config.allow.iter().copied().map(canonical).collect(),
            taken: Arc::default(),
            bans: Arc::default(),
        }
    }

    /// Takes a place for somebody from `address`. An IPv4 address in IPv6 clothes (RFC 4291, 2.5.5.2) is an IPv4
    /// address.
    ///
    /// # Errors
    /// Says why not.
    pub fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let address = address.to_canonical();
        if !self.allow.iter().any(|net| net.contains(&address)) {
            return Err(Refusal::NotAllowed);
        }
        if self.is_banned(address) {
            return Err(Refusal::Banned);
        }
        let mut taken = self.taken.lock();
        if taken.places >= self.max_clients {
            return Err(Refusal::Full);
        }
        let from_there = taken.by_address.get(&address).copied().unwrap_or(0);
        if self.max_per_ip > 0 && from_there >= self.max_per_ip && !address.is_loopback() {
            return Err(Refusal::TooManyFromThere);
        }
        taken.places += 1;
        taken.by_address.insert(address, from_there + 1);
        Ok(Permit { address, taken: self.taken.clone() })
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.taken.lock().places
    }

    /// Lets nobody in from there any more. Who is in already is not asked here.
    pub fn ban(&self, net: IpNet) {
        let net = canonical(net);
        let mut bans = self.bans.lock();
        if !bans.contains(&net) {
            bans.push(net);
        }
    }

    /// Is nobody let in from there?
    pub fn is_banned(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.bans.lock().iter().any(|net| net.contains(&address))
    }

    /// Takes a ban back; false if there was none.
    pub fn unban(&self, net: IpNet) -> bool {
        let net = canonical(net);
        let mut bans = self.bans.lock();
        let before = bans.len();
        bans.retain(|banned| *banned != net);
        bans.len() < before
    }

    /// All bans, the oldest first.
    pub fn bans(&self) -> Vec<IpNet> {
        self.bans.lock().clone()
    }
}

/// The network without host bits, and one of IPv4 addresses in IPv6 clothes as what it is.
pub fn canonical(net: IpNet) -> IpNet {
    let net = net.trunc();
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (address @ IpAddr::V4(_), Some(prefix)) if net.addr().is_ipv6() => {
            IpNet::new(address, prefix).unwrap_or(net)
        }
        _ => net,
    }
}

/// For how many clients the system has room: each has one descriptor, and its thread a few mappings of memory.
fn room_in_the_system() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    let mappings =
        fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|count| count.trim().parse().ok());
    let threads = (mappings.unwrap_or(usize::MAX).saturating_sub(RESERVED_MAPPINGS)) / MAPPINGS_PER_THREAD;
    descriptors.saturating_sub(RESERVED_DESCRIPTORS).min(threads).max(1)
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.places -= 1;
        match taken.by_address.get_mut(&self.address) {
            Some(others @ 2..) => *others -= 1,
            _ => drop(taken.by_address.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(change: impl FnOnce(&mut Config)) -> Admission {
        let mut config = Config::default();
        change(&mut config);
        Admission::new(&config)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_permit_is_dropped() {
        let admission = admission(|config| config.max_clients = 2);
        let first = admission.admit(ip("10.0.0.1")).unwrap();
        let _second = admission.admit(ip("10.0.0.2")).unwrap();
        assert_eq!(admission.admit(ip("10.0.0.3")).unwrap_err(), Refusal::Full);
        drop(first);
        let _third = admission.admit(ip("10.0.0.3")).unwrap();
        assert_eq!(admission.admit(ip("10.0.0.4")).unwrap_err(), Refusal::Full);
    }

    #[test]
    fn one_address_gets_its_share_and_loopback_is_not_counted() {
        let admission = admission(|config| config.max_per_ip = 2);
        let first = admission.admit(ip("10.0.0.1")).unwrap();
        let _mapped = admission.admit(ip("::ffff:10.0.0.1")).unwrap();
        assert_eq!(admission.admit(ip("10.0.0.1")).unwrap_err(), Refusal::TooManyFromThere);
        let _other = admission.admit(ip("10.0.0.2")).unwrap();
        let _loopback: Vec<_> = (0..10).map(|_| admission.admit(ip("::1")).unwrap()).collect();
        drop(first);
        let _again = admission.admit(ip("10.0.0.1")).unwrap();
        drop((_mapped, _other, _loopback, _again));
        assert!(admission.taken.lock().by_address.is_empty(), "no address is remembered for ever");
    }

    #[test]
    fn a_ban_holds_until_it_is_taken_back() {
        let admission = admission(|_| {});
        let net: IpNet = "10.1.0.0/16".parse().unwrap();
        admission.ban(net);
        admission.ban("::ffff:10.1.0.0/112".parse().unwrap());
        assert_eq!(admission.admit(ip("::ffff:10.1.2.3")).unwrap_err(), Refusal::Banned);
        assert!(admission.admit(ip("10.2.0.1")).is_ok());
        assert_eq!(admission.bans(), [net]);
        assert!(admission.unban(net) && !admission.unban(net));
        assert!(admission.admit(ip("10.1.2.3")).is_ok());
    }

    #[test]
    fn by_default_only_a_lan_may_connect() {
        let by_default = admission(|_| {});
        for local in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.20",
            "169.254.7.7",
            "fe80::1",
            "fd12::1",
            "100.64.0.1",
            "100.127.255.255",
            "::ffff:192.168.1.20",
        ] {
            assert!(by_default.admit(ip(local)).is_ok(), "{local}");
        }
        for foreign in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:8.8.8.8", "192.169.0.1"]
        {
            assert_eq!(by_default.admit(ip(foreign)).unwrap_err(), Refusal::NotAllowed, "{foreign}");
        }
        let any = admission(|config| config.allow = Config::ANY.map(|net| net.parse().unwrap()).to_vec());
        assert!(any.admit(ip("8.8.8.8")).is_ok() && any.admit(ip("2001:db8::1")).is_ok());
    }
}
