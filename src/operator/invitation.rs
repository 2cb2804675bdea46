//! The commands to hand out: how others connect, for each address of this machine.

use if_addrs::get_if_addrs;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// One address of this machine and the network interface that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interface {
    name: String,
    address: IpAddr,
}

/// The commands that reach a server which listens on `listening`, those for the LAN first.
///
/// The unspecified addresses (`0.0.0.0`, `[::]`) stand for all addresses that this machine has at the moment; when
/// they cannot be found out, for this machine only.
pub fn commands(listening: &[SocketAddr]) -> Vec<String> {
    let found = get_if_addrs().unwrap_or_default();
    let interfaces = found.into_iter().map(|found| Interface { address: found.ip(), name: found.name });
    commands_for(listening, &interfaces.collect::<Vec<_>>())
}

fn commands_for(listening: &[SocketAddr], interfaces: &[Interface]) -> Vec<String> {
    let mut commands = Vec::new();
    for socket in listening {
        let port = socket.port();
        let of_this_socket = |interface: &&Interface| match socket.ip() {
            IpAddr::V6(any) if any.is_unspecified() => true, // Most systems take IPv4 there too.
            any if any.is_unspecified() => interface.address.is_ipv4(),
            _ => false,
        };
        let mut reached: Vec<&Interface> = interfaces.iter().filter(of_this_socket).collect();
        reached.sort_by_key(|interface| (interface.address.is_loopback(), interface.address.is_ipv6()));
        if reached.iter().any(|interface| !interface.address.is_loopback()) {
            reached.retain(|interface| !interface.address.is_loopback());
        }
        if reached.is_empty() {
            let here =
                if socket.ip().is_unspecified() { "localhost".to_owned() } else { socket.ip().to_string() };
            commands.push(format!("nc {here} {port}"));
        }
        commands.extend(reached.iter().map(|interface| format!("nc {} {port}", host(interface))));
    }
    let mut seen = HashSet::new();
    commands.retain(|command| seen.insert(command.clone()));
    commands
}

/// The address as others type it. A link-local one (RFC 4007) is the same on every network, so it needs the name of
/// the interface: of theirs, which is often called like ours.
fn host(Interface { name, address }: &Interface) -> String {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => format!("{address}%{name}"),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(listening: &[&str], interfaces: &[(&str, &str)]) -> Vec<String> {
        let listening: Vec<_> = listening.iter().map(|address| address.parse().unwrap()).collect();
        let interface = |(name, address): &(&str, &str)| Interface {
            name: (*name).into(),
            address: address.parse().unwrap(),
        };
        commands_for(&listening, &interfaces.iter().map(interface).collect::<Vec<_>>())
    }

    const LAN: [(&str, &str); 5] = [
        ("lo", "127.0.0.1"),
        ("lo", "::1"),
        ("eth0", "fe80::1"),
        ("eth0", "192.168.1.20"),
        ("eth0", "fd12::20"),
    ];

    #[test]
    fn every_address_gets_its_command() {
        let all = ["nc 192.168.1.20 12345", "nc fe80::1%eth0 12345", "nc fd12::20 12345"];
        assert_eq!(commands(&["[::]:12345"], &LAN), all);
        assert_eq!(commands(&["[::]:12345", "0.0.0.0:12345"], &LAN), all);
        assert_eq!(commands(&["0.0.0.0:7"], &LAN), ["nc 192.168.1.20 7"]);
        assert_eq!(
            commands(&["192.168.1.20:7", "127.0.0.1:8"], &LAN),
            ["nc 192.168.1.20 7", "nc 127.0.0.1 8"]
        );
    }

    #[test]
    fn a_machine_without_a_network_can_still_talk_to_itself() {
        assert_eq!(commands(&["0.0.0.0:7"], &LAN[..2]), ["nc 127.0.0.1 7"]);
        assert_eq!(commands(&["[::]:7"], &[]), ["nc localhost 7"]);
    }
}
