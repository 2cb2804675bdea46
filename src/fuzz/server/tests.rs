//! A whole server over real sockets, through what the library offers to everybody.

use super::{assert_safe, input};
use crate::{Config, Server, Stopper};
use fastrand::Rng;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What only bob may see.
const SECRET: &str = "s3cret";

/// A server for all executions, without limits on lines and connections.
pub(super) struct Running {
    address: SocketAddr,
    stopper: Stopper,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Running {
    pub(super) fn start() -> Running {
        let listen = vec!["127.0.0.1:0".parse().expect("an address")];
        let config = Config { listen, rate: 0, max_per_ip: 0, ..Config::default() };
        let server = Server::bind(config).expect("the loopback takes one more listener");
        let (address, stopper) = (server.addresses()[0], server.stopper());
        Running { address, stopper, thread: Some(thread::spawn(|| server.run())) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        let outcome = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(outcome, Some(Ok(Ok(())))), "{outcome:?}");
    }
}

/// A client that speaks and hears.
struct Person(TcpStream, String);

impl Person {
    fn join(address: SocketAddr) -> Person {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
        Person(socket, String::new())
    }

    /// Hears until this was said, and gives everything before it since the last time.
    fn hear(&mut self, what: &str) -> String {
        loop {
            if let Some(at) = self.1.find(what) {
                return self.1.drain(..at + what.len()).collect();
            }
            let mut buffer = [0; 4096];
            let count = self
                .0
                .read(&mut buffer)
                .unwrap_or_else(|error| panic!("no {what:?}: {error} after {}", self.1));
            assert!(count > 0, "the end before {what:?}: {}", self.1);
            self.1 += std::str::from_utf8(&buffer[..count])
                .expect("only ASCII, or characters that are not cut in two");
        }
    }

    fn say(&mut self, line: &str) {
        self.0.write_all(line.as_bytes()).expect("the server takes it");
    }
}

/// alice types anything, and two others look on.
pub(super) fn a_whole_server_bears_it(rng: &mut Rng, server: &Running) {
    let [mut bob, mut eve] = ["bob", "eve"].map(|name| {
        let mut person = Person::join(server.address);
        person.say(&format!("/nick {name}\n"));
        person.hear(&format!(" is now {name}\n"));
        person
    });
    // `*** eve joined`, or `*** guest2 is now eve` where that took her longer.
    bob.hear("eve");
    bob.hear("\n");
    let mut alice = Person::join(server.address);
    let (secret, end) = (format!("{SECRET}{}", rng.u64(..)), format!("end{}", rng.u64(..)));
    // Two line breaks, because telnet's commands may eat one.
    let bytes = [input(rng, ""), format!("\n\n/msg bob {secret}\n").into_bytes(), input(rng, "")].concat();
    for packet in bytes.chunks(rng.usize(1..100)) {
        // It fails when alice was told to go, which is part of the game.
        if alice.0.write_all(packet).is_err() {
            break;
        }
    }
    let _ = alice.0.shutdown(Shutdown::Write);
    let mut heard = Vec::new();
    let _ = alice.0.read_to_end(&mut heard); // A reset is an end as well.
    eve.say(&format!("/me {end}\n"));
    let end = format!("* eve {end}\n");
    let (for_eve, for_bob) = (eve.hear(&end), bob.hear(&end));
    for text in [&for_eve, &for_bob, &String::from_utf8_lossy(&heard).into_owned()] {
        assert_safe(text);
        let is_whole =
            |line: &str| ["*** ", "!!! ", "<", "[", "* "].iter().any(|start| line.starts_with(start));
        assert!(text.lines().all(is_whole), "{text}");
    }
    assert!(!for_eve.contains(&secret), "{for_eve}");
    let is_private =
        |line: &str| !line.contains(&secret) || line.starts_with('[') && line.contains(" -> you] ");
    assert!(for_bob.lines().all(is_private), "{for_bob}");
    // Their names are free before the next execution asks for them.
    for mut person in [bob, eve] {
        person.say("/quit\n");
        let end = person.0.read_to_end(&mut heard);
        end.expect("the end comes in order");
    }
}
