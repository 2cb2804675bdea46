//! Many servers and many clients, one after the other, in one process: threads and descriptors must not pile
//! up. There is one test in this file, because it counts the threads and descriptors of the whole process.

#![cfg(target_os = "linux")] // It counts in /proc.

use chat_test_support::{TestServer, eventually};
use std::fs;

fn count(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn nothing_is_left_behind() {
    let counts = || (count("/proc/self/task"), count("/proc/self/fd"));
    let before = counts();
    for _ in 0..20 {
        let server = TestServer::start();
        let mut alice = server.person("alice");
        let with_alice = counts();
        for n in 0..10 {
            let mut bob = server.person("bob");
            match n % 3 {
                0 => bob.says("/quit"),
                1 => bob.ends_input(),
                _ => drop(bob),
            }
            alice.sees("*** bob left");
        }
        eventually("only alice is left", || counts() == with_alice);
        server.stop();
        alice.reads_to_the_end();
        drop(alice);
        server.join().unwrap();
        eventually("as many threads and descriptors as before", || counts() == before);
    }
}
