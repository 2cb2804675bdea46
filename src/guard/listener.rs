//! Sockets as this server wants them: a long listen backlog, kernel buffers of a fixed size, and probes that notice a
//! client whose machine is gone.

use crate::config::Config;
use rustix::net::{listen, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// How many connections may wait to be accepted. With the 128 of std, a classroom that connects at once loses
/// packets and waits a second for TCP to try again: 1,000 connects took 5 to 7 s, and 0.02 s with this.
const LISTEN_BACKLOG: i32 = 4096;

/// The kernel's buffers for one client, in bytes. Left to itself Linux grows them to many MiB, so that a thousand
/// clients that do not read would hold gigabytes that no flag mentions. A larger one makes nothing faster here.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;
const RECEIVE_BUFFER: usize = 64 * 1024;

/// The kernel probes a connection that has been silent for this long, so many times, at such intervals (tcp(7)).
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// Keepalive probes only idle connections. Data on its way may stay unacknowledged for as long as that (RFC 5482); by
/// default Linux would try for a quarter of an hour.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(90);

/// Listens on `addresses`, or on all addresses of this machine when there are none.
///
/// # Errors
/// The error is a sentence that names the address and says what to do.
pub(crate) fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    if addresses.is_empty() {
        return bind_everywhere();
    }
    addresses.iter().map(|&address| bind(address)).collect()
}

/// All addresses of this machine: IPv6, and IPv4 too, with one socket where the system can do that (RFC 3493, 5.3).
fn bind_everywhere() -> io::Result<Vec<TcpListener>> {
    match bind(Config::ANY_IPV6) {
        Ok(both) if matches!(sockopt::ipv6_v6only(&both), Ok(false)) => Ok(vec![both]),
        Ok(only_ipv6) => Ok(vec![only_ipv6, bind(Config::ANY_IPV4)?]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        Err(_no_ipv6) => Ok(vec![bind(Config::ANY_IPV4)?]),
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    listen_on(address).map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "the address is in use; stop the other server, or choose another port, for example with --listen 0.0.0.0:12346",
            io::ErrorKind::PermissionDenied => "this port needs special rights; choose one above 1023, for example with --listen 0.0.0.0:12345",
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address; choose one of its own, or 0.0.0.0 for all",
            _ => &error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {advice}"))
    })
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // Accepted sockets inherit these.
    sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)?;
    sockopt::set_socket_recv_buffer_size(&listener, RECEIVE_BUFFER)?;
    listen(&listener, LISTEN_BACKLOG)?;
    // A connection may be gone between `poll` and `accept`, and then `accept` must not wait for the next one.
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Prepares an accepted connection.
///
/// # Errors
/// The connection is broken already.
pub(crate) fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nonblocking(false)?; // The BSDs and macOS let it inherit that from the listener.
    socket.set_nodelay(true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    #[cfg(not(target_os = "openbsd"))] // There these are for the whole system only.
    {
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT.as_millis() as u32)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn an_accepted_socket_has_small_buffers_and_notices_a_client_that_is_gone() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, _) = listener.accept().unwrap();
        tune(&socket).unwrap();
        assert!(socket.nodelay().unwrap() && sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(60));
        assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(10));
        assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 3);
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 90_000);
        // Linux doubles what it is given, for its own bookkeeping (socket(7)).
        assert_eq!(sockopt::socket_send_buffer_size(&socket).unwrap(), 2 * SEND_BUFFER);
        assert_eq!(sockopt::socket_recv_buffer_size(&socket).unwrap(), 2 * RECEIVE_BUFFER);
    }

    #[test]
    fn an_address_that_cannot_be_had_is_named_with_advice() {
        let taken = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let sentence = bind_all(&[address]).unwrap_err().to_string();
        assert!(
            sentence.starts_with(&format!("cannot listen on {address}: the address is in use;")),
            "{sentence}"
        );
    }
}
