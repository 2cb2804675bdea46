//! What the operator is told at the start: how others connect, for each address of this machine, and who may.
//!
//! A command that this server would refuse is not among them. Its address is named with the
//! `--allow` that it needs.

use crate::chat::reply::{COLUMNS, wrapped};
use crate::config::{Allow, interfaces};
use crate::guard::listener::takes_ipv4_too;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How wide the time and the level of a log line are: `2026-11-24 14:03:12+01:00 [INFO] `.
const STAMP: usize = 33;

/// A network interface of this machine: its name, and its address with the prefix of its network.
type Interface = (String, IpNet);

/// The lines about a server that listens on `listening` and takes clients from `allow`.
///
/// The unspecified addresses (`0.0.0.0`, `[::]`) stand for all addresses that this machine has at the moment;
/// when they cannot be found out, for this machine only.
pub fn lines(listening: &[SocketAddr], allow: &[Allow]) -> Vec<String> {
    let interfaces: Vec<_> = interfaces().collect();
    let allow: Vec<_> = allow.iter().map(Allow::now).collect();
    let mut lines = commands(listening, &interfaces, &allow);
    if listening.iter().any(|socket| socket.ip().is_unspecified()) && interfaces.iter().all(is_loopback) {
        lines.push("There is no network now; /addresses looks again".to_owned());
    }
    if listening.iter().any(|socket| !socket.ip().is_loopback()) {
        let who: Vec<_> = allow.iter().map(|allow| allow.name.as_str()).collect();
        let who = wrapped(&format!("Who may connect: {}", who.join(", ")), COLUMNS - STAMP, "  ");
        lines.extend(who.lines().map(str::to_owned));
    }
    lines
}

fn commands(listening: &[SocketAddr], interfaces: &[Interface], allow: &[Allow]) -> Vec<String> {
    // A network that is given in place of the local ones would shut them out.
    let also = if allow.iter().any(|allow| allow.is_local) { ",local" } else { "" };
    let allowed: Vec<_> = allow.iter().flat_map(|allow| allow.nets.iter().copied()).collect();
    let mut lines = Vec::new();
    for &socket in listening {
        let mut reached = reached(socket, listening, interfaces);
        let only_here = reached.iter().all(is_loopback);
        reached.retain(|interface| is_loopback(interface) == only_here);
        reached.sort_by_key(|(_, net)| net.addr().is_ipv6());
        let invite = |it: &Interface| (is_link_local(it.1.addr()), invite(it, socket.port(), &allowed, also));
        lines.extend(reached.iter().map(invite));
    }
    // Each bridge and each container's end of a cable has a link-local address. They are for where there is
    // nothing else.
    let is_better =
        |(is_link_local, line): &(bool, String)| !is_link_local && line.starts_with("Others connect");
    let has_better = lines.iter().any(is_better);
    lines.retain(|(is_link_local, _)| !(*is_link_local && has_better));
    lines.into_iter().map(|(_, line)| line).collect()
}

fn is_loopback((_, net): &Interface) -> bool {
    net.addr().is_loopback()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The addresses of this machine at which one socket is reached.
fn reached(socket: SocketAddr, listening: &[SocketAddr], interfaces: &[Interface]) -> Vec<Interface> {
    let all = socket.ip().is_unspecified();
    let ipv4 = socket.is_ipv4();
    let ipv4_too = takes_ipv4_too(socket, listening);
    let takes = |ip: IpAddr| ip == socket.ip() || all && ip.is_ipv4() == ipv4 || ipv4_too && ip.is_ipv4();
    let mut reached: Vec<_> = interfaces.iter().filter(|(_, net)| takes(net.addr())).cloned().collect();
    if reached.is_empty() {
        let address = if all { localhost(ipv4) } else { socket.ip() };
        reached.push((String::new(), address.into()));
    }
    reached
}

/// The command for those who share a network with this machine, or the flag that would let them in.
fn invite((name, net): &Interface, port: u16, allowed: &[IpNet], also: &str) -> String {
    let address = net.addr();
    if address.is_loopback() {
        // Connections within this machine come from these addresses, whatever the one that they go to.
        let from = localhost(address.is_ipv4());
        return if allowed.iter().any(|net| net.contains(&from)) {
            format!("On this machine: nc {address} {port}")
        } else {
            format!("Everyone is refused at {address}: this machine needs --allow {from}")
        };
    }
    let here = if name.is_empty() { String::new() } else { format!(" ({name})") };
    // A link-local address (RFC 4007) is the same on every network, so it needs the name of the interface: of
    // theirs, which is often called like ours.
    let host = match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => format!("{address}%{name}"),
        _ => address.to_string(),
    };
    // DHCPv6 hands out addresses without a network (RFC 5942); their neighbours are mostly in the /64.
    let prefix = if net.prefix_len() == 128 { 64 } else { net.prefix_len() };
    let net = IpNet::new(address, prefix).expect("the prefix gets no longer").trunc();
    let of_others = |allow: &IpNet| *allow != address.into() && (allow.contains(&net) || net.contains(allow));
    if allowed.iter().any(of_others) {
        return format!("Others connect with: nc {host} {port}{here}");
    }
    let is_alone = net.prefix_len() == net.max_prefix_len();
    let needed = if is_alone { "any".to_owned() } else { format!("{net}{also}") };
    format!("Others are refused at {host}{here}: they need --allow {needed}")
}

