//! Sockets as this server wants them: a long listen backlog, kernel buffers of a fixed size, and probes that
//! notice a client whose machine is gone.

use crate::config::{Config, DEFAULT_PORT, Listen};
use log::warn;
use rustix::net::sockopt;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How many connections may wait to be accepted. With the 128 of std, a classroom that connects at once loses
/// packets and waits a second for TCP to try again: 1,000 connects took 5 to 7 s, and 0.02 s with this.
const LISTEN_BACKLOG: i32 = 4096;

/// The kernel's buffers for one client, in bytes. Left to itself Linux grows them to many MiB, so that a
/// thousand clients that do not read would hold gigabytes that no flag mentions. A larger one makes nothing
/// faster here.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// The kernel probes a connection that has been silent for this long, so many times, at such intervals
/// (tcp(7)).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Keepalive probes only idle connections. Data on its way may stay unacknowledged for as long as that (RFC
/// 5482); by default Linux would try for a quarter of an hour.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Listens where it was asked to, or on all addresses of this machine.
///
/// # Errors
/// The error is a sentence that names the address and says what to do.
pub(crate) fn bind_all(asked: &[Listen]) -> io::Result<Vec<TcpListener>> {
    if asked.is_empty() {
        return bind_everywhere();
    }
    let all: Vec<_> = asked.iter().flat_map(|listen| listen.addresses.iter().copied()).collect();
    let mut listeners: Vec<TcpListener> = Vec::new();
    for Listen { addresses } in asked {
        let mut port = None; // That of this name, once one of its addresses is listened on.
        let mut failures = Vec::new();
        for &(mut address) in addresses {
            let is_bound = |listener: &TcpListener| listener.local_addr().is_ok_and(|bound| bound == address);
            if listeners.iter().any(is_bound) || all.iter().any(|&other| covers(other, address)) {
                port = port.or(Some(address.port())); // Another socket takes what comes there.
                continue;
            }
            if address.port() == 0 {
                address.set_port(port.unwrap_or(0));
            }
            match bind(address, takes_ipv4_too(address, &all)) {
                Ok(listener) => {
                    port = port.or(Some(listener.local_addr()?.port()));
                    listeners.push(listener);
                }
                Err(error) => failures.push(error),
            }
        }
        for failure in failures {
            if port.is_none() {
                return Err(failure);
            }
            warn!("{failure}"); // One address of a name is enough.
        }
    }
    Ok(listeners)
}

/// Whether a socket for all addresses of one kind takes what would come to `address`. The kernel refuses to
/// bind both.
fn covers(other: SocketAddr, address: SocketAddr) -> bool {
    let same_kind = other.is_ipv4() == address.is_ipv4() && other.port() == address.port();
    same_kind && address.port() != 0 && other.ip().is_unspecified() && !address.ip().is_unspecified()
}

/// Whether an IPv6 socket for all addresses takes IPv4 too (RFC 3493, 5.3): unless there is an IPv4 socket of
/// that port.
pub(crate) fn takes_ipv4_too(address: SocketAddr, all: &[SocketAddr]) -> bool {
    let of_ipv4 =
        |other: &SocketAddr| other.is_ipv4() && other.port() == address.port() && address.port() != 0;
    address.is_ipv6() && address.ip().is_unspecified() && !all.iter().any(of_ipv4)
}

/// All addresses of this machine: IPv6, and IPv4 too, with one socket where the system can do that.
fn bind_everywhere() -> io::Result<Vec<TcpListener>> {
    match bind(Config::ANY_IPV6, true) {
        Ok(both) if matches!(sockopt::ipv6_v6only(&both), Ok(false)) => Ok(vec![both]),
        Ok(only_ipv6) => Ok(vec![only_ipv6, bind(Config::ANY_IPV4, false)?]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_no_ipv6) => Ok(vec![bind(Config::ANY_IPV4, false)?]),
    }
}

fn bind(address: SocketAddr, ipv4_too: bool) -> io::Result<TcpListener> {
    listen_on(address, ipv4_too).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {}", advice(address, &error)))
    })
}

/// The cause, and what to do: an address to listen on that differs from the one asked for only in what is
/// wrong with it.
fn advice(address: SocketAddr, error: &io::Error) -> String {
    let mut other = address;
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            other.set_port(address.port().checked_add(1).unwrap_or(DEFAULT_PORT));
            "the address is in use; stop the other server, or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            other.set_port(address.port().saturating_add(8000));
            "this port needs special rights; choose one above 1023"
        }
        io::ErrorKind::AddrNotAvailable => {
            other.set_ip(if address.is_ipv4() { Config::ANY_IPV4.ip() } else { Config::ANY_IPV6.ip() });
            "this machine does not have that address; choose one of its own, or all of them"
        }
        _ => return error.to_string(),
    };
    format!("{advice}, for example with --listen {other}")
}

fn listen_on(address: SocketAddr, ipv4_too: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that starts again need not wait for the old connections of the one before.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        let done = socket.set_only_v6(!ipv4_too);
        if !ipv4_too {
            done?; // To mix them is only a wish: OpenBSD never does.
        }
    }
    socket.bind(&address.into())?;
    // Accepted sockets inherit these.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.listen(LISTEN_BACKLOG)?;
    // A connection may be gone between `poll` and `accept`, and then `accept` must not wait for the next one.
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Prepares an accepted connection.
///
/// # Errors
/// The connection is broken already.
pub(crate) fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nonblocking(false)?; // The BSDs and macOS let it inherit that from the listener.
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
    #[cfg(not(target_os = "openbsd"))] // There these are for the whole system only.
    let keepalive = keepalive.with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests;
