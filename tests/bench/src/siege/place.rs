//! The addresses that stand for machines, and connections from them.
//!
//! All of 127.0.0.0/8 is this machine, and a server sees which of these addresses a client has bound.
//! So one machine can play many. The honest people sit on many addresses, because a server may limit
//! what one address can do.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// How many people of the crowd share an address. chat-server's default is 64.
const PEOPLE_PER_ADDRESS: usize = 60;

pub const SENTINELS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 2, 0, 1), Ipv4Addr::new(127, 2, 0, 2)];

pub fn crowd(person: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + (person / PEOPLE_PER_ADDRESS) as u32)
}

/// Each newcomer has an address of its own.
pub fn newcomer(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 3, 0, 1).to_bits() + number as u32)
}

pub fn attacker(machine: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 4, 0, 1).to_bits() + machine as u32)
}

/// Begins to connect, and does not wait. A slow reader has a small receive buffer, so that what it does not
/// read waits in the server and not here.
pub fn connect(from: Ipv4Addr, to: SocketAddr, receive_buffer: Option<usize>) -> Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    // Close with a reset: a polite close leaves a local port unusable for a minute, and
    // each address has 28,000.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    if let Some(size) = receive_buffer {
        sockopt::set_socket_recv_buffer_size(&socket, size)?;
    }
    rustix::net::bind(&socket, &SocketAddr::from((from, 0))).with_context(|| format!("cannot be {from}"))?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error).with_context(|| format!("cannot connect from {from}")),
    }
}
