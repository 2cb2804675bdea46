//! The tests of the exercises that change the program (src/guide/exercises.md). Each is ignored until its
//! exercise is solved: `cargo test --test conversations exercise_5 -- --ignored`, and without the
//! `#[ignore]` from then on.
//!
//! Those of exercises 2, 3, 6 and 7 start from step 7 and are in `src/guide/steps/tests/steps/exercises.rs`.
//! Those of exercise 12 are in `rebuilding.rs`: they pass already, and must still pass after the change.

use chat_test_support::{Person, ServerProcess, TestServer, alice_and_bob, chat_server};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

/// The same with carol.
fn alice_bob_and_carol() -> (TestServer, Person, Person, Person) {
    let (server, mut alice, mut bob) = alice_and_bob();
    let carol = server.person("carol");
    for person in [&mut alice, &mut bob] {
        person.sees("*** carol joined");
    }
    (server, alice, bob, carol)
}

/// These people, and nobody else, are to see this line next.
fn all_see_next<const N: usize>(people: [&mut Person; N], line: &str) {
    for person in people {
        person.sees_next(line);
    }
}

#[test]
#[ignore = "exercise 4: /topic TEXT, shown in the welcome"]
fn exercise_4_a_topic_is_told_to_all_and_shown_in_the_welcome() {
    let (server, mut alice, mut bob) = alice_and_bob();
    bob.says("/topic");
    bob.sees_next("*** There is no topic. /topic TEXT sets one.");
    alice.says("/topic Lunch at one");
    all_see_next([&mut alice, &mut bob], "*** alice set the topic: Lunch at one");
    bob.says("/topic");
    bob.sees_next("*** Topic: Lunch at one");

    bob.says("/echo off");
    bob.sees_one_that(|line| line.starts_with("*** Echo is off"));
    bob.says("/topic *** 9 here: nobody");
    all_see_next([&mut alice, &mut bob], "*** bob set the topic: *** 9 here: nobody");
    bob.says("/quit");
    bob.sees("*** bob left");
    alice.sees("*** bob left");
    let mut carol = Person::connect(server.address);
    carol.sees_next("*** Welcome to chat-server! You are guest3.");
    carol.sees_next("*** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.");
    carol.sees_next("*** Topic: *** 9 here: nobody");
    carol.sees_next("*** 2 here: alice, guest3");
    // A topic is not a line of talk.
    carol.says("/history");
    carol.sees_next("*** Nothing has been said yet.");
}

#[test]
#[ignore = "exercise 5: /bell on, for those who are named"]
fn exercise_5_a_bell_rings_for_those_who_are_named() {
    let (_server, mut alice, mut bob, mut carol) = alice_bob_and_carol();
    alice.says("bob?");
    all_see_next([&mut alice, &mut bob, &mut carol], "<alice> bob?");
    bob.says("/bell on");
    bob.sees_next("*** The bell is on: it rings when a line names you.");
    // Nobody but bob sees more than the line, and he sees the line first.
    for line in ["bob?", "Good morning, Bob: coffee?", "BOB bob bob", "/me waves at bob."] {
        alice.says(line);
        let heard = match line.strip_prefix("/me ") {
            Some(text) => format!("* alice {text}"),
            None => format!("<alice> {line}"),
        };
        all_see_next([&mut alice, &mut bob, &mut carol], &heard);
        bob.sees_next("*** alice named you.\u{7}");
    }
    // These name others, or are his own, or private.
    for line in ["bobby", "bob-2", "b o b", "carol"] {
        alice.says(line);
        all_see_next([&mut alice, &mut bob, &mut carol], &format!("<alice> {line}"));
    }
    bob.says("I am bob");
    all_see_next([&mut alice, &mut bob, &mut carol], "<bob> I am bob");
    alice.says("/msg bob psst, bob");
    bob.sees_next("[alice -> you] psst, bob");
    alice.sees_next("[you -> bob] psst, bob");
    // The setting is bob's, not the name's.
    bob.says("/nick rob");
    all_see_next([&mut alice, &mut bob, &mut carol], "*** bob is now rob");
    carol.says("bob or rob?");
    all_see_next([&mut alice, &mut bob, &mut carol], "<carol> bob or rob?");
    bob.sees_next("*** carol named you.\u{7}");
    // With echo off, the author hears no line of its own, and the bell rings all the same.
    carol.says("/echo off");
    carol.sees_one_that(|line| line.starts_with("*** Echo is off"));
    carol.says("rob!");
    all_see_next([&mut alice, &mut bob], "<carol> rob!");
    bob.sees_next("*** carol named you.\u{7}");
    bob.says("/bell off");
    bob.sees_next("*** The bell is off.");
    alice.says("rob");
    all_see_next([&mut alice, &mut bob, &mut carol], "<alice> rob");
    bob.says("/bell");
    bob.sees_next("!!! /bell needs something else after it. Usage: /bell on|off");
    bob.says("/history");
    bob.sees_one_that(|line| line.ends_with("] <alice> rob"));
    carol.says("/list");
    carol.sees_next("*** 3 here: alice, carol, rob");
}

