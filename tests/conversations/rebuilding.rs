//! Promises that the server keeps today, and must still keep after exercise 12 has rebuilt what is inside:
//! a lock in place of the dispatcher, or two threads for each client.

use chat_test_support::{Person, ServerProcess, TestServer, eventually, stalled_reader};
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs;
use std::thread;

const TOO_SLOW: &str = "left (too slow: too much was waiting to be read)";

/// How many people talk at once, and how many lines each of them says.
const TALKERS: usize = 6;
const LINES: usize = 300;

#[test]
fn exercise_12_one_order_for_all_and_nobody_waits_for_who_does_not_read() {
    let server = TestServer::start();
    let mut talkers: Vec<_> = (0..TALKERS).map(|n| server.person(&format!("p{n}"))).collect();
    let mut carol = server.person("carol");
    talkers[0].says("begin");
    for talker in &mut talkers {
        talker.sees("<p0> begin");
    }
    let _stalled = stalled_reader(server.address);
    for talker in &mut talkers {
        talker.sees_one_that(|line| line.ends_with(" joined"));
    }
    let text = "x".repeat(1000);
    let seen: Vec<Vec<String>> = thread::scope(|scope| {
        scope.spawn(|| {
            (0..LINES).for_each(|n| carol.says(&format!("carol {n}")));
            carol.says("/quit bye");
        });
        let talking: Vec<_> =
            talkers.iter_mut().map(|talker| scope.spawn(|| talks_to_the_end(talker, &text))).collect();
        talking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let orders: HashSet<_> = seen.iter().collect();
    assert_eq!(orders.len(), 1, "all have seen the same lines in the same order");
    for n in 0..TALKERS {
        let own = format!("<p{n}> ");
        let own = seen[0].iter().filter_map(|line| line.strip_prefix(&own));
        assert!(own.eq((0..LINES).map(|n| format!("{n} {text}"))));
    }
    let hers: Vec<_> = seen[0].iter().filter(|line| line.contains("carol")).cloned().collect();
    let mut expected: Vec<_> = (0..LINES).map(|n| format!("<carol> carol {n}")).collect();
    expected.push("*** carol left (\"bye\")".to_owned());
    assert_eq!(hers, expected, "all that carol said comes before her leave");
}

/// Says all lines, each when the last one has come back, and reads on until everyone is done. Returns
/// all that the talker saw.
fn talks_to_the_end(talker: &mut Person, text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for n in 0..LINES {
        talker.says(&format!("{n} {text}"));
        let own = format!("<{}> {n} {text}", talker.name);
        seen.extend(talker.reads_until(|line| line == own));
    }
    talker.says("/me is done");
    let is_end = |line: &&String| {
        line.ends_with(" is done") || line.ends_with(TOO_SLOW) || *line == "*** carol left (\"bye\")"
    };
    while seen.iter().filter(is_end).count() < TALKERS + 2 {
        seen.push(talker.next_line().expect("the others are not done"));
    }
    seen
}

#[cfg(target_os = "linux")]
#[test]
fn exercise_12_the_threads_of_a_client_end_with_it() {
    let mut server = ServerProcess::start(&["--rate", "0"]);
    let mut alice = server.person("alice");
    let mut bob = server.person("bob");
    alice.sees("*** bob joined");
    let tasks = format!("/proc/{}/task", server.child.id());
    let threads = || fs::read_dir(&tasks).unwrap().count();
    let before = threads();

    // Readers that stop are cut off, even where a thread of theirs waits in `write`.
    let sleepers: Vec<_> = (0..3).map(|_| stalled_reader(server.address)).collect();
    for _ in &sleepers {
        alice.sees_one_that(|line| line.ends_with(" joined"));
    }
    speaks_until_they_are_cut_off(&mut alice, sleepers.len());
    alice.says("still here?");
    bob.sees("<alice> still here?");
    eventually("their threads have ended", || threads() == before);

    // Those who vanish and those who quit leave no thread behind either.
    for n in 0..20 {
        let mut guest = Person::connect(server.address);
        guest.sees_welcome();
        if n % 2 == 0 {
            guest.says("/quit");
            guest.reads_to_the_end();
        }
    }
    eventually("their threads have ended", || threads() == before);

    // A reader that has stopped, and is not yet owed too much, does not keep the server from ending.
    let sleeper = stalled_reader(server.address);
    alice.sees_one_that(|line| line.ends_with(" joined"));
    for _ in 0..320 {
        alice.says(&"x".repeat(1000));
    }
    alice.says("good night");
    bob.sees("<alice> good night");
    server.signal(Signal::TERM);
    for person in [&mut alice, &mut bob] {
        person.sees("*** The server is shutting down. Goodbye!");
    }
    assert_eq!(server.exit_code(), Some(0));
    drop(sleeper);
}

/// Alice speaks until so many readers have been cut off.
fn speaks_until_they_are_cut_off(alice: &mut Person, readers: usize) {
    let line = "x".repeat(1000);
    let own = format!("<alice> {line}");
    let (mut left, mut said) = (0, 0);
    while left < readers {
        alice.says(&line);
        said += line.len();
        // At most --max-backlog (256 KiB) may wait for one of them, besides what the two kernels hold.
        assert!(said < 1024 * 1024, "{said} bytes are waiting somewhere");
        let seen = alice.reads_until(|line| line == own);
        left += seen.iter().filter(|line| line.ends_with(TOO_SLOW)).count();
    }
}
