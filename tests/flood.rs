//! Floods that nothing slows down, and a reader that reads as fast as it can: everything must arrive.
//!
//! How fast that is depends on what else the machine does, so these tests have a program of their own and run one
//! after the other.

use chat_server::Config;
use chat_test_support::{TestServer, test_config};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn an_unpaced_flood_reaches_everyone_who_reads() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::with(Config { max_backlog: 128 * 1024, ..test_config() });
    let mut flooder = TcpStream::connect(server.address).unwrap();
    let mut drain = flooder.try_clone().unwrap();
    let sink = thread::spawn(move || std::io::copy(&mut drain, &mut std::io::sink()));
    let mut reader = server.guest();
    let line = format!("{}\n", "x".repeat(900));
    let lines = 30_000;
    let writer = thread::spawn(move || {
        for _ in 0..lines {
            flooder.write_all(line.as_bytes()).unwrap();
        }
        flooder.shutdown(Shutdown::Write).unwrap();
    });
    for _ in 0..lines {
        reader.sees_one_that(|line| line.starts_with("<guest"));
    }
    writer.join().unwrap();
    sink.join().unwrap().unwrap();
}

#[test]
fn who_reads_is_not_cut_off_however_much_is_written_to_it_alone() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TestServer::with(Config { max_backlog: 64 * 1024, ..test_config() });
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let text = "x".repeat(4000);
    let lines = 2_000;
    alice.says("/echo off");
    let mut keyboard = alice.socket.as_ref().unwrap().try_clone().unwrap();
    let private = format!("/msg bob {text}\n");
    let writer =
        thread::spawn(move || (0..lines).for_each(|_| keyboard.write_all(private.as_bytes()).unwrap()));
    for _ in 0..lines {
        bob.sees_one_that(|line| line.starts_with("[alice -> you] "));
    }
    writer.join().unwrap();
}
