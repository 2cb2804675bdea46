//! The trace of one line, which the documentation of the crate shows.

use crate::blocks_of_the_crate;
use chat_test_support::{DEADLINE, ServerProcess};

#[test]
fn the_trace_of_one_line_is_as_the_documentation_shows_it() {
    let expected =
        blocks_of_the_crate().into_iter().find(|block| block.contains("[TRACE]")).expect("a trace");
    let server = ServerProcess::start(&["--log-level", "trace"]);
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    alice.sees("*** bob joined");
    // The turns before must be over in the log too. bob's new name was a turn of its own, for alice has
    // seen it. So the next line of hers that is taken is this one, which only she gets an answer to, and
    // that answer ends its turn.
    alice.says("/list");
    server.logs("client 2 (guest2) is now bob");
    server.logs("client 1: taken");
    server.logs("client 1: sent, 0 bytes are left");
    alice.says("hello");
    bob.sees("<alice> hello");
    let without_time = |line: &str| line.split_once(" [").map(|(_, rest)| format!("[{rest}"));
    let lines = std::iter::from_fn(|| server.log.recv_timeout(DEADLINE).ok());
    let lines = lines.filter_map(|line| without_time(&line));
    let expected: Vec<_> = expected.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(lines.take(expected.len()).collect::<Vec<_>>(), expected);
}
