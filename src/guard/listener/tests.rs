use super::*;

#[cfg(target_os = "linux")]
#[test]
fn an_accepted_socket_has_small_buffers_and_notices_a_client_that_is_gone() {
    let listener = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
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
    let taken = bind("127.0.0.1:0".parse().unwrap(), false).unwrap();
    let address = taken.local_addr().unwrap();
    let sentence = bind_all(&[Listen { addresses: vec![address] }]).unwrap_err().to_string();
    assert!(
        sentence.starts_with(&format!("cannot listen on {address}: the address is in use;")),
        "{sentence}"
    );
}

#[test]
fn a_name_listens_on_all_its_addresses_with_one_port_and_one_is_enough() {
    let name =
        |addresses: &[&str]| Listen { addresses: addresses.iter().map(|it| it.parse().unwrap()).collect() };
    let found = |asked: &[Listen]| -> Vec<SocketAddr> {
        bind_all(asked).unwrap().iter().map(|listener| listener.local_addr().unwrap()).collect()
    };
    let both = found(&[name(&["127.0.0.1:0", "127.0.0.2:0"])]);
    assert!(
        matches!(both[..], [one, other] if one.port() == other.port() && one.ip() != other.ip()),
        "{both:?}"
    );
    // This one is for documentation (RFC 5737), so no machine has it.
    assert_eq!(found(&[name(&["192.0.2.1:0", "127.0.0.1:0"])]).len(), 1);
    let sentence = bind_all(&[name(&["192.0.2.1:0"]), name(&["127.0.0.1:0"])]).unwrap_err().to_string();
    assert!(sentence.contains("192.0.2.1:0: this machine does not have that address"), "{sentence}");
}

#[test]
fn sockets_that_would_collide_are_bound_as_one_or_side_by_side() {
    let port = free_port();
    for (asked, expected) in [
        ("0.0.0.0:P 0.0.0.0:P", "0.0.0.0:P"),
        ("127.0.0.1:P 0.0.0.0:P", "0.0.0.0:P"),
        ("0.0.0.0:P [::]:P", "0.0.0.0:P [::]:P"),
        ("[::]:P 127.0.0.1:P [::1]:P", "[::]:P 127.0.0.1:P"),
    ] {
        let (asked, expected) = (asked.replace('P', &port), expected.replace('P', &port));
        let asked: Vec<Listen> = asked.split(' ').map(|address| address.parse().unwrap()).collect();
        let listeners = bind_all(&asked).unwrap();
        let bound: Vec<_> = listeners.iter().map(|it| it.local_addr().unwrap().to_string()).collect();
        assert_eq!(bound.join(" "), expected);
    }
}

/// A port that is free on all addresses, at least a moment ago.
fn free_port() -> String {
    let listener = bind("[::]:0".parse().unwrap(), true).unwrap();
    listener.local_addr().unwrap().port().to_string()
}

#[test]
fn the_advice_keeps_what_was_right() {
    let advice = |address: &str, kind: io::ErrorKind| advice(address.parse().unwrap(), &kind.into());
    for (address, kind, other) in [
        ("127.0.0.1:80", io::ErrorKind::PermissionDenied, "127.0.0.1:8080"),
        ("[::1]:443", io::ErrorKind::PermissionDenied, "[::1]:8443"),
        ("192.168.1.20:12345", io::ErrorKind::AddrInUse, "192.168.1.20:12346"),
        ("127.0.0.1:65535", io::ErrorKind::AddrInUse, "127.0.0.1:12345"),
        ("192.0.2.1:7000", io::ErrorKind::AddrNotAvailable, "0.0.0.0:7000"),
        ("[2001:db8::1]:7000", io::ErrorKind::AddrNotAvailable, "[::]:7000"),
    ] {
        let advice = advice(address, kind);
        assert!(advice.ends_with(&format!("for example with --listen {other}")), "{address}: {advice}");
    }
}
