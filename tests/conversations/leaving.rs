//! All ways to leave, and the end of the server: nothing is left behind.

use chat_server::Config;
use chat_test_support::{DEADLINE, PRESS_ENTER, Person, TestServer, alice_and_bob, test_config};
use rustix::net::connect_unspec;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn half_closing_gives_what_is_owed_and_then_the_end() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut script = Person::connect(server.address);
    script.sends(b"build 42 is green\n");
    script.ends_input();
    let seen = script.reads_to_the_end();
    assert_eq!(seen[3..], ["<guest2> build 42 is green"]);
    alice.sees_next("*** guest2 joined");
    alice.sees_next("<guest2> build 42 is green");
    alice.sees_next("*** guest2 left");
}

#[test]
fn a_last_line_without_a_line_break_counts() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut script = Person::connect(server.address);
    script.sends(b"/nick ci\nall green");
    script.ends_input();
    alice.sees("<ci> all green");
    alice.sees_next("*** ci left");
}

#[test]
fn a_reset_is_a_leave_like_any_other() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    bob.sends(b"half a li");
    // Closing would not send a reset yet, because a clone of the socket is being read
    // from; disconnecting does.
    connect_unspec(bob.socket.as_ref().unwrap()).unwrap();
    alice.sees("*** bob left");
    alice.says("/list");
    alice.sees_next("*** 1 here: alice");
}

/// Their programs close with the welcome unread, so the server's next write fails.
#[test]
fn lines_of_authors_who_are_gone_before_they_are_read_are_heard() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for round in 0..100 {
        let mut script = TcpStream::connect(server.address).unwrap();
        script.write_all(format!("{round} a\n").as_bytes()).unwrap();
        script.write_all(format!("{round} b\n").as_bytes()).unwrap();
        drop(script);
        for line in ["a", "b"] {
            alice.sees_one_that(|seen| seen.ends_with(&format!("> {round} {line}")));
        }
        alice.sees_one_that(|seen| seen.ends_with(" left"));
    }
}

#[test]
fn lines_after_quit_are_not_said_and_do_not_hurt_the_goodbye() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    let mut text = b"/quit bye\n".to_vec();
    text.extend(b"too late\n".repeat(5_000));
    bob.sends(&text);
    bob.ends_input();
    assert_eq!(bob.reads_to_the_end(), ["*** bob left (\"bye\")"]);
    alice.sees("*** bob left (\"bye\")");
    alice.says("done");
    alice.sees_next("<alice> done");
}

#[test]
fn a_client_that_quits_gets_all_it_is_owed_even_if_it_reads_only_later() {
    let server = TestServer::with(Config { max_clients: 3, max_backlog: 1 << 30, ..test_config() });
    let mut alice = server.person("alice");
    let mut slow = TcpStream::connect(server.address).unwrap();
    alice.sees("*** guest2 joined");
    for _ in 0..1_000 {
        alice.says(&"x".repeat(4000));
        alice.next_line();
    }
    slow.write_all(b"/quit\n").unwrap();
    alice.sees("*** guest2 left");
    // One after the other takes the third place, quits, and does not hang up. The server keeps the place
    // as long as it ever waits for a client that has got everything. So when the fourth comes in, that
    // time has passed three times.
    let mut gone = Vec::new();
    for _ in 0..4 {
        let mut carol = Person::once_there_is_room(server.address);
        carol.says("/quit");
        carol.reads_to_the_end();
        gone.push(carol);
    }
    let mut all = String::new();
    slow.read_to_string(&mut all).unwrap();
    assert_eq!(all.lines().filter(|line| line.starts_with("<alice>")).count(), 1_000);
    assert!(all.ends_with(&format!("*** guest2 left\n{PRESS_ENTER}\n")));
}

#[test]
fn a_client_that_quits_and_does_not_hang_up_is_hung_up_on() {
    let server = TestServer::with(Config { max_clients: 1, ..test_config() });
    let mut alice = server.guest();
    alice.says("/quit");
    assert_eq!(alice.reads_to_the_end(), ["*** guest1 left"]);
    // alice keeps her side open. Her place is free soon all the same.
    Person::once_there_is_room(server.address);
}

#[test]
fn stopping_says_goodbye_to_all_and_closes() {
    let server = TestServer::start();
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    alice.says("last words");
    alice.sees("<alice> last words");
    server.stop();
    bob.sees("<alice> last words");
    for person in [&mut alice, &mut bob] {
        assert_eq!(person.reads_to_the_end(), ["*** The server is shutting down. Goodbye!"]);
    }
    server.join().unwrap();
}

#[test]
fn a_reader_that_is_behind_gets_all_before_the_end_if_it_hurries() {
    let server = TestServer::with(Config { max_backlog: 1 << 30, grace: DEADLINE, ..test_config() });
    let mut alice = server.person("alice");
    let mut slow = std::net::TcpStream::connect(server.address).unwrap();
    alice.sees("*** guest2 joined");
    for n in 0..500 {
        alice.says(&format!("{n} {}", "x".repeat(4000)));
        alice.sees_one_that(|line| line.starts_with(&format!("<alice> {n} ")));
    }
    server.stop();
    let mut all = String::new();
    slow.read_to_string(&mut all).unwrap();
    assert_eq!(all.lines().filter(|line| line.starts_with("<alice> ")).count(), 500);
    assert!(all.contains("\n*** The server is shutting down. Goodbye!\n"));
    server.join().unwrap();
}

#[test]
fn a_grace_without_end_ends_when_everyone_has_read() {
    let server = TestServer::with(Config { grace: Duration::MAX, ..test_config() });
    let mut alice = server.person("alice");
    server.stop();
    assert_eq!(alice.reads_to_the_end(), ["*** The server is shutting down. Goodbye!"]);
    drop(alice);
    server.join().unwrap();
}

#[test]
fn a_reader_that_never_reads_delays_the_end_for_the_grace_time_only() {
    let grace = Duration::from_millis(100);
    let server = TestServer::with(Config { max_backlog: 1 << 30, grace, ..test_config() });
    let mut alice = server.person("alice");
    let _stuck = std::net::TcpStream::connect(server.address).unwrap();
    alice.sees("*** guest2 joined");
    for _ in 0..500 {
        alice.says(&"x".repeat(4000));
        alice.next_line();
    }
    let begun = Instant::now();
    server.stop();
    server.join().unwrap();
    assert!(begun.elapsed() >= grace);
}
