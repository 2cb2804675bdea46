//! What people trip over: the habits of their terminals, their programs and other chats.

use chat_server::Config;
use chat_test_support::{PRESS_ENTER, Person, TestServer, alice_and_bob, test_config};
use std::net::TcpStream;

// What was meant to be private.

#[test]
fn no_private_line_becomes_public_whatever_stands_in_front_of_it() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut carol = server.person("carol");
    let mut bob = Person::connect(server.address);
    bob.sends("\u{feff}/nick bob\r\n".as_bytes()); // A byte order mark is dropped.
    alice.sees("*** bob joined");
    carol.sees("*** bob joined");
    for front in
        [" ", "\t", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\x1b[A", "\x01", "x\x7f", "xy\x08\x08"]
    {
        bob.sends(format!("{front}/msg alice secret\n").as_bytes());
    }
    bob.sends("／msg alice secret\n/ msg alice secret\r\0".as_bytes());
    bob.says("done");
    // Erasing makes it a private line again; everything else is a problem.
    for _ in 0..2 {
        alice.sees_next("[bob -> you] secret");
    }
    alice.sees_next("<bob> done");
    carol.sees_next("<bob> done");
    let answers = bob.reads_until(|line| line == "<bob> done");
    assert_eq!(answers.iter().filter(|line| line.contains("nobody got that")).count(), 10, "{answers:#?}");
}

#[test]
fn a_line_ends_where_the_terminal_ends_it() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for (ended, line) in [("lf\n", "lf"), ("crlf\r\n", "crlf"), ("crnul\r\0", "crnul"), ("cr\r", "cr")] {
        for byte in ended.as_bytes() {
            bob.sends(&[*byte]);
        }
        alice.sees_next(&format!("<bob> {line}"));
    }
    bob.sends(b"grammer\x08\x08ar\x7f\x7far\r");
    alice.sees_next("<bob> grammar");
}

#[test]
fn the_end_of_transmission_at_the_beginning_of_a_line_leaves() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    bob.sends(b"bye\n\x04");
    alice.sees_next("<bob> bye");
    alice.sees_next("*** bob left");
    bob.reads_to_the_end();
}

// Coming and going.

#[test]
fn a_newcomer_is_announced_at_its_first_line_or_after_a_moment_and_a_health_check_is_not() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for _ in 0..5 {
        drop(TcpStream::connect(server.address).unwrap());
    }
    let bob = server.guest();
    alice.says("/list");
    alice.sees_next(&format!("*** {} joined", bob.name)); // Before the list that has it.
    // Those whose end has not been heard of yet may be in the list.
    let list = alice.sees_one_that(|line| line.contains(" here: "));
    assert!(list.contains(&bob.name), "{list}");
    let mut carol = server.guest();
    carol.says("hello");
    alice.sees_next(&format!("*** {} joined", carol.name));
    alice.sees_next(&format!("<{}> hello", carol.name));
    let dave = server.guest();
    alice.sees_next(&format!("*** {} joined", dave.name)); // After a moment.
    drop((bob, carol, dave));
    (0..3).for_each(|_| drop(alice.sees_one_that(|line| line.ends_with(" left"))));
    alice.says("done");
    alice.sees_next("<alice> done");
}

#[test]
fn a_script_that_only_asks_is_not_announced_and_one_that_sets_its_name_makes_one_line() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for questions in ["/list\n", "/help\n/list\n/quit\n", "/history\n/echo off\n", "/dance\n/nick alice\n"] {
        let mut script = server.guest();
        script.sends(questions.as_bytes());
        script.ends_input();
        script.reads_to_the_end();
    }
    let mut ci = server.guest();
    ci.sends(b"/nick ci\nbuild passed\n");
    ci.ends_input();
    for line in ["*** ci joined", "<ci> build passed", "*** ci left"] {
        alice.sees_next(line);
    }
}

#[test]
fn the_last_line_says_how_to_get_the_prompt_back_unless_the_input_has_ended() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = server.person("bob");
    bob.says("/quit");
    bob.sees("*** bob left");
    bob.sees_next(PRESS_ENTER);
    assert_eq!(bob.next_line(), None);
    let mut script = server.person("script");
    script.sends(b"done\n");
    script.ends_input();
    script.sees("<script> done");
    assert_eq!(script.next_line(), None);
    server.stop();
    alice.sees("*** The server is shutting down. Goodbye!");
    alice.sees_next(PRESS_ENTER);
    assert_eq!(alice.next_line(), None);
}

#[test]
fn a_reply_does_not_go_to_a_namesake() {
    let (server, mut alice, mut bob) = alice_and_bob();
    bob.says("/msg alice call me");
    alice.sees("[bob -> you] call me");
    bob.says("/quit");
    alice.sees("*** bob left");
    let mut other = server.person("bob");
    alice.says("/r here is my PIN");
    alice.sees("!!! The bob who wrote to you has left. To write to the bob who is here: /msg bob TEXT");
    other.says("done");
    other.sees_next("<bob> done");
}

#[test]
fn a_paste_that_is_slowed_tells_its_author_once() {
    let server = TestServer::with(Config { rate: 2, burst: 1, ..test_config() });
    let mut alice = server.guest();
    alice.sends("one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n".as_bytes());
    let seen = alice.reads_until(|line| line.ends_with("> eight"));
    let told = "*** More comes than goes out: 2 lines a second from one client, 16 from one address, 40 in the whole room \
                (each 128 bytes of a long line count as one). Yours wait their turn, and waiting loses nothing.";
    assert_eq!(seen.iter().filter(|line| *line == told).count(), 1, "{seen:#?}");
}