#[test]
#[ignore = "exercise 8: /ignore NAME"]
fn exercise_8_nobody_hears_whom_they_ignore() {
    let (_server, mut alice, mut bob, mut carol) = alice_bob_and_carol();
    bob.says("/msg alice hi");
    alice.sees_next("[bob -> you] hi");
    bob.sees_next("[you -> alice] hi");
    bob.says("/ignore ALICE");
    bob.sees_next("*** You ignore alice.");
    for (line, heard) in [("one", "<alice> one"), ("/me two", "* alice two")] {
        alice.says(line);
        all_see_next([&mut alice, &mut carol], heard);
    }
    // The author's copy of a private line is its receipt, so there is none.
    for line in ["/msg bob psst", "/r psst"] {
        alice.says(line);
        alice.sees_next("!!! bob ignores you.");
    }
    // It is alice who is ignored, not her name; and what the server says of her is not what she says.
    // Both lines come in one turn: who misses the second one still gets the first.
    alice.says("/nick alicia\nthree");
    all_see_next([&mut alice, &mut bob, &mut carol], "*** alice is now alicia");
    all_see_next([&mut alice, &mut carol], "<alicia> three");
    carol.says("four");
    all_see_next([&mut alice, &mut bob, &mut carol], "<carol> four");

    // Two who ignore, and an author who hears no echo.
    carol.says("/ignore alicia");
    carol.sees_next("*** You ignore alicia.");
    alice.says("/echo off");
    alice.sees_one_that(|line| line.starts_with("*** Echo is off"));
    alice.says("five");
    alice.says("/msg carol psst");
    alice.sees_next("!!! carol ignores you.");
    alice.says("/echo on");
    alice.sees_next("*** Echo is on: your own lines come back to you.");
    alice.says("six");
    alice.sees_next("<alicia> six");
    bob.says("seven");
    all_see_next([&mut alice, &mut bob, &mut carol], "<bob> seven");

    bob.says("/ignore alicia");
    bob.sees_next("*** You no longer ignore alicia.");
    alice.says("eight");
    all_see_next([&mut alice, &mut bob], "<alicia> eight");
    alice.says("/msg bob nine");
    bob.sees_next("[alicia -> you] nine");
    for (line, answer) in [
        ("/ignore carol", "!!! You cannot ignore yourself."),
        ("/ignore dave", "!!! No one here is called \"dave\". /list shows who is here."),
        ("/ignore", "!!! /ignore needs something else after it. Usage: /ignore NAME"),
    ] {
        carol.says(line);
        carol.sees_next(answer);
    }
}

#[test]
#[ignore = "exercise 11: rooms, /join ROOM"]
fn exercise_11_a_line_is_heard_in_its_room_and_nowhere_else() {
    let (server, mut alice, mut bob, mut carol) = alice_bob_and_carol();
    bob.says("/join kitchen");
    bob.sees_next("*** You are in kitchen now.");
    bob.sees_next("*** 1 here: bob");
    all_see_next([&mut alice, &mut carol], "*** bob went to kitchen");
    bob.says("who took my cup?");
    bob.sees_next("<bob> who took my cup?");
    carol.says("in the lobby");
    all_see_next([&mut alice, &mut carol], "<carol> in the lobby");

    // A newcomer to a room sees what was said there last.
    alice.says("/join KITCHEN");
    alice.sees_next("*** You are in kitchen now.");
    alice.sees_next("*** The last line:");
    alice.sees_one_that(|line| line.ends_with("] <bob> who took my cup?"));
    alice.sees_next("*** 2 here: alice, bob");
    bob.sees_next("*** alice came in");
    carol.sees_next("*** alice went to kitchen");
    alice.says("/join kitchen");
    alice.sees_next("!!! You are in kitchen already.");
    alice.says("/join <kitchen>");
    alice.sees_one_that(|line| line.starts_with("!!! /join: "));
    alice.says("/me has it");
    all_see_next([&mut alice, &mut bob], "* alice has it");
    alice.says("/list");
    alice.sees_next("*** 2 here: alice, bob");

    // Names are for the whole house, and so are private lines.
    carol.says("/nick alice");
    carol.sees_one_that(|line| line.starts_with("!!! alice is taken"));
    carol.says("/nick caro");
    carol.sees_next("*** carol is now caro");
    carol.says("/msg bob coffee?");
    bob.sees_next("[caro -> you] coffee?");
    carol.sees_next("[you -> bob] coffee?");
    bob.says("/quit");
    bob.sees("*** bob left");
    alice.sees_next("*** bob left");

    let mut dave = server.guest();
    carol.sees_next("*** guest4 joined");
    dave.says("/list");
    dave.sees("*** 2 here: caro, guest4");
    alice.says("/join lobby");
    alice.sees_next("*** You are in lobby now.");
    alice.sees_next("*** The last line:");
    alice.sees_one_that(|line| line.ends_with("] <carol> in the lobby"));
    alice.sees_next("*** 3 here: alice, caro, guest4");
    all_see_next([&mut carol, &mut dave], "*** alice came in");

    // A room that everybody has left is gone, with all that was said in it.
    dave.says("/join kitchen");
    dave.sees_next("*** You are in kitchen now.");
    dave.sees_next("*** 1 here: guest4");
    dave.says("empty");
    dave.sees_next("<guest4> empty");
}

