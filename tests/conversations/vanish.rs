//! The cable is pulled: no FIN, no reset, only silence. The test makes a second host on this
//! machine, a network namespace, and takes its link down. Its addresses are those for benchmarks
//! (RFC 2544) and lead nowhere else.

use chat_server::Config;
use chat_test_support::{Person, TestServer, test_config};
use std::process::{Command, id};
use std::time::{Duration, Instant};

/// Runs `ip` with these words.
fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().expect("ip(8) is installed");
    assert!(status.success(), "ip {words}");
}

/// Another host with a cable to this one. Both are gone when it is dropped.
struct Host {
    name: String,
}

impl Host {
    fn plug_in() -> Host {
        let name = format!("chat{}", id());
        ip(&format!("netns add {name}"));
        let host = Host { name };
        let name = &host.name;
        ip(&format!("link add {name}a type veth peer name {name}b netns {name}"));
        ip(&format!("addr add 198.18.77.1/30 dev {name}a"));
        ip(&format!("link set {name}a up"));
        ip(&format!("-n {name} addr add 198.18.77.2/30 dev {name}b"));
        ip(&format!("-n {name} link set {name}b up"));
        host
    }

    /// A person at the other host.
    fn person(&self, server: &TestServer) -> Person {
        let port = server.address.port().to_string();
        let mut nc = Command::new("ip");
        nc.args(["netns", "exec", &self.name, "nc", "198.18.77.1", &port]);
        let mut person = Person::with_program(&mut nc);
        person.sees_welcome();
        person
    }

    fn pull_the_cable(&self) {
        ip(&format!("-n {0} link set {0}b down", self.name));
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

#[ignore = "takes two minutes and needs root, ip(8) and nc: cargo test --test conversations vanish -- --ignored"]
#[test]
fn a_client_whose_cable_is_pulled_is_gone_within_two_minutes() {
    let host = Host::plug_in();
    let everywhere = || Config {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        allow: ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).to_vec(),
        ..test_config()
    };
    // In one room nothing is said, so keepalive must find out; in the other the last
    // line is never acknowledged.
    let (mut quiet, mut busy) = (TestServer::with(everywhere()), TestServer::with(everywhere()));
    for server in [&mut quiet, &mut busy] {
        server.address.set_ip([127, 0, 0, 1].into());
    }
    let (mut alice, mut bob) = (quiet.person("alice"), busy.person("bob"));
    let _vanishing = (host.person(&quiet), host.person(&busy));
    alice.sees("*** guest2 joined");
    bob.sees("*** guest2 joined");

    host.pull_the_cable();
    let begun = Instant::now();
    bob.says("are you still there?");
    bob.sees("<bob> are you still there?");
    let patience = Duration::from_secs(125);
    for (person, room) in [(&mut alice, "quiet"), (&mut bob, "busy")] {
        let seen = person.next_line_within(patience);
        assert_eq!(seen.as_deref(), Some("*** guest2 left (connection lost)"), "in the {room} room");
        println!("in the {room} room after {:.0} s", begun.elapsed().as_secs_f32());
    }
}
