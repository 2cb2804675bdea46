//! Limits for one machine, however many connections it opens.

use chat_server::Config;
use chat_test_support::{Person, TestServer, test_config};
use std::time::{Duration, Instant};

/// The paces as they are by default, and any number of clients from this machine.
fn paced() -> TestServer {
    let Config { rate, burst, .. } = Config::default();
    TestServer::with(Config { rate, burst, ..test_config() })
}

#[test]
fn a_classroom_behind_one_address_is_never_slowed() {
    let server = paced();
    let mut class: Vec<Person> = (0..30).map(|n| server.person(&format!("pupil{n}"))).collect();
    let begun = Instant::now();
    let paste: String =
        (0..40).map(|n| format!("line {n} of the exercise, as long as lines of code are\n")).collect();
    class.iter_mut().for_each(|pupil| pupil.sends(paste.as_bytes()));
    let last = class.last_mut().unwrap();
    let mut lines = 0;
    while lines < 30 * 40 {
        let line = last.next_line().unwrap();
        assert!(!line.starts_with("*** More comes than goes out"), "{line}");
        lines += usize::from(line.starts_with('<'));
    }
    // At the pace of one client the last line would come after 50 s. The margin is for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn to_connect_again_does_not_fill_the_bucket() {
    let server = TestServer::with(Config { rate: 10, burst: 10, ..test_config() });
    let mut alice = server.guest();
    let begun = Instant::now();
    // Ten lines each are free for one client, and eighty for its address; these are 160.
    for _ in 0..16 {
        let mut flooder = Person::connect(server.address);
        flooder.sends("flood\n".repeat(10).as_bytes());
        flooder.ends_input();
        flooder.reads_to_the_end();
    }
    (0..160).for_each(|_| drop(alice.sees_one_that(|line| line.ends_with("> flood"))));
    assert!(begun.elapsed() >= Duration::from_millis(900), "nothing slowed them down");
}

#[test]
fn an_address_that_comes_and_goes_is_refused_for_a_moment() {
    let server = TestServer::with(Config { max_per_ip: 5, ..test_config() });
    let first_lines: Vec<_> = (0..20).map(|_| Person::connect(server.address).next_line().unwrap()).collect();
    let refused =
        first_lines.iter().filter(|line| line.starts_with("!!! Sorry, too many clients have come")).count();
    assert!((8..=15).contains(&refused), "{first_lines:#?}");
    Person::once_there_is_room(server.address);
}

#[test]
fn last_words_are_quoted_and_cut() {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = server.person("bob");
    bob.says("/quit sent away: \"spam\"");
    alice.sees("*** bob left (\"sent away: 'spam'\")");
    let mut carol = server.person("carol");
    carol.says(&format!("/quit {}", "ä".repeat(1000)));
    let left = alice.sees_one_that(|line| line.starts_with("*** carol left"));
    assert_eq!(left, format!("*** carol left (\"{}\")", "ä".repeat(100)));
}