fn localhost(ipv4: bool) -> IpAddr {
    if ipv4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
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

    /// The lines for these listeners, with `allow` as it is given.
    fn lines(listening: &[&str], interfaces: &[(&str, &str)], allow: &str) -> Vec<String> {
        let listening: Vec<_> = listening.iter().map(|address| address.parse().unwrap()).collect();
        let interface = |(name, net): &(&str, &str)| ((*name).into(), net.parse().unwrap());
        let interfaces: Vec<_> = interfaces.iter().map(interface).collect();
        commands(&listening, &interfaces, &[allow.parse().unwrap()])
    }

    #[test]
    fn every_address_gets_its_command_or_what_it_needs() {
        let all = [
            "Others connect with: nc 192.168.1.20 7 (eth0)",
            "Others are refused at 203.0.113.5 (wan): they need --allow 203.0.113.0/24,local",
            "Others connect with: nc fd12::20 7 (eth0)",
        ];
        assert_eq!(lines(&["[::]:7"], &LAN, "local"), all);
        assert_eq!(lines(&["0.0.0.0:7"], &LAN, "local"), all[..2]);
        assert_eq!(lines(&["0.0.0.0:7", "[::]:7"], &LAN, "local"), all);
        assert_eq!(
            lines(&["192.168.1.20:7", "127.0.0.1:8"], &LAN, "local"),
            [all[0], "On this machine: nc 127.0.0.1 8"]
        );
        // Next to an IPv4 socket of the same port, the other one takes IPv6 alone.
        assert_eq!(
            lines(&["[::]:7", "127.0.0.1:7"], &LAN, "local"),
            [all[2], "On this machine: nc 127.0.0.1 7"]
        );
        assert_eq!(lines(&["203.0.113.5:7"], &LAN, "any"), ["Others connect with: nc 203.0.113.5 7 (wan)"]);
        // A link-local address is for where there is nothing else.
        let alone = ["Others connect with: nc fe80::1%eth0 7 (eth0)"];
        assert_eq!(lines(&["[::]:7"], &LAN[..3], "local"), alone);
        let refused = "Others are refused at 203.0.113.5 (wan): they need --allow 203.0.113.0/24,local";
        assert_eq!(lines(&["[::]:7"], &[LAN[2], LAN[5]], "local"), [refused, alone[0]]);
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
            line("203.0.113.5/32", "local"),
            "Others are refused at 203.0.113.5 (eth0): they need --allow any"
        );
        assert_eq!(line("100.100.1.5/32", "local"), "Others connect with: nc 100.100.1.5 7 (eth0)");
    }

    #[test]
    fn a_server_for_this_machine_alone_has_no_others() {
        assert_eq!(lines(&["0.0.0.0:7"], &LAN[..1], "local"), ["On this machine: nc 127.0.0.1 7"]);
        assert_eq!(lines(&["[::]:7"], &[], "local"), ["On this machine: nc ::1 7"]);
        assert_eq!(lines(&["127.0.0.2:7"], &LAN, "local"), ["On this machine: nc 127.0.0.2 7"]);
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
