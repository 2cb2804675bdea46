//! The protocol, row by row: people type lines, and each of them sees others.

use chat_test_support::{Person, TestServer, alice_and_bob};

#[test]
fn the_welcome_comes_before_anything_is_typed() {
    let server = TestServer::start();
    let mut alice = Person::connect(server.address);
    alice.sees_next("*** Welcome to chat-server! You are guest1.");
    alice.sees_next("*** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.");
    alice.sees_next("*** 1 here: guest1");
    alice.says("is anybody here?");
    alice.sees_next("<guest1> is anybody here?");
    let mut bob = Person::connect(server.address);
    bob.sees_welcome();
    bob.says("hello");
    bob.sees_next("<guest2> hello");
    alice.sees_next("*** guest2 joined");
    alice.sees_next("<guest2> hello");
}

#[test]
fn a_line_is_seen_by_everyone_and_by_its_author() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    alice.says("hello, world  ");
    alice.sees_next("<alice> hello, world  ");
    bob.sees_next("<alice> hello, world  ");
}

#[test]
fn list_and_its_synonyms_say_who_is_here() {
    let (_server, _alice, mut bob) = alice_and_bob();
    for command in ["/list", "/who", "/names", "/LIST", "/Who"] {
        bob.says(command);
        bob.sees_next("*** 2 here: alice, bob");
    }
}

#[test]
fn a_private_line_is_seen_by_two() {
    let (server, mut alice, mut bob) = alice_and_bob();
    let mut carol = server.person("carol");
    alice.says("/msg Bob are you there?");
    alice.sees("[you -> bob] are you there?");
    bob.sees("[alice -> you] are you there?");
    bob.says("/r yes");
    bob.sees_next("[you -> alice] yes");
    alice.sees_next("[bob -> you] yes");
    bob.says("/reply really");
    alice.sees_next("[bob -> you] really");
    alice.says("/w bob good");
    bob.sees("[alice -> you] good");
    bob.says("in public");
    carol.sees_next("<bob> in public");
}

#[test]
fn a_private_line_needs_a_reader() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    alice.says("/msg carol hi");
    alice.sees_next("!!! No one here is called \"carol\". /list shows who is here.");
    alice.says("/r hi");
    alice.sees_next("!!! Nobody has written to you privately yet. Use /msg NAME TEXT.");
    bob.says("/msg alice bye");
    bob.says("/quit");
    bob.reads_to_the_end();
    alice.sees("*** bob left");
    alice.says("/r wait");
    alice.sees_next("!!! No one here is called \"bob\". /list shows who is here.");
}

#[test]
fn a_new_name_is_announced_to_everyone() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    bob.says("/nick Robert");
    for person in [&mut alice, &mut bob] {
        person.sees_next("*** bob is now Robert");
    }
    bob.says("/nick ROBERT");
    alice.sees_next("*** Robert is now ROBERT");
    bob.says("/nick guest2");
    alice.sees_next("*** ROBERT is now guest2");
}

#[test]
fn a_name_that_cannot_be_had_is_refused_with_a_reason() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for (name, why) in [
        ("ALICE", "!!! ALICE is taken"),
        ("bob", "!!! You are bob already."),
        ("guest1", "!!! guest1 is for the guest with that number."),
        ("guest77", "!!! guest77 is for the guest with that number."),
        ("server", "!!! /nick: that name is reserved."),
        ("You", "!!! /nick: that name is reserved."),
        ("everyone", "!!! /nick: that name is reserved."),
        ("two words", "!!! /nick: a name cannot contain a blank ("),
        ("<b>", "!!! /nick: a name cannot contain < ("),
        ("a23456789012345678901", "!!! /nick: a name has 1 to 20 characters."),
        ("", "!!! /nick needs something else after it. Usage: /nick NAME"),
    ] {
        bob.says(&format!("/nick {name}"));
        let answer = bob.next_line().unwrap();
        assert!(answer.starts_with(why), "{name}: {answer}");
    }
    bob.says("still bob");
    alice.sees_next("<bob> still bob");
}

#[test]
fn actions_and_doubled_slashes_are_seen_by_everyone() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    alice.says("/me waves at /bob");
    alice.says("//nick is a command");
    for person in [&mut alice, &mut bob] {
        person.sees_next("* alice waves at /bob");
        person.sees_next("<alice> /nick is a command");
    }
}

#[test]
fn echo_decides_whether_own_lines_come_back() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    alice.says("/echo off");
    alice.sees_next("*** Echo is off: your own lines do not come back to you.");
    alice.says("one");
    alice.says("/me two");
    alice.says("/msg bob three");
    alice.says("/echo on");
    alice.sees_next("*** Echo is on: your own lines come back to you.");
    alice.says("four");
    alice.sees_next("<alice> four");
    for line in ["<alice> one", "* alice two", "[alice -> you] three", "<alice> four"] {
        bob.sees_next(line);
    }
}

#[test]
fn help_lists_every_command() {
    let (_server, mut alice, _bob) = alice_and_bob();
    alice.says("/help");
    let help = alice.reads_until(|line| line.contains("//text"));
    let help = help.join("\n");
    for usage in [
        "/list",
        "/msg NAME TEXT",
        "/reply TEXT",
        "/nick NAME",
        "/me TEXT",
        "/echo on|off",
        "/help",
        "/quit [TEXT]",
    ] {
        assert!(help.contains(usage), "{usage} is not in\n{help}");
    }
}

#[test]
fn commands_that_are_none_are_answered_and_not_said() {
    let (_server, mut alice, mut bob) = alice_and_bob();
    for (line, answer) in [
        ("/dance", "!!! There is no command /dance. /help lists them"),
        ("/", "!!! There is no command /."),
        ("/msg", "!!! /msg needs something else after it. Usage: /msg NAME TEXT"),
        ("/msg bob", "!!! /msg needs something else after it. Usage: /msg NAME TEXT"),
        ("/msg <bob> hi", "!!! No one here is called \"<bob>\"."),
        ("/r", "!!! /reply needs something else after it. Usage: /reply TEXT"),
        ("/me ", "!!! /me needs something else after it. Usage: /me TEXT"),
        ("/echo", "!!! /echo needs something else after it. Usage: /echo on|off"),
        ("/echo maybe", "!!! /echo needs something else after it. Usage: /echo on|off"),
    ] {
        alice.says(line);
        let seen = alice.next_line().unwrap();
        assert!(seen.starts_with(answer), "{line}: {seen}");
    }
    alice.says("done");
    bob.sees_next("<alice> done");
}

#[test]
fn quitting_is_seen_by_everyone_with_the_last_word() {
    let (server, mut alice, mut bob) = alice_and_bob();
    bob.says("/quit see you tomorrow");
    assert_eq!(bob.reads_to_the_end(), ["*** bob left (\"see you tomorrow\")"]);
    alice.sees_next("*** bob left (\"see you tomorrow\")");
    let mut carol = server.person("carol");
    alice.sees_next("*** carol joined");
    carol.says("/quit");
    assert_eq!(carol.reads_to_the_end(), ["*** carol left"]);
    alice.sees("*** carol left");
}

#[test]
fn guests_are_numbered_and_no_number_comes_back() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for guest in ["guest2", "guest3", "guest4"] {
        let mut newcomer = server.guest();
        assert_eq!(newcomer.name, guest);
        newcomer.says("/me leaves at once");
        alice.sees(&format!("* {guest} leaves at once"));
        drop(newcomer);
        alice.sees(&format!("*** {guest} left"));
    }
}
