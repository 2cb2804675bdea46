//! How a connection ends when the client has left: its last lines arrive, and its shell has the prompt back.
//!
//! OpenBSD's `nc`, the default of Debian and Ubuntu, does not end when the server closes its half: it waits for its user
//! to press Enter. It does end at a reset. But a reset can destroy lines that are still on their way, so it comes only
//! when TCP says that the client's kernel has acknowledged everything, our end of file too.

use super::sock_diag::has_acknowledged_everything;
use crossbeam_channel::Receiver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long a connection whose half we have closed stays half open, so that its client can read the last lines and close
/// its own half. A LAN needs a few milliseconds of it.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How long a client that leaves may take to read its last lines.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a thread whose reading was ended looks whether the client has closed its half. No event tells of it.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until the dispatcher has sent a client its last lines and closed our half of the connection, and then until the
/// client has closed its own, but for neither very long. Then ends the connection.
///
/// Meanwhile the rest of the client's input is thrown away: closing a socket with unread input makes the kernel send a
/// reset at once, and that can destroy the last lines before the client has read them (RFC 1122, 4.2.2.13).
#[inline(never)] // Its buffer would lie in the frame of a thread that only waits.
pub(crate) fn linger(mut socket: &TcpStream, tickets: &Receiver<()>) {
    let deadline = Instant::now() + PATIENCE;
    while tickets.recv_deadline(deadline).is_ok() {}
    let _ = socket.set_read_timeout(Some(LINGER));
    let until = Instant::now() + LINGER;
    let mut thrown_away = [0; 1024];
    // A connection that is closed on both sides has no peer any more.
    while Instant::now() < until && socket.peer_addr().is_ok() {
        if !matches!(socket.read(&mut thrown_away), Ok(1..)) {
            thread::sleep(LOOK);
        }
    }
    if has_acknowledged_everything(socket) {
        let _ = set_socket_linger(socket, Some(Duration::ZERO)); // Closing it now sends a reset.
    }
    let _ = socket.shutdown(Shutdown::Both);
}

/// Whether the client has ended its input, as far as the kernel knows.
pub(crate) fn has_ended_its_input(socket: &TcpStream) -> bool {
    #[cfg(target_os = "linux")]
    const ENDED: PollFlags = PollFlags::RDHUP;
    #[cfg(not(target_os = "linux"))]
    const ENDED: PollFlags = PollFlags::HUP;
    let mut sockets = [PollFd::new(socket, ENDED)];
    poll(&mut sockets, Some(&Timespec::default())).is_ok() && !sockets[0].revents().is_empty()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Write};
    use std::net::TcpListener;

    #[test]
    fn a_client_that_does_not_close_gets_its_last_lines_and_then_a_reset() {
        for address in ["127.0.0.1:0", "[::]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut far = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (mut near, _) = listener.accept().unwrap();
            near.write_all(b"the last line\n").unwrap();
            assert!(!has_acknowledged_everything(&near), "our half is still open");
            near.shutdown(Shutdown::Write).unwrap();
            let (keep, done) = crossbeam_channel::bounded(0);
            drop(keep);
            linger(&near, &done);
            drop(near);
            let mut seen = String::new();
            far.read_to_string(&mut seen).unwrap();
            assert_eq!(seen, "the last line\n");
            let broken = (0..).find_map(|_| far.write_all(b"\n").err()).unwrap();
            assert!(matches!(broken.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{broken}");
        }
    }
}