#[test]
#[ignore = "exercise 9: --history-file PATH, what was said last survives a restart"]
fn exercise_9_what_was_said_last_survives_a_restart() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = path.join(format!("history-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    let starts = |history: &str| {
        let file = path.to_str().unwrap();
        ServerProcess::start(&["--history-file", file, "--history", history])
    };
    let stops = |mut server: ServerProcess| {
        server.signal(Signal::TERM);
        assert_eq!(server.exit_code(), Some(0));
    };
    /// A newcomer comes in and sees these lines of the past, each with its time, and no other.
    fn newcomer_sees(server: &ServerProcess, lines: &[&str]) {
        let mut newcomer = Person::connect(server.address);
        let seen = newcomer.reads_until(|line| line == "*** 1 here: guest1");
        let past = seen.iter().filter_map(|line| {
            let (time, text) = line.split_at_checked("[14:03] ".len())?;
            time.starts_with('[').then_some(text)
        });
        assert_eq!(past.collect::<Vec<_>>(), lines);
    }

    let server = starts("20");
    let mut alice = server.person("alice");
    for line in ["one", "/msg alice secret", "/me two", "grüß dich"] {
        alice.says(line);
    }
    alice.sees("<alice> grüß dich");
    stops(server);

    let server = starts("20");
    newcomer_sees(&server, &["<alice> one", "* alice two", "<alice> grüß dich"]);
    stops(server);
    let server = starts("2");
    newcomer_sees(&server, &["* alice two", "<alice> grüß dich"]);
    stops(server);

    // The power fails in the middle of a line. That line may be lost, the others are not,
    // and the next is not harmed.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 3).unwrap();
    let server = starts("20");
    let mut bob = Person::connect(server.address);
    bob.sees_one_that(|line| line.ends_with("] * alice two"));
    bob.sees_welcome();
    bob.says("four");
    bob.sees("<guest1> four");
    stops(server);
    let server = starts("1");
    newcomer_sees(&server, &["<guest1> four"]);
    stops(server);

    // A file that is none of ours is refused at the start, and not written over.
    fs::write(&path, b"\xff\xfe not a history\n").unwrap();
    let file = path.to_str().unwrap();
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0", "--history-file", file]);
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("history"));
    assert_eq!(fs::read(&path).unwrap(), b"\xff\xfe not a history\n");
    fs::remove_file(&path).unwrap();
}

#[test]
#[ignore = "exercise 10: --bridge HOST:PORT, to another server"]
fn exercise_10_what_is_said_here_is_heard_there() {
    let there = ServerProcess::start(&[]);
    let mut carol = there.person("carol");
    carol.says("before the bridge");
    let address = there.address.to_string();
    let here = ServerProcess::start(&["--bridge", &address]);
    carol.sees("*** bridge joined");
    let mut alice = here.person("alice");
    alice.says("/history");
    alice.sees_next("*** Nothing has been said yet.");

    for (line, shown) in [("hi", "<alice> hi"), ("/me waves", "* alice waves"), ("//slash", "<alice> /slash")]
    {
        alice.says(line);
        alice.sees_next(shown);
        carol.sees_next(&format!("<bridge> {shown}"));
        carol.says(line);
        let shown = shown.replace("alice", "carol");
        carol.sees_next(&shown);
        alice.sees_next(&format!("*** [bridge] {shown}"));
    }

    // Only public lines cross, and none comes back.
    let mut dave = there.person("dave");
    dave.says("/msg bridge psst");
    dave.sees("[you -> bridge] psst");
    dave.says("/quit");
    dave.sees("*** dave left");
    let mut bob = here.person("bob");
    bob.says("/msg alice psst");
    bob.sees_next("[you -> alice] psst");
    carol.sees("*** dave left");
    carol.says("one");
    carol.sees_next("<carol> one");
    alice.sees("[bob -> you] psst");
    for person in [&mut alice, &mut bob] {
        person.sees_next("*** [bridge] <carol> one");
    }
    alice.says("two");
    carol.sees_next("<bridge> <alice> two");

    // The other server ends, and this one goes on.
    there.signal(Signal::TERM);
    carol.sees("*** The server is shutting down. Goodbye!");
    carol.reads_to_the_end();
    alice.sees("<alice> two");
    alice.says("three");
    bob.sees("<alice> three");
    alice.sees_next("<alice> three");
}
