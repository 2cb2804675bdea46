//! Whether a client's kernel has acknowledged everything. Our kernel knows that, and
//! tells it on a netlink socket.
//!
//! The question is 72 bytes: a `struct nlmsghdr` (netlink(7), linux/netlink.h) and a `struct
//! inet_diag_req_v2` (sock_diag(7), linux/inet_diag.h). The answer is another `nlmsghdr` and a `struct
//! inet_diag_msg`, whose second byte is the state of the connection. Numbers are in this machine's byte
//! order, ports and addresses in the network's. `TCP_INFO` (tcp(7)) would tell the same, but no safe call of
//! std, rustix or socket2 asks for it.

use std::net::TcpStream;

/// Whether the client's kernel has acknowledged all bytes and our end of file: only then TCP is in the state
/// FIN-WAIT-2 (RFC 9293, 3.3.2).
#[cfg(target_os = "linux")]
pub(crate) fn has_acknowledged_everything(socket: &TcpStream) -> bool {
    const TCP_FIN_WAIT2: u8 = 5;
    matches!(linux::state(socket), Ok(Some(TCP_FIN_WAIT2)))
}

/// It cannot be asked here. Then no client gets a reset.
#[cfg(not(target_os = "linux"))]
pub(crate) fn has_acknowledged_everything(_: &TcpStream) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
    };
    use std::io;
    use std::net::{IpAddr, SocketAddr, TcpStream};

    const QUESTION: u32 = 72;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const AF_INET6: u8 = 10;
    const IPPROTO_TCP: u8 = 6;
    const KERNEL: SocketAddrNetlink = SocketAddrNetlink::new(0, 0);

    /// The state of the connection, as the kernel numbers it (netinet/tcp.h); `None` if it
    /// knows no such connection.
    pub(super) fn state(connection: &TcpStream) -> io::Result<Option<u8>> {
        let question = question(connection.local_addr()?, connection.peer_addr()?);
        let family = AddressFamily::NETLINK;
        let kernel = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
        sendto(&kernel, &question, SendFlags::empty(), &KERNEL)?;
        let mut answer = [0; 18]; // Up to the state.
        // It is here already, and the dispatcher must not wait for it.
        recv(&kernel, &mut answer, RecvFlags::DONTWAIT)?;
        let is_error = answer[4..6] != SOCK_DIAG_BY_FAMILY.to_ne_bytes();
        Ok((!is_error).then_some(answer[17]))
    }

    fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
        // A link-local address is only complete with its interface.
        let interface = if let SocketAddr::V6(peer) = peer { peer.scope_id() } else { 0 };
        let mut question = Vec::with_capacity(QUESTION as usize);
        // struct nlmsghdr: length, type, flags; a sequence number and the sender's, which
        // one question does not need.
        question.extend(QUESTION.to_ne_bytes());
        question.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        question.extend(NLM_F_REQUEST.to_ne_bytes());
        question.extend([0; 8]);
        // struct inet_diag_req_v2: family, protocol, no extensions, padding, any state.
        question.extend([AF_INET6, IPPROTO_TCP, 0, 0]);
        question.extend(u32::MAX.to_ne_bytes());
        // struct inet_diag_sockid: ports, addresses, interface, any cookie.
        question.extend(local.port().to_be_bytes());
        question.extend(peer.port().to_be_bytes());
        question.extend(address(local.ip()));
        question.extend(address(peer.ip()));
        question.extend(interface.to_ne_bytes());
        question.extend([0xff; 8]);
        question
    }

    /// An address in its field of 16 bytes. An IPv4 one is written as IPv6 (RFC 4291, 2.5.5.2), and the
    /// kernel looks for it among those of IPv4, also for a client of an IPv6 socket (since Linux 4.5).
    fn address(ip: IpAddr) -> [u8; 16] {
        match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener};
    use std::thread;
    use std::time::{Duration, Instant};

    /// Both ends of a connection, the client's first.
    fn connection(listen: &str, connect: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(listen).unwrap();
        let far = TcpStream::connect((connect, listener.local_addr().unwrap().port())).unwrap();
        (far, listener.accept().unwrap().0)
    }

    fn sees_it_acknowledged(near: &TcpStream, listen: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !has_acknowledged_everything(near) {
            assert!(Instant::now() < deadline, "{listen}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn everything_is_acknowledged_once_it_has_arrived_and_our_half_is_closed() {
        for (listen, connect) in [("127.0.0.1:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let (_far, mut near) = connection(listen, connect);
            near.write_all(b"the last line\n").unwrap();
            assert!(!has_acknowledged_everything(&near), "{listen}: our half is still open");
            near.shutdown(Shutdown::Write).unwrap();
            // The client's kernel may take its time to acknowledge (RFC 9293, 3.8.6.3),
            // and no event tells of it.
            sees_it_acknowledged(&near, listen);
        }
    }

    #[test]
    fn a_client_that_has_not_read_everything_gets_no_reset() {
        let (_far, near) = connection("127.0.0.1:0", "127.0.0.1");
        near.set_nonblocking(true).unwrap();
        while (&near).write(&[b'x'; 1 << 16]).is_ok() {} // More than the two kernels' buffers hold.
        near.shutdown(Shutdown::Write).unwrap();
        assert!(!has_acknowledged_everything(&near));
    }
}
