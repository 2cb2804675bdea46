//! When the system has nothing left, newcomers are refused, and the others chat on.
//!
//! Run these in a release build too (`make test-release`): the optimiser changes which memory the code asks
//! the system for, and in which order.

#![cfg(target_os = "linux")] // Limits and the use of the machine are looked up in /proc.

use chat_test_support::{Person, ServerProcess, eventually, limited, stalled_reader};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs;
use std::thread;
use std::time::Duration;

/// How many limits of memory are tried. In a debug build a handful, because each takes a while there.
const LIMITS: usize = if cfg!(debug_assertions) { 5 } else { 40 };

/// From the lowest limit that the server starts with, the limits go up to this much more, in KiB. That is
/// more than the acceptor wants to see free before it starts a thread, so that with a part of them
/// hundreds of people come in.
const RANGE: usize = 85_000;

#[test]
fn without_descriptors_newcomers_are_refused_and_the_others_chat_on() {
    let server = ServerProcess::spawn(&mut limited("-n 40"));
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| server.person(name));
    let crowd = fills_up(&server, &mut alice, &mut bob);
    assert!((1..40).contains(&crowd.len()));
    finds_room_again(&server, crowd, &mut alice, &mut bob);
}

#[test]
fn without_memory_for_threads_newcomers_are_refused_and_the_others_chat_on() {
    let allocator = Allocator { arenas: "1" };
    let lowest = allocator.lowest_limit();
    let mut crowds = Vec::new();
    // Where exactly memory ends must not matter: not in the middle of a thread's start either.
    for kib in limits_from(lowest) {
        let mut server = allocator.server_within(kib).expect("more than the lowest limit is enough");
        let alice = Person::try_connect(server.address).ok().and_then(is_welcome);
        let alice =
            alice.unwrap_or_else(|| panic!("{kib} KiB: the server ended with {:?}", server.exit_code()));
        let bob = is_welcome(Person::connect(server.address)).expect("the server goes on");
        if let (Ok(mut alice), Ok(mut bob)) = (alice, bob) {
            alice.takes_name("alice");
            bob.takes_name("bob");
            let crowd = fills_up(&server, &mut alice, &mut bob);
            crowds.push(crowd.len());
            // The stacks of a few that leave stay with the C library, for later threads: that
            // is no memory that is free.
            if crowd.len() > 20 {
                finds_room_again(&server, crowd, &mut alice, &mut bob);
            }
        }
    }
    has_seen_crowds(lowest, &crowds);
}

/// By default the allocator of glibc asks for 64 MiB of address space for each of several arenas, and gives
/// none back. So the server may not find memory for its own threads when it starts, and does not find room
/// again afterwards. But once the first one is in, nothing ends it.
#[test]
fn without_memory_for_arenas_newcomers_are_refused_and_the_others_chat_on() {
    let allocator = Allocator { arenas: "8" };
    let lowest = allocator.lowest_limit();
    let mut crowds = Vec::new();
    for kib in limits_from(lowest) {
        let Some(server) = allocator.server_within(kib) else { continue };
        let Some(Ok(mut alice)) = Person::try_connect(server.address).ok().and_then(is_welcome) else {
            continue;
        };
        alice.takes_name("alice");
        if let Ok(mut bob) = is_welcome(Person::connect(server.address)).expect("the server goes on") {
            bob.takes_name("bob");
            crowds.push(fills_up(&server, &mut alice, &mut bob).len());
        }
    }
    has_seen_crowds(lowest, &crowds);
}

/// How the memory of the server behaves.
struct Allocator {
    arenas: &'static str,
}

impl Allocator {
    fn server_within(&self, kib: usize) -> Option<ServerProcess> {
        ServerProcess::try_spawn(limited(&format!("-v {kib}")).env("MALLOC_ARENA_MAX", self.arenas))
    }

    /// About the lowest limit, in KiB, with which a server has all its own threads and answers. A little
    /// less, and it ends when it starts, before anyone can be in the room.
    fn lowest_limit(&self) -> usize {
        let (mut too_low, mut enough) = (1_000, 200_000);
        while enough - too_low > 100 {
            let middle = (too_low + enough) / 2;
            let server = self.server_within(middle);
            match server.and_then(|server| Person::try_connect(server.address).ok()?.next_line()) {
                Some(_) => enough = middle,
                None => too_low = middle,
            }
        }
        enough + 500
    }
}

