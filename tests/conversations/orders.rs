//! The orders that the operator gives, and what each of them answers.

use crate::console::Operator;
use chat_test_support::{PRESS_ENTER, Person};
use rustix::process::Signal;

#[test]
fn the_operator_sends_one_person_away() {
    let mut operator = Operator::starts(&[]);
    let (mut alice, mut bob) = (operator.person("alice"), operator.person("bob"));
    operator.types("/kick bob too loud");
    bob.sees_next("!!! You have been sent away by the operator: too loud");
    bob.sees_next(PRESS_ENTER);
    assert_eq!(bob.next_line(), None);
    alice.sees("*** bob left (sent away: \"too loud\")");
    operator.sees("*** bob has been sent away.");
    operator.sees("*** The name bob stays out for a minute; 127.0.0.1 does not, for it is also the");
    let mut other = Person::connect(operator.address);
    other.says("/nick bob");
    other.sees_one_that(|line| line.starts_with("!!! bob is kept out for another "));
    operator.types("/kick bob");
    operator.sees("!!! No one here is called \"bob\". /list shows who is here.");
    operator.types("/kick alcie");
    operator.sees("!!! No one here is called \"alcie\". Did you mean alice?");
    operator.types("/kick");
    operator.sees("!!! /kick needs something else after it. Usage: /kick NAME [REASON]");
    operator.types("/dance");
    operator.sees("!!! There is no command /dance.");
    operator.types("/help");
    operator.sees("/ban NAME|ADDRESS|NET");
    drop(other);
    operator.sees("disconnected");
    operator.types("/kick alice");
    operator.sees("*** The name alice stays out for a minute, and so does 127.0.0.1.");
    let refused = Person::connect(operator.address).reads_to_the_end().pop().unwrap();
    assert!(refused.contains("has sent away a client of your address"), "{refused}");
    operator.types("/unban 127.0.0.1");
    operator.sees("*** 127.0.0.1/32 may come in again.");
    operator.person("alicia");
}

/// Each order that gets more than it uses, or that is typed without its slash, says so.
#[test]
fn an_order_that_is_not_quite_right_does_nothing_and_says_why() {
    let mut operator = Operator::starts(&[]);
    let mut alice = operator.person("alice");
    let hint = |order: &str| {
        format!("!!! Did you mean /{order}? To say it to everyone, begin it with another word.")
    };
    for (typed, answer) in [
        ("help", hint("help")),
        ("Quit", hint("quit")),
        ("stop", hint("stop")),
        ("shutdown", hint("stop")),
        ("kick alice", hint("kick")),
        ("ban 10.0.0.5", hint("ban")),
        ("msg alice psst", hint("msg")),
        ("/shutdown", "!!! There is no command /shutdown. Did you mean /stop?".to_owned()),
        ("/list alice", "!!! /list takes nothing after it. Usage: /list".to_owned()),
        ("/bans 10.0.0.5", "!!! /bans takes nothing after it. Usage: /bans".to_owned()),
        ("/ban 10.0.0.5 10.0.0.6", "!!! One at a time: /ban 10.0.0.5, and then /ban 10.0.0.6.".to_owned()),
        (
            "/unban 10.0.0.5 10.0.0.6",
            "!!! /unban needs something else after it. Usage: /unban ADDRESS|NET".to_owned(),
        ),
        ("/forget alice bob", "!!! /forget needs something else after it. Usage: /forget NAME".to_owned()),
        (
            "/ban alcie",
            "!!! \"alcie\" is no address, no network and no one here. Did you mean alice?".to_owned(),
        ),
        ("/bans", "*** 0 banned.".to_owned()),
    ] {
        operator.types(typed);
        operator.sees(&answer);
    }
    for talk in ["stop that, please", "list of things to do", "help is on its way"] {
        operator.types(talk);
        alice.sees_next(&format!("*** [server] {talk}"));
    }
}

#[test]
fn an_unban_answers_by_its_effect_and_an_address_is_taken_as_it_is_shown() {
    let mut operator = Operator::starts(&[]);
    for (typed, answer) in [
        ("/ban 10.0.0.0/8", "*** 10.0.0.0/8 is banned. /unban 10.0.0.0/8 lets them in again."),
        (
            "/unban 10.0.0.5",
            "!!! 10.0.0.5/32 stays out, because 10.0.0.0/8 is banned. /unban 10.0.0.0/8 lets",
        ),
        (
            "/ban 10.0.0.5:50000",
            "*** 10.0.0.5/32 is banned. /unban 10.0.0.5/32, with /unban 10.0.0.0/8, which",
        ),
        ("/unban 10.0.0.5", "!!! 10.0.0.5/32 stays out, because 10.0.0.0/8 is banned."),
        ("/ban 10.0.0.6", "*** 10.0.0.6/32 is banned."),
        ("/unban 10.0.0.0/8", "*** 10.0.0.0/8 may come in again, but 10.0.0.6/32 stays out."),
        ("/unban 10.0.0.0/8", "!!! 10.0.0.0/8 is not banned, but 10.0.0.6/32 stays out. /bans lists who is."),
        ("/ban [::1]:50000", "*** ::1/128 is banned."),
        ("/ban fe80::2%eth0", "*** fe80::2/128 is banned."),
        ("/ban [fe80::3%2]:50000", "*** fe80::3/128 is banned."),
        ("/bans", "*** 4 banned: 10.0.0.6/32, ::1/128, fe80::2/128, fe80::3/128"),
    ] {
        operator.types(typed);
        operator.sees(answer);
    }
}

