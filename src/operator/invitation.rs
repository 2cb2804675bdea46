//! What the operator is told at the start: how others connect, for each address of this machine, and who may.
//!
//! A command that this server would refuse is not among them. Its address is named with the `--allow` that it needs.

use super::{COLUMNS, list_in_lines};
use crate::config::{Allow, Config, net_of};
use crate::guard::listener::takes_ipv4_too;
use if_addrs::get_if_addrs;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How wide the time and the level of a log line are: `2026-11-24 14:03:12+01:00 [INFO] `.
const STAMP: usize = 33;

/// One address of this machine, the network interface that has it, and the network that it is on.
#[derive(Clone)]
struct Interface {
    name: String,
    address: IpAddr,
    net: IpNet,
}

/// The lines about a server that listens on `listening` and takes clients from `allow` (as in [`Config::allow`]).
///
/// The unspecified addresses (`0.0.0.0`, `[::]`) stand for all addresses that this machine has at the moment; when
/// they cannot be found out, for this machine only.
pub fn lines(listening: &[SocketAddr], allow: &[Allow]) -> Vec<String> {
    let found = get_if_addrs().unwrap_or_default();
    let interface = |found: if_addrs::Interface| {
        let (address, net) = (found.ip(), net_of(&found));
        Interface { address, net, name: found.name }
    };
    let interfaces: Vec<_> = found.into_iter().map(interface).collect();
    let mut lines = commands(listening, &interfaces, allow);
    if listening.iter().any(|socket| !socket.ip().is_loopback()) {
        let who = list_in_lines("Who may connect:", &who_may_connect(allow), COLUMNS - STAMP);
        lines.extend(who.lines().map(ToOwned::to_owned));
    }
    lines
}

