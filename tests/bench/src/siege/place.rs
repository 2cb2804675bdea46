//! Where a siege takes place: the addresses that stand for machines, and connections from them.
//!
//! A network namespace of its own has a LAN, of which every address is this machine. So one machine can play
//! many, and a server sees the address that a client has bound. Where no namespace can be had, 127.0.0.0/8
//! does the same for IPv4; but chat-server does not count how many come from an address of loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::time::Duration;
use std::{env, fmt};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// The server's own address in the namespace, in the network of all but those who come from afar.
const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd5e, 0x6e, 0, 0, 0, 0, 0, 1);

/// Makes the LAN, and runs what follows in it. A local route makes every address of a network this machine's.
const LAN: &str = "\
    ip link set lo up && ip link add lan0 type veth peer name lan1 && ip link set lan0 up && ip link set lan1 up && \
    ip addr add 10.0.0.1/8 dev lan0 && ip route add local 10.0.0.0/8 dev lo && \
    if [ -e /proc/net/if_inet6 ]; then \
        ip addr add fd5e:6e::1/64 dev lan0 nodad && ip route add local fd5e:6e::/64 dev lo && \
        ip route add local fd5e:6e:0:1::/64 dev lo; \
    fi && exec \"$@\"";

/// Says to a process that it is in the namespace.
const INSIDE: &str = "CHAT_BENCH_LAN";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Family {
    Ipv4,
    /// Everyone is in one /64, which is the server's own.
    Ipv6,
    /// The attackers are in a /64 behind a router.
    Ipv6Far,
}

/// The parts that an address can play.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    Crowd = 1,
    Sentinel,
    Newcomer,
    Attacker,
    /// The two who care about a name that is kept.
    Owner,
    Taker,
}

impl fmt::Display for Family {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Ipv6Far => "IPv6 from afar",
        })
    }
}

/// Runs this program again in a namespace of its own. Returns if it is there already, or why it cannot.
pub fn enter_lan() -> Result<(), String> {
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let in_lan = |program: &std::ffi::OsStr| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c", LAN, "siege"]).arg(program);
        command.env(INSIDE, "1");
        command
    };
    let tried = in_lan("true".as_ref()).output().map_err(|error| format!("unshare: {error}"))?;
    if !tried.status.success() {
        return Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned());
    }
    let myself = env::current_exe().map_err(|error| error.to_string())?;
    let error = in_lan(myself.as_os_str()).args(env::args_os().skip(1)).exec();
    eprintln!("cannot run in the namespace: {error}");
    exit(1);
}

impl Family {
    /// Whether this machine has it.
    pub fn is_here(self) -> bool {
        self == Self::Ipv4 || TcpListener::bind((SERVER, 0)).is_ok()
    }

    /// Where chat-server listens. By default it listens on all addresses of both kinds.
    pub fn listen(self) -> IpAddr {
        match self {
            Self::Ipv4 => Ipv4Addr::LOCALHOST.into(),
            Self::Ipv6 | Self::Ipv6Far => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// Where clients find it.
    pub fn server(self, port: u16) -> SocketAddr {
        match self {
            Self::Ipv4 => (Ipv4Addr::LOCALHOST, port).into(),
            Self::Ipv6 | Self::Ipv6Far => (SERVER, port).into(),
        }
    }

    fn address(self, part: Part, number: usize) -> IpAddr {
        let (part_number, number) = (part as u16, u16::try_from(number + 1).expect("so many are never here"));
        if self == Self::Ipv4 {
            let network = if env::var_os(INSIDE).is_some() { 10 } else { 127 };
            let [high, low] = number.to_be_bytes();
            return Ipv4Addr::new(network, part_number as u8, high, low).into();
        }
        let is_far = self == Self::Ipv6Far && matches!(part, Part::Attacker);
        Ipv6Addr::new(0xfd5e, 0x6e, 0, is_far.into(), 0, 0, part_number, number).into()
    }

    /// Begins to connect, and does not wait. A slow reader has a small receive buffer, so that what it does
    /// not read waits in the server and not here.
    pub fn connect(
        self,
        part: Part,
        number: usize,
        to: SocketAddr,
        receive_buffer: Option<usize>,
    ) -> Result<TcpStream> {
        let from = self.address(part, number);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let kind = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(kind, SocketType::STREAM, flags, None)?;
        if from.is_ipv6() {
            // The kernel lets a socket have any address of a local route in IPv4, and in IPv6 only with this.
            sockopt::set_ipv6_freebind(&socket, true)?;
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        // Close with a reset: a polite close leaves a local port unusable for a minute, and each address has
        // 28,000.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        if let Some(size) = receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, size)?;
        }
        rustix::net::bind(&socket, &SocketAddr::from((from, 0)))
            .with_context(|| format!("cannot be {from}"))?;
        match rustix::net::connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
            Err(error) => Err(error).with_context(|| format!("cannot connect from {from}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attackers_from_afar_are_in_another_network() {
        let network = |family: Family, part| match family.address(part, 63) {
            IpAddr::V4(_) => panic!("{family}"),
            IpAddr::V6(address) => address.segments()[..4].to_owned(),
        };
        let own = network(Family::Ipv6, Part::Attacker);
        assert_eq!(own, network(Family::Ipv6Far, Part::Crowd));
        assert_ne!(own, network(Family::Ipv6Far, Part::Attacker));
        assert_ne!(Family::Ipv4.address(Part::Crowd, 255), Family::Ipv4.address(Part::Sentinel, 255));
    }
}
