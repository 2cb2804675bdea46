//! A server in the process of the test.

use crate::Person;
use chat_server::{Config, Server};
use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};

/// A server in this process, on a free port of the loopback interface. It stops when it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    stopper: Box<dyn Fn() + Send>,
    running: Option<JoinHandle<io::Result<()>>>,
}

/// A configuration for tests: a free port, and no limit to how fast people type and how many come from this
/// machine. Everything else is as it is by default.
pub fn test_config() -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], rate: 0, max_per_ip: 0, ..Config::default() }
}

impl TestServer {
    pub fn start() -> TestServer {
        TestServer::with(test_config())
    }

    pub fn with(config: Config) -> TestServer {
        let server = Server::bind(config).expect("a free port");
        let (address, stopper) = (server.addresses()[0], server.stopper());
        let running = Some(thread::spawn(|| server.run()));
        TestServer { address, stopper: Box::new(move || stopper.stop()), running }
    }

    /// A guest who has just come in and has read the welcome.
    pub fn guest(&self) -> Person {
        let mut guest = Person::connect(self.address);
        guest.sees_welcome();
        guest
    }

    /// A person who has come in and taken a name.
    pub fn person(&self, name: &str) -> Person {
        Person::named(self.address, name)
    }

    /// Asks the server to stop, without waiting.
    pub fn stop(&self) {
        (self.stopper)();
    }

    /// Waits until the server has stopped.
    pub fn join(mut self) -> io::Result<()> {
        self.running.take().unwrap().join().expect("no panic")
    }
}

/// A server with alice and bob alone in its room, each having seen the other come in.
pub fn alice_and_bob() -> (TestServer, Person, Person) {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let bob = server.person("bob");
    alice.sees("*** bob joined");
    (server, alice, bob)
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(running) = self.running.take() {
            let _ = running.join();
        }
    }
}