fn commands(listening: &[SocketAddr], interfaces: &[Interface], asked: &[Allow]) -> Vec<String> {
    // To be given with a network where nothing was given, because that would take the place of the local ones.
    let also = if asked.is_empty() { ",local" } else { "" };
    let allowed = Allow::spelled_out(asked);
    let mut lines = Vec::new();
    for &socket in listening {
        let mut reached = reached(socket, listening, interfaces);
        reached.sort_by_key(|interface| (interface.address.is_loopback(), interface.address.is_ipv6()));
        if reached.iter().any(|interface| !interface.address.is_loopback()) {
            reached.retain(|interface| !interface.address.is_loopback());
        }
        for interface in &reached {
            let line = invite(interface, socket.port(), &allowed, also);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The addresses of this machine at which one socket is reached.
fn reached(socket: SocketAddr, listening: &[SocketAddr], interfaces: &[Interface]) -> Vec<Interface> {
    let is_reached = |interface: &&Interface| match socket.ip() {
        any if any.is_unspecified() => {
            interface.address.is_ipv4() == any.is_ipv4()
                || interface.address.is_ipv4() && takes_ipv4_too(socket, listening)
        }
        one => interface.address == one,
    };
    let mut reached: Vec<_> = interfaces.iter().filter(is_reached).cloned().collect();
    if reached.is_empty() {
        let any = socket.ip().is_unspecified();
        let address = if any { localhost(socket.is_ipv4()) } else { socket.ip() };
        reached.push(Interface { name: String::new(), address, net: address.into() });
    }
    reached
}

/// The command for those who share a network with this machine, or the flag that would let them in.
fn invite(interface: &Interface, port: u16, allowed: &[Allow], also: &str) -> String {
    let Interface { name, address, net } = interface;
    let here = if name.is_empty() { String::new() } else { format!(" ({name})") };
    // A link-local address (RFC 4007) is the same on every network, so it needs the name of the interface: of theirs,
    // which is often called like ours.
    let host = match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => format!("{address}%{name}"),
        _ => address.to_string(),
    };
    if address.is_loopback() {
        // Connections within this machine come from these addresses, whatever the one that they go to.
        let from = localhost(address.is_ipv4());
        return if allowed.iter().any(|allow| allow.contains(from)) {
            format!("On this machine: nc {host} {port}")
        } else {
            format!("Everyone is refused at {host}: this machine needs --allow {from}")
        };
    }
    let net = neighbourhood(*address, *net);
    let of_others = |allow: &Allow| allow.overlaps(net) && *allow != Allow::Net((*address).into());
    if allowed.iter().any(of_others) {
        format!("Others connect with: nc {host} {port}{here}")
    } else if net.prefix_len() == net.max_prefix_len() {
        format!("Others are refused at {host}{here}: they need --allow any")
    } else {
        format!("Others are refused at {host}{here}: they need --allow {net}{also}")
    }
}

/// The network of an address. DHCPv6 hands out addresses without one (RFC 5942); their neighbours are mostly in the /64.
fn neighbourhood(address: IpAddr, net: IpNet) -> IpNet {
    match (net, IpNet::new(address, 64)) {
        (IpNet::V6(one), Ok(wider)) if one.prefix_len() == 128 => wider.trunc(),
        _ => net,
    }
}

fn localhost(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

fn who_may_connect(asked: &[Allow]) -> Vec<String> {
    let describe = |allow: &Allow| match allow {
        Allow::Local => {
            let own = Config::own_ipv6_networks();
            let local = ["this machine", "local networks"].map(ToOwned::to_owned);
            local.into_iter().chain(own.iter().map(ToString::to_string)).collect()
        }
        other => vec![other.to_string()],
    };
    Allow::or_local(asked).iter().flat_map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAN: [(&str, &str); 6] = [
        ("lo", "127.0.0.1/8"),
        ("lo", "::1/128"),
        ("eth0", "fe80::1/64"),
        ("eth0", "192.168.1.20/24"),
        ("eth0", "fd12::20/64"),
        ("wan", "203.0.113.5/24"),
    ];

    /// The lines for these listeners, with `allow` as it is given, or empty for the default.
    fn lines(listening: &[&str], interfaces: &[(&str, &str)], allow: &str) -> Vec<String> {
        let listening: Vec<_> = listening.iter().map(|address| address.parse().unwrap()).collect();
        let interface = |(name, net): &(&str, &str)| {
            let net: IpNet = net.parse().unwrap();
            Interface { name: (*name).into(), address: net.addr(), net: net.trunc() }
        };
        let interfaces: Vec<_> = interfaces.iter().map(interface).collect();
        let asked: Vec<Allow> = allow.split_terminator(',').map(|net| net.parse().unwrap()).collect();
        commands(&listening, &interfaces, &asked)
    }

    #[test]
    fn every_address_gets_its_command_or_what_it_needs() {
        let all = [
            "Others connect with: nc 192.168.1.20 7 (eth0)",
            "Others are refused at 203.0.113.5 (wan): they need --allow 203.0.113.0/24,local",
            "Others connect with: nc fe80::1%eth0 7 (eth0)",
            "Others connect with: nc fd12::20 7 (eth0)",
        ];
        assert_eq!(lines(&["[::]:7"], &LAN, ""), all);
        assert_eq!(lines(&["0.0.0.0:7"], &LAN, ""), all[..2]);
        assert_eq!(lines(&["0.0.0.0:7", "[::]:7"], &LAN, ""), all);
        assert_eq!(
            lines(&["192.168.1.20:7", "127.0.0.1:8"], &LAN, ""),
            [all[0], "On this machine: nc 127.0.0.1 8"]
        );
        // Next to an IPv4 socket of the same port, the other one takes IPv6 alone.
        assert_eq!(
            lines(&["[::]:7", "127.0.0.1:7"], &LAN, ""),
            [all[2], all[3], "On this machine: nc 127.0.0.1 7"]
        );
        assert_eq!(lines(&["203.0.113.5:7"], &LAN, "any"), ["Others connect with: nc 203.0.113.5 7 (wan)"]);
    }

    #[test]
    fn a_network_is_allowed_when_some_of_its_neighbours_are() {
        let refused = "Others are refused at 192.168.1.20 (eth0): they need --allow 192.168.1.0/24";
        for (allow, line) in [
            ("192.168.1.7", "Others connect with: nc 192.168.1.20 7 (eth0)"),
            ("192.168.0.0/16", "Others connect with: nc 192.168.1.20 7 (eth0)"),
            ("local", "Others connect with: nc 192.168.1.20 7 (eth0)"),
            ("192.168.2.0/24", refused),
            ("127.0.0.1", refused),
            ("192.168.1.20", refused),
        ] {
            assert_eq!(lines(&["192.168.1.20:7"], &LAN, allow), [line], "{allow}");
        }
    }

    #[test]
    fn an_address_without_a_network_needs_more_than_itself() {
        let line = |net, allow| lines(&["[::]:7"], &[("eth0", net)], allow).pop().unwrap();
        let refused = "Others are refused at 2001:db8::5 (eth0): they need --allow 2001:db8::/64";
        assert_eq!(line("2001:db8::5/128", "2001:db8::5"), refused);
        assert_eq!(line("2001:db8::5/128", "2001:db8::/64"), "Others connect with: nc 2001:db8::5 7 (eth0)");
        assert_eq!(
            line("203.0.113.5/32", ""),
            "Others are refused at 203.0.113.5 (eth0): they need --allow any"
        );
        assert_eq!(line("100.100.1.5/32", ""), "Others connect with: nc 100.100.1.5 7 (eth0)");
    }

    #[test]
    fn a_server_for_this_machine_alone_has_no_others() {
        assert_eq!(lines(&["0.0.0.0:7"], &LAN[..1], ""), ["On this machine: nc 127.0.0.1 7"]);
        assert_eq!(lines(&["[::]:7"], &[], ""), ["On this machine: nc ::1 7"]);
        assert_eq!(lines(&["127.0.0.2:7"], &LAN, ""), ["On this machine: nc 127.0.0.2 7"]);
        assert_eq!(
            lines(&["127.0.0.1:7"], &LAN, "192.168.1.0/24"),
            ["Everyone is refused at 127.0.0.1: this machine needs --allow 127.0.0.1"]
        );
        assert_eq!(
            lines(&["[::1]:7"], &LAN, "127.0.0.1"),
            ["Everyone is refused at ::1: this machine needs --allow ::1"]
        );
    }
}
