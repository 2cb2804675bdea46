//! What happens when the system has nothing left: newcomers are refused, and the others chat on.

#![cfg(target_os = "linux")] // Limits and what a process uses are looked up in /proc.

mod support;

use std::fs;
use std::thread;
use std::time::Duration;
use support::{Person, ServerProcess, eventually};

#[test]
fn without_descriptors_newcomers_are_refused_and_the_others_chat_on() {
    let limited = format!("ulimit -n 40; exec {} --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_chat-server"));
    let server = ServerProcess::spawn(std::process::Command::new("sh").args(["-c", &limited]));
    newcomers_are_refused_and_the_others_chat_on(&server, 60);
}

#[test]
fn without_memory_for_threads_newcomers_are_refused_and_the_others_chat_on() {
    // Where exactly memory ends must not matter: not in the middle of what a thread needs either.
    for kib in [80_000, 80_040, 80_080, 80_120] {
        let limited =
            format!("ulimit -v {kib}; exec {} --listen 127.0.0.1:0", env!("CARGO_BIN_EXE_chat-server"));
        let mut command = std::process::Command::new("sh");
        let server = ServerProcess::spawn(command.args(["-c", &limited]).env("MALLOC_ARENA_MAX", "1"));
        newcomers_are_refused_and_the_others_chat_on(&server, 1000);
    }
}

#[test]
fn with_no_descriptor_left_at_all_the_acceptor_rests_and_recovers() {
    let server = ServerProcess::start(&[]);
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let limit = |current| {
        let pid = Some(rustix::process::Pid::from_child(&server.child));
        let limit = rustix::process::Rlimit { current: Some(current), maximum: Some(4096) };
        rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    };
    limit(fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count() as u64);
    // One of them may still find a number below the limit that is free.
    let mut newcomers = [(); 3].map(|()| Person::connect(server.address));
    server.logs("refused a newcomer for the moment: Too many open files");
    let before = cpu_ticks(&server);
    alice.says("one out");
    bob.sees("<alice> one out");
    thread::sleep(Duration::from_millis(500));
    let spent = cpu_ticks(&server) - before;
    assert!(spent < 20, "{spent} hundredths of a second of work in half a second in which there was none");
    limit(4096);
    newcomers.iter_mut().for_each(Person::sees_welcome);
}

/// How long the server has been at work, in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK)).
fn cpu_ticks(server: &ServerProcess) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let after_name: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap()
}

fn newcomers_are_refused_and_the_others_chat_on(server: &ServerProcess, most: usize) {
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let mut crowd = Vec::new();
    let refused = loop {
        let mut newcomer = Person::connect(server.address);
        let first_line = newcomer.next_line().unwrap_or_default();
        if first_line.starts_with("!!! Sorry, the server ") {
            break newcomer;
        }
        assert!(first_line.starts_with("*** Welcome") && crowd.len() < most, "{first_line}");
        crowd.push(newcomer);
    };
    drop(refused);
    alice.says("it is full here");
    bob.sees("<alice> it is full here");
    drop(crowd);
    eventually("there is room again", || {
        Person::connect(server.address).next_line().is_some_and(|line| line.starts_with("*** Welcome"))
    });
    bob.says("and now?");
    alice.sees("<bob> and now?");
}
