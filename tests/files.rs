//! The dispatcher waits for no disk: strace(1) shows that its thread never names a file,
//! whatever is asked of it.
//!
//! Where strace is not installed or may not trace, the test is ignored, with that as the reason.

#![forbid(unsafe_code)]

use chat_test_support::{Person, ServerProcess, eventually, program};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// strace, up to where the command to trace follows. It notes each call that names a file,
/// and the end of each thread.
fn strace(notes: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-e", "trace=%file", "-o"]).arg(notes);
    strace
}

fn the_dispatcher_opens_no_file() -> Result<(), Failed> {
    // A log that is off looks no time zone up, and one that is on has more to do.
    for log_level in ["off", "trace"] {
        opens_no_file(log_level);
    }
    Ok(())
}

fn opens_no_file(log_level: &str) {
    let notes = notes(log_level);
    let mut command = strace(&notes);
    command.env_remove("TZ").arg("-D"); // The server is the child then, and strace the grandchild.
    command.arg(program()).args(["--listen", "127.0.0.1:0", "--max-per-ip", "0", "--log-level", log_level]);
    let mut server = ServerProcess::spawn(&mut command);
    let dispatcher = thread_id(&server, "dispatcher");
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| server.person(name));
    for line in ["hello", "/timestamps on", "/me waves", "/history", "/list", "/msg bob hi", "/nick ann"] {
        alice.says(line);
    }
    bob.sees("*** alice is now ann");
    // In a large room more threads send, and the dispatcher starts them.
    let crowd: Vec<_> = (0..100).map(|_| Person::connect(server.address)).collect();
    bob.sees("*** guest102 joined");
    bob.says("/quit");
    alice.sees_one_that(|line| line.ends_with("*** bob left"));
    server.signal(Signal::TERM);
    alice.reads_to_the_end();
    drop(crowd);
    assert_eq!(server.exit_code(), Some(0));

    let noted = |thread: u32| -> Vec<String> {
        let all = fs::read_to_string(&notes).unwrap();
        let of_it = all.lines().filter(|note| note.starts_with(&format!("{thread} ")));
        of_it.map(str::to_owned).collect()
    };
    let has_ended = |thread| noted(thread).last().is_some_and(|note| note.ends_with("+++ exited with 0 +++"));
    eventually("strace has noted the end", || has_ended(server.child.id()));
    let main_thread = noted(server.child.id());
    assert!(main_thread.iter().any(|note| note.contains("zoneinfo")), "it looks the time zone up");
    assert!(has_ended(dispatcher));
    let calls: Vec<_> = noted(dispatcher).into_iter().filter(|note| note.contains('(')).collect();
    assert!(calls.is_empty(), "{calls:#?}");
}

fn notes(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

/// The kernel's number for a thread of this name (proc(5)).
fn thread_id(server: &ServerProcess, name: &str) -> u32 {
    let threads = PathBuf::from(format!("/proc/{}/task", server.child.id()));
    let mut found = None;
    eventually("the thread has started", || {
        let mut threads = fs::read_dir(&threads).unwrap().map(|thread| thread.unwrap().path());
        found = threads.find(|thread| fs::read_to_string(thread.join("comm")).unwrap().trim() == name);
        found.is_some()
    });
    found.unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Why strace cannot be used here.
fn missing() -> Option<&'static str> {
    let notes = notes("try");
    match strace(&notes).arg("true").status() {
        Err(_) => Some("no strace here"),
        Ok(_) if fs::metadata(&notes).is_ok_and(|notes| notes.len() > 0) => None,
        Ok(_) => Some("strace may not trace here"),
    }
}

fn main() {
    let trial = Trial::test("the_dispatcher_opens_no_file", the_dispatcher_opens_no_file);
    let trial = match missing() {
        None => trial,
        Some(why) => trial.with_kind(why).with_ignored_flag(true),
    };
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}
