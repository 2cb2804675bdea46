//! Floods that nothing slows down, and a reader that is slower than they are and does not
//! stop: everything must arrive.
//!
//! How fast that is depends on what else the machine does, so these tests have a program of their own and
//! run one after the other.

use chat_server::Config;
use chat_test_support::{DEADLINE, TestServer, test_config};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes may wait for the reader. While more than half of it does, the server takes no lines for up
/// to 20 ms at a time, and then one turn of 64 KiB. It never stops for longer, because one reader must not
/// stop the room. So a reader that the machine does not let run at all is cut off in the end; with this much
/// room, after 48 such turns, about a second.
const BACKLOG: usize = 6 * 1024 * 1024;

/// How much is said: more than could wait anywhere, the kernel's buffers included. A server that does not
/// hold the flood up has to cut the reader off.
const FLOOD: usize = 5 * BACKLOG;

/// How many bytes the reader takes in a second. A debug build on two idle cores floods about twice as
/// fast, and while it is held up a fifth as fast (64 KiB in 20 ms). So on a busy machine the reader may
/// get slower by that much.
const READS_PER_SECOND: f64 = 16e6;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn an_unpaced_flood_reaches_everyone_who_reads() {
    bob_reads_slowly_what_alice_floods("", "<alice> ");
}

#[test]
fn a_reader_is_not_cut_off_however_much_is_written_to_it_alone() {
    bob_reads_slowly_what_alice_floods("/msg bob ", "[alice -> you] ");
}

fn bob_reads_slowly_what_alice_floods(typed: &str, shown: &str) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::with(Config { max_backlog: BACKLOG, ..test_config() });
    let mut alice = server.person("alice");
    let mut bob = TcpStream::connect(server.address).unwrap();
    bob.write_all(b"/nick bob\n").unwrap();
    alice.sees("*** bob joined");
    alice.says("/echo off");
    let text = "x".repeat(4000);
    let line = format!("{typed}{text}\n");
    let lines = FLOOD / line.len();
    let mut keyboard = alice.socket.as_ref().unwrap().try_clone().unwrap();
    let writer = thread::spawn(move || {
        (0..lines).for_each(|_| keyboard.write_all(line.as_bytes()).unwrap());
        keyboard.write_all(b"that was all\n").unwrap();
    });
    let seen = reads_slowly(&mut bob, "<alice> that was all\n");
    writer.join().unwrap();
    let whole = format!("{shown}{text}");
    assert_eq!(seen.lines().filter(|line| *line == whole).count(), lines);
}

/// All that the reader gets, up to `end`.
fn reads_slowly(reader: &mut TcpStream, end: &str) -> String {
    reader.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut seen, mut gulp, begun) = (Vec::new(), vec![0; 128 * 1024], Instant::now());
    while !seen.ends_with(end.as_bytes()) {
        let taken = reader.read(&mut gulp).expect("the reader is not cut off");
        assert!(taken > 0, "the reader is cut off after {} bytes", seen.len());
        seen.extend_from_slice(&gulp[..taken]);
        // This makes it a slow reader. One that the machine has kept from reading does not rest besides.
        let due = begun + Duration::from_secs_f64(seen.len() as f64 / READS_PER_SECOND);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    String::from_utf8(seen).unwrap()
}
