//! Comfort for the people in the room: catching up, timestamps, large rooms, long lists.

use chat_server::Config;
use chat_test_support::{Person, TestServer, test_config};
use std::collections::HashSet;

/// Is this `[hh:mm]` and then `text`?
fn is_stamped(line: &str, text: &str) -> bool {
    let digits = |range| line.get(range).is_some_and(|two: &str| two.chars().all(|c| c.is_ascii_digit()));
    line.get(7..) == Some(&format!(" {text}"))
        && line.starts_with('[')
        && digits(1..3)
        && digits(4..6)
        && &line[6..7] == "]"
}

#[test]
fn newcomers_are_told_what_was_said_last_before_the_first_live_line() {
    let server = TestServer::with(Config { history: 3, ..test_config() });
    let mut alice = server.person("alice");
    for line in ["one", "two", "/me waves", "//three", "/list"] {
        alice.says(line);
    }
    alice.sees("*** 1 here: alice");
    let mut bob = Person::connect(server.address);
    bob.sees_next("*** The last 3 lines:");
    for said in ["<alice> two", "* alice waves", "<alice> /three"] {
        let line = bob.next_line().unwrap();
        assert!(is_stamped(&line, said), "{line}");
    }
    bob.sees_next("*** Welcome to chat-server! You are guest2.");
    bob.sees_one_that(|line| line.starts_with("*** 2 here: "));
    alice.says("live");
    bob.sees_next("<alice> live");
    bob.says("/history");
    bob.sees_next("*** The last 3 lines:");
    assert!(is_stamped(&bob.next_line().unwrap(), "* alice waves"));
}

#[test]
fn at_the_seam_nothing_is_shown_twice_or_missed() {
    let server = TestServer::with(Config { history: 10_000, max_backlog: 1 << 22, ..test_config() });
    let mut alice = server.person("alice");
    let mut keyboard = alice.socket.as_ref().unwrap().try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        for n in 0..2_000 {
            std::io::Write::write_all(&mut keyboard, format!("{n}\n").as_bytes()).unwrap();
        }
    });
    for newcomer in 0..20 {
        alice.sees(&format!("<alice> {}", newcomer * 90 + 30));
        let mut bob = Person::connect(server.address);
        let lines = bob.reads_until(|line| line.ends_with("<alice> 1999"));
        let numbers = lines.iter().filter_map(|line| line.split_once("<alice> ").map(|(_, number)| number));
        assert!(numbers.eq((0..2_000).map(|n| n.to_string()).collect::<Vec<_>>().iter()), "{lines:?}");
    }
    talking.join().unwrap();
}

#[test]
fn a_long_history_is_no_more_than_a_newcomer_can_take() {
    let server = TestServer::with(Config { history: 10_000, ..test_config() });
    let mut alice = server.person("alice");
    for n in 0..1_000 {
        alice.says(&format!("{n} {}", "x".repeat(1_000)));
        alice.next_line();
    }
    let mut bob = Person::connect(server.address);
    let count: usize = bob.next_line().unwrap().split(' ').nth(3).unwrap().parse().unwrap();
    assert!((50..130).contains(&count), "{count} lines of 1 KB, where 256 KiB may wait for one client");
    bob.sees_one_that(|line| line.contains("<alice> 999 "));
    bob.says("/list");
    bob.sees("*** 2 here: alice, guest2");
}

#[test]
fn without_history_nothing_is_replayed() {
    let server = TestServer::with(Config { history: 0, ..test_config() });
    let mut alice = server.person("alice");
    alice.says("one");
    alice.sees("<alice> one");
    let mut bob = server.guest();
    bob.says("/history");
    bob.sees_next("*** This server keeps no history.");
}

#[test]
fn timestamps_are_for_those_who_want_them() {
    let server = TestServer::start();
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    alice.says("before");
    bob.sees("<alice> before");
    bob.says("/timestamps on");
    assert!(is_stamped(&bob.next_line().unwrap(), "*** Timestamps are on: each line begins with its time."));
    alice.says("hello");
    alice.says("/msg bob psst");
    assert!(is_stamped(&bob.next_line().unwrap(), "<alice> hello"));
    assert!(is_stamped(&bob.next_line().unwrap(), "[alice -> you] psst"));
    alice.sees("<alice> hello");
    // Lines of the past have their time already.
    bob.says("/history");
    bob.sees_next("*** The last 2 lines:");
    assert!(is_stamped(&bob.next_line().unwrap(), "<alice> before"));
    bob.says("/timestamps off");
    bob.sees("*** Timestamps are off.");
    alice.says("plain");
    bob.sees_next("<alice> plain");
    bob.says("/timestamps perhaps");
    bob.sees_next("!!! /timestamps needs something else after it. Usage: /timestamps on|off");
}

#[test]
fn in_a_large_room_nobody_is_told_of_joins_and_leaves() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut crowd: Vec<_> = (0..250).map(|_| server.guest()).collect();
    for person in &mut crowd {
        person.says("here"); // From here on each counts as announced.
        person.sees_one_that(|line| line.ends_with("> here"));
    }
    alice.says("how many?");
    let seen = alice.reads_until(|line| line == "<alice> how many?");
    assert!(seen.iter().filter(|line| line.ends_with(" joined")).count() <= 199);
    // A client that quits sees its own leave.
    let mut bob = crowd.pop().unwrap();
    bob.says("/quit");
    assert_eq!(bob.reads_to_the_end().last().unwrap(), "*** guest251 left");
    drop(crowd);
    // Down to 200 nobody is told, and from there on everyone.
    let left = (0..199).map(|_| alice.sees_one_that(|line| line.ends_with(" left"))).collect::<HashSet<_>>();
    assert!(left.len() == 199 && !left.contains("*** guest251 left"));
    alice.says("/list");
    alice.sees_next("*** 1 here: alice");
}

#[test]
fn a_long_list_is_wrapped_at_80_columns() {
    let server = TestServer::start();
    let _crowd: Vec<_> = (0..60).map(|_| server.guest()).collect();
    let mut alice = server.person("alice");
    alice.says("/list");
    alice.says("done");
    let list = alice.reads_until(|line| line == "<alice> done");
    let list: Vec<_> = list.iter().filter(|line| line.starts_with("*** ")).collect();
    assert!(list[0].starts_with("*** 61 here: alice, guest1, guest2,"), "{list:?}");
    assert!(list.len() > 5 && list.iter().all(|line| line.chars().count() <= 80), "{list:?}");
    assert_eq!(list.iter().map(|line| line.matches("guest").count()).sum::<usize>(), 60);
}

#[test]
fn slips_of_the_finger_are_understood() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = server.person("bob");
    for (typed, answer) in [
        ("/msg alcie hi", "!!! No one here is called \"alcie\". Did you mean alice?"),
        ("/n bob", "!!! There is no command /n. Did you mean /names or /nick?"),
        ("/hsitory", "!!! There is no command /hsitory. Did you mean /history?"),
    ] {
        bob.says(typed);
        bob.sees(answer);
    }
    alice.says("/list");
    alice.sees("*** 2 here: alice, bob");
}