#[test]
fn a_ban_has_a_reason_and_names_only_a_few() {
    let mut operator = Operator::starts(&["--max-per-ip", "0"]);
    let mut crowd: Vec<_> = (0..20).map(|_| Person::connect(operator.address)).collect();
    crowd.iter_mut().for_each(Person::sees_welcome);
    let mut last = operator.person("zoe");
    operator.types("/ban zoe insulting people");
    operator.sees("!!! 127.0.0.1 is also the address of guest1, guest2, guest3 and 17 others. /ban");
    operator.types("/ban 127.0.0.1 insulting people");
    operator.sees("*** 21 sent away: ");
    assert_eq!(
        last.reads_to_the_end().pop().unwrap(),
        "!!! You have been sent away by the operator: banned: insulting people"
    );
    drop(crowd);
}

#[test]
fn a_ban_sends_all_from_there_away_and_lets_none_in() {
    let mut operator = Operator::starts(&[]);
    let (mut alice, mut bob) = (operator.person("alice"), operator.person("bob"));
    operator.types("/ban 127.0.0.1");
    operator.sees("*** 127.0.0.1/32 is banned. /unban 127.0.0.1/32 lets them in again.");
    operator.sees("*** 2 sent away: alice, bob");
    for person in [&mut alice, &mut bob] {
        assert_eq!(
            person.reads_to_the_end().last().unwrap(),
            "!!! You have been sent away by the operator: banned"
        );
    }
    let refused = Person::connect(operator.address).reads_to_the_end();
    assert_eq!(refused, ["!!! Sorry, your address is banned from this server."]);
    operator.types("/ban 10.1.2.3/16");
    operator.sees("*** 0 sent away.");
    operator.types("/bans");
    operator.sees("*** 2 banned: 127.0.0.1/32, 10.1.0.0/16");
    operator.types("/unban 127.0.0.1");
    operator.sees("*** 127.0.0.1/32 may come in again.");
    operator.person("alice");
    operator.types("/unban 127.0.0.1");
    operator.sees("!!! 127.0.0.1/32 is not banned.");
    operator.types("/ban nobody");
    operator.sees("!!! \"nobody\" is no address, no network and no one here.");
}

#[test]
fn a_ban_by_name_reaches_nobody_else() {
    let mut operator = Operator::starts(&[]);
    let (mut alice, mut carol) = (operator.person("alice"), operator.person("carol"));
    let mut bob = operator.person("bob");
    operator.types("/ban bob");
    let address = "127.0.0.1";
    operator.sees(&format!("!!! {address} is also the address of alice and carol."));
    operator.types("/bans");
    operator.sees("*** 0 banned");
    for leaving in [&mut alice, &mut carol] {
        leaving.says("/quit");
        leaving.reads_to_the_end();
    }
    bob.sees("*** carol left");
    operator.types("/ban bob");
    operator.sees("*** 1 sent away: bob");
    assert_eq!(bob.reads_to_the_end().last().unwrap(), "!!! You have been sent away by the operator: banned");
}

#[test]
fn only_the_word_alone_stops_the_server() {
    let mut operator = Operator::starts(&[]);
    let mut alice = operator.person("alice");
    for (typed, answer) in [
        ("/quit", "!!! /stop stops the server. Ctrl-D closes this console, and the server goes on."),
        ("/EXIT now", "!!! /stop stops the server. Ctrl-D closes this console, and the server goes on."),
        ("/stop it, bob!", "!!! /stop takes nothing after it. Usage: /stop"),
    ] {
        operator.types(typed);
        operator.sees(answer);
    }
    alice.says("still here");
    alice.sees_next("<alice> still here");
    operator.types("/stop \t ");
    assert_eq!(alice.reads_to_the_end(), ["*** The server is shutting down. Goodbye!"]);
    assert_eq!(operator.child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_operator_lists_who_is_here_with_all_there_is_to_know() {
    let mut operator = Operator::starts(&[]);
    let mut alice = operator.person("alice");
    alice.says("one");
    alice.sees("<alice> one");
    operator.types("/list");
    operator.sees("*** 1 here");
    let header = operator.sees(" id name ");
    assert!(["address", "here", "lines", "backlog"].iter().all(|column| header.contains(column)), "{header}");
    let row = operator.sees(" alice ");
    let words: Vec<_> = row.split_whitespace().collect();
    assert!(
        matches!(&words[..], ["***", "1", "alice", peer, stay, "1", "0"] if peer.starts_with("127.0.0.1:") && stay.starts_with("0:00:")),
        "{row}"
    );
}

#[test]
fn a_ban_reaches_those_who_are_on_their_way_in() {
    let mut operator = Operator::starts(&[]);
    let pid = rustix::process::Pid::from_child(&operator.child);
    // While the server is stopped they connect and the ban is typed; chance decides which
    // of the two it sees first.
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    let mut crowd: Vec<_> = (0..20).map(|_| Person::connect(operator.address)).collect();
    operator.types("/ban 127.0.0.1");
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    for person in &mut crowd {
        let seen = person.reads_to_the_end();
        let last = seen.last().unwrap();
        assert!(last.contains("banned"), "{last}");
    }
}