fn limits_from(lowest: usize) -> impl Iterator<Item = usize> {
    (0..LIMITS).map(move |step| lowest + step * RANGE / (LIMITS - 1))
}

/// The first line that a newcomer reads: `Ok` for a welcome, `Err` for a refusal, `None` if there is none.
fn is_welcome(mut newcomer: Person) -> Option<Result<Person, String>> {
    let line = newcomer.next_line()?;
    if line.starts_with("!!! Sorry, the server ") {
        return Some(Err(line));
    }
    assert!(line.starts_with("*** Welcome"), "{line}");
    Some(Ok(newcomer))
}

/// That the limits were not all so low that there was nothing to see.
fn has_seen_crowds(lowest: usize, crowds: &[usize]) {
    assert!(crowds.len() > LIMITS / 5, "rooms from {lowest} KiB on: {crowds:?}");
    assert!(crowds.iter().any(|crowd| *crowd > 50), "no limit had room for many: {crowds:?}");
}

/// Memory ends while the server runs: here its limit comes down to little more than it has.
#[test]
fn a_backlog_leaves_memory_for_everything_else() {
    let mut command = limited("-v unlimited");
    let server = ServerProcess::spawn(command.env("CHAT_RATE", "0").env("MALLOC_ARENA_MAX", "1"));
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let _stalled = stalled_reader(server.address);
    bob.sees("*** guest3 joined");
    let free = 16 << 20;
    limit(&server, Resource::As, address_space(&server) + free);
    // Far less than --max-backlog waits for it.
    let line = "x".repeat(4000);
    let told = "*** guest3 left (too slow: too much was waiting to be read)";
    eventually("the reader who has stopped is given up", || {
        alice.says(&line);
        alice.sees_one_that(|seen| seen.starts_with("<alice> "));
        bob.sees_one_that(|seen| seen.starts_with("<alice> ") || seen == told) == told
    });
    server.logs("disconnected: it was too slow, ");
    bob.says("and on it goes");
    alice.sees("<bob> and on it goes");
}

#[test]
fn with_no_descriptor_left_at_all_the_acceptor_rests_and_recovers() {
    let server = ServerProcess::start(&[]);
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let open = fs::read_dir(format!("/proc/{}/fd", server.child.id())).unwrap().count();
    limit(&server, Resource::Nofile, open as u64);
    // One of them may still find a number below the limit that is free.
    let mut newcomers = [(); 3].map(|()| Person::connect(server.address));
    server.logs("refused a newcomer for the moment: Too many open files");
    let before = cpu_ticks(&server);
    alice.says("one out");
    bob.sees("<alice> one out");
    thread::sleep(Duration::from_millis(500));
    let spent = cpu_ticks(&server) - before;
    assert!(spent < 20, "{spent} hundredths of a second of work in half a second in which there was none");
    limit(&server, Resource::Nofile, 4096);
    newcomers.iter_mut().for_each(Person::sees_welcome);
}

/// Changes a limit of the running server.
fn limit(server: &ServerProcess, resource: Resource, current: u64) {
    let pid = Pid::from_child(&server.child);
    let maximum = getrlimit(resource).maximum;
    prlimit(Some(pid), resource, Rlimit { current: Some(current), maximum }).unwrap();
}

/// How much address space the server has, in bytes (proc(5)).
fn address_space(server: &ServerProcess) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// How long the server has been at work, in hundredths of a second (proc(5), sysconf(_SC_CLK_TCK)).
fn cpu_ticks(server: &ServerProcess) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
    let after_name: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap()
}

/// People come in until one is refused with a sentence; alice and bob chat on. The others who came in.
fn fills_up(server: &ServerProcess, alice: &mut Person, bob: &mut Person) -> Vec<Person> {
    let mut crowd = Vec::new();
    while let Ok(person) = is_welcome(Person::connect(server.address)).expect("a newcomer gets an answer") {
        crowd.push(person);
        assert!(crowd.len() < 1000, "there is no end");
    }
    alice.says("it is full here");
    bob.sees("<alice> it is full here");
    crowd
}

/// The crowd leaves, and the next one finds room.
fn finds_room_again(server: &ServerProcess, crowd: Vec<Person>, alice: &mut Person, bob: &mut Person) {
    drop(crowd);
    Person::once_there_is_room(server.address);
    bob.says("and now?");
    alice.sees("<bob> and now?");
}
