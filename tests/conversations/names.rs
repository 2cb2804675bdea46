//! Names, as people at several addresses see them.

use chat_test_support::{Person, TestServer, eventually};
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::thread;

const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

fn from_elsewhere(server: &TestServer) -> Person {
    let mut person = Person::connect_from(ELSEWHERE.into(), server.address);
    person.sees_welcome();
    person
}

#[test]
fn a_problem_with_a_name_is_said_in_words() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for (typed, answer) in [
        ("O'Brien", "!!! /nick: a name cannot contain ' (only letters, digits, - and _)."),
        ("two words", "!!! /nick: a name cannot contain a blank (only letters, digits, - and _)."),
        (
            "علی\u{200c}رضا",
            "!!! /nick: a name cannot contain an invisible character (U+200C) (only letters, digits, - and _).",
        ),
        (
            "b\u{1ac5}ob",
            "!!! /nick: a name cannot contain a mark that does not belong there (U+1AC5) (only letters, digits, - and _).",
        ),
        ("the_server", "!!! /nick: that name is reserved. Please pick another."),
    ] {
        alice.says(&format!("/nick {typed}"));
        alice.sees_next(answer);
    }
    alice.sends(b"/nick Jos\xe9\n");
    alice.sees_next("!!! /nick: that name did not arrive as UTF-8. Set your terminal to UTF-8.");
    for name in ["Zoë", "مُحَمَّد", "น้ำฝน", "Լևոն", "Ọ̀ṣun"] {
        alice.takes_name(name);
    }
}

#[test]
fn the_answer_says_whose_name_it_is() {
    let server = TestServer::start();
    let (_alice, mut lan) = (server.person("alice"), server.person("Lan"));
    let mut bob = from_elsewhere(&server);
    lan.says("/nick ALICE");
    lan.sees(
        "!!! ALICE is taken. Please pick another name. If it is an old connection of yours: it goes by itself within \
         two minutes, or ask the operator.",
    );
    bob.says("/nick ALICE");
    bob.sees("!!! ALICE is taken. Please pick another name.");
    bob.says("/nick Ian");
    bob.sees("!!! Ian looks like Lan, and that name is taken. Please pick another name.");
}

#[test]
fn a_name_that_was_left_is_kept_for_its_address() {
    let server = TestServer::start();
    let mut bob = from_elsewhere(&server);
    let mut alice = server.person("alice");
    alice.says("/quit");
    bob.sees("*** alice left");
    let is_kept = |line: &str| {
        line.starts_with("!!! alice is kept for the address it was used from for another ")
            && line.ends_with(" s. Please pick another name.")
    };
    bob.says("/nick alice");
    bob.sees_one_that(is_kept);
    // The minute passes.
    eventually("the name is kept for less than 59 seconds", || {
        bob.says("/nick alice");
        let answer = bob.sees_one_that(is_kept);
        let seconds = answer.split(' ').find_map(|word| word.parse::<u32>().ok());
        seconds.is_some_and(|seconds| seconds < 59)
    });
    bob.says("/msg alice psst");
    bob.sees_one_that(|line| line.starts_with("!!! No one here is called \"alice\""));
    let mut alice = server.person("alice");
    bob.sees("*** alice joined");
    bob.says("/msg alice psst");
    alice.sees("[guest1 -> you] psst");
    // And the same after a rename.
    alice.takes_name("al");
    bob.says("/nick alice");
    bob.sees_one_that(is_kept);
}

#[test]
fn of_ten_who_take_one_name_at_once_one_gets_it() {
    let server = TestServer::start();
    let mut guests: Vec<Person> = (0..10).map(|_| server.guest()).collect();
    let all_at_once = Barrier::new(guests.len());
    let has_it = |guest: &mut Person| {
        let mine = format!("*** {} is now alice", guest.name);
        all_at_once.wait();
        guest.says("/nick alice");
        let answer = |line: &str| line == mine || line.starts_with("!!! alice is taken");
        guest.sees_one_that(answer) == mine
    };
    let winners = thread::scope(|scope| {
        let race = guests.iter_mut().map(|guest| scope.spawn(|| has_it(guest)));
        let race: Vec<_> = race.collect();
        race.into_iter().filter_map(|guest| guest.join().unwrap().then_some(())).count()
    });
    assert_eq!(winners, 1);
}
