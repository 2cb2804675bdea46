//! Nothing that one client does may hurt another: floods, slow readers, exhaustion, sudden ends.

use chat_server::Config;
use chat_test_support::{
    DEADLINE, Person, ServerProcess, TestServer, alice_and_bob, eventually, stalled_reader, test_config,
};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

// Floods.

#[test]
fn a_paste_of_a_thousand_lines_is_slowed_and_arrives_whole_and_in_order() {
    let (rate, burst) = (2000, 100);
    let server = TestServer::with(Config { rate, burst, ..test_config() });
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let lines: Vec<String> = (0..1000).map(|n| format!("{n:04} {}", "x".repeat(195))).collect();
    let begun = Instant::now();
    bob.sends(lines.join("\n").as_bytes());
    bob.ends_input();
    alice.sees("*** bob joined");
    for line in &lines {
        alice.sees_next(&format!("<bob> {line}"));
    }
    alice.sees_next("*** bob left");
    assert!(
        begun.elapsed() >= Duration::from_secs(1) * (1000 - burst - 10) / rate,
        "nothing slowed bob down"
    );
    assert_eq!(bob.reads_to_the_end().len(), 1000);
}

#[test]
fn commands_are_slowed_as_well() {
    let server = TestServer::with(Config { rate: 500, burst: 10, ..test_config() });
    let mut alice = server.person("alice");
    let begun = Instant::now();
    for _ in 0..100 {
        alice.sends(b"/list\n\n/nosuch\n");
    }
    let answered = (0..200).map(|_| alice.next_line()).count();
    assert_eq!(answered, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1) * (300 - 10 - 10) / 500, "nothing slowed alice down");
}

#[test]
fn others_are_heard_during_a_flood() {
    let server = TestServer::with(Config { rate: 20, burst: 200, ..test_config() });
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let mut flooder = server.guest();
    // Twenty lines a second make this flood last for hours; alice must not have to wait for its end.
    flooder.sends("flood\n".repeat(10_000).as_bytes());
    for n in 0..20 {
        alice.says(&format!("{n}"));
        bob.sees(&format!("<alice> {n}"));
    }
}

#[test]
fn a_flooder_that_hangs_up_is_gone_with_all_that_it_still_had_to_say() {
    let server = TestServer::with(Config { rate: 1, burst: 10, ..test_config() });
    let mut alice = server.person("alice");
    let mut flooder = Person::connect(server.address);
    flooder.sees_welcome();
    flooder.sends("flood\n".repeat(5_000).as_bytes());
    drop(flooder); // At its rate it would go on for more than an hour.
    alice.sees("*** guest2 left");
}

#[cfg(target_os = "linux")]
#[test]
fn the_lines_of_a_paced_client_wait_on_its_own_machine() {
    let server = TestServer::with(Config { rate: 1, burst: 1, ..test_config() });
    let mut flooder = server.guest().socket.take().unwrap();
    set_socket_send_buffer_size(&flooder, 16 * 1024).unwrap();
    flooder.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let taken =
        (0..).take_while(|_| flooder.write_all("flood\n".repeat(100).as_bytes()).is_ok()).count() * 600;
    // 128 KiB of receive buffer and what the sender keeps. Left to grow, it would be megabytes.
    assert!(taken < 400 * 1024, "{taken} bytes were taken from a client that may send one line a second");
}

/// Bytes that never become a line, and telnet's, which are no text at all.
#[test]
fn bytes_without_a_line_break_are_slowed_like_lines() {
    let server = TestServer::with(Config { rate: 20, burst: 10, ..test_config() });
    for beginning in [&b"x"[..], b"hello\n\xff\xfa", b"\x08"] {
        let mut flooder = server.guest();
        flooder.sends(beginning);
        flooder.sends(&b"x".repeat(50_000));
        flooder.sees_one_that(|line| line.starts_with(IS_SLOWED));
    }
}

const IS_SLOWED: &str = "*** More comes than goes out: ";

/// A control character takes four bytes on the screens of the others.
#[test]
fn a_line_is_paid_for_as_it_is_shown() {
    let server = TestServer::with(Config { rate: 20, burst: 40, ..test_config() });
    let line = |byte: &str| format!("x{}\n", byte.repeat(1000));
    let (mut plain, mut growing) = (server.guest(), server.guest());
    growing.says("hello");
    growing.sends(line("\x01").repeat(5).as_bytes());
    growing.sees_one_that(|line| line.starts_with(IS_SLOWED));
    plain.sends(line("y").repeat(5).as_bytes());
    plain.says("done");
    assert!(
        !plain.reads_until(|line| line.ends_with("> done")).iter().any(|line| line.starts_with(IS_SLOWED))
    );
}

/// Each of them is within the pace of its address.
#[cfg(target_os = "linux")] // The addresses 127.0.0.2 and on are this machine's as well.
#[test]
fn talk_from_many_addresses_waits_for_the_room() {
    let server = TestServer::with(Config { rate: 1, burst: 1, ..test_config() });
    let mut people: Vec<_> =
        (2..14).map(|n| Person::connect_from([127, 0, 0, n].into(), server.address)).collect();
    people.iter_mut().for_each(Person::sees_welcome);
    for person in &mut people {
        person.says(&"x".repeat(4096)); // The longest line: it comes in two pieces, and is paid for as a whole.
    }
    let is_talk = |line: &str| line.starts_with('<');
    let slowed = people.iter_mut().filter_map(|person| {
        let seen: Vec<_> = (0..12).flat_map(|_| person.reads_until(is_talk)).collect();
        seen.iter().any(|line| line.starts_with(IS_SLOWED)).then_some(())
    });
    assert!(slowed.count() > 2, "the last of them wait for more than two seconds");
}

// Slow readers.

#[test]
fn a_reader_that_stops_is_disconnected_at_the_limit_and_everyone_is_told() {
    let max_backlog = 64 * 1024;
    let server = ServerProcess::start(&["--rate", "0", "--max-backlog", &max_backlog.to_string()]);
    let mut alice = server.person("alice");
    let mut stalled = stalled_reader(server.address);
    alice.sees("*** guest2 joined");
    let line = "x".repeat(1000);
    let mut said = 0;
    loop {
        alice.says(&line);
        said += "<alice> \n".len() + line.len();
        let seen = alice.next_line().unwrap();
        if seen == "*** guest2 left (too slow: too much was waiting to be read)" {
            break;
        }
        assert_eq!(seen, format!("<alice> {line}"));
        // The flags promise the limit; the kernel has 256 KiB at most (twice 128, its own bookkeeping), and
        // the reader's kernel a little. Had the kernel's buffers been left to grow, it would be megabytes.
        assert!(said < max_backlog + 512 * 1024, "{said} bytes are waiting somewhere");
    }
    assert!(said > max_backlog, "not before the limit");
    server.logs("disconnected: it was too slow, ");
    // Its connection is over: it reads what its own kernel has, and then the end or a reset.
    let _ = std::io::copy(&mut stalled, &mut std::io::sink());
    alice.says("/list");
    alice.sees("*** 1 here: alice");
}

#[cfg(target_os = "linux")]
#[test]
fn many_stalled_readers_cost_what_the_flags_say() {
    let (clients, max_backlog) = (150, 64 * 1024);
    let server = ServerProcess::start(&[
        "--rate=0",
        "--max-per-ip=0",
        "--log-level=error",
        &format!("--max-backlog={max_backlog}"),
    ]);
    let mut alice = server.person("alice");
    let stalled: Vec<_> = (0..clients).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for _ in 0..clients {
        alice.sees_one_that(|line| line.ends_with(" joined"));
    }
    let (before, mut peak, mut left) = (resident_kib(&server), 0, 0);
    while left < clients {
        alice.says(&"x".repeat(4000));
        let seen = alice.reads_until(|line| line.starts_with("<alice>"));
        left += seen.iter().filter(|line| line.contains(" left (too slow")).count();
        peak = peak.max(resident_kib(&server));
    }
    let allowed = before + clients * max_backlog / 1024 + 8 * 1024;
    assert!(peak <= allowed, "{peak} KiB of memory instead of {allowed}");
    drop(stalled);
}

#[cfg(target_os = "linux")]
fn resident_kib(server: &ServerProcess) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

// Admission.

#[test]
fn a_stranger_is_turned_away_with_a_sentence_and_the_log_is_not_flooded() {
    let server = ServerProcess::start(&["--allow", "10.0.0.0/8,192.168.0.0/16"]);
    for _ in 0..50 {
        let seen = Person::connect(server.address).reads_to_the_end();
        assert_eq!(seen, ["!!! Sorry, your address may not connect to this server."]);
    }
    server.signal(Signal::TERM);
    let log: Vec<_> = server.log.iter().filter(|line| line.contains("refused")).collect();
    assert!((1..25).contains(&log.len()), "{log:?}");
}

// Sudden ends.

#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_connections_that_close_at_once_leave_nothing_behind() {
    let mut server = ServerProcess::start(&["--log-level", "error", "--max-per-ip", "0"]);
    let entries = |what: &str| fs::read_dir(format!("/proc/{}/{what}", server.child.id())).unwrap().flatten();
    // Threads that flush a large room stay.
    let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    let clients = || entries("task").filter(|task| name(task).starts_with("client-")).count();
    let mut alice = server.person("alice");
    let with_alice = (clients(), entries("fd").count());
    let two_thousand_more = || {
        for _ in 0..20 {
            for _ in 0..100 {
                drop(TcpStream::connect(server.address).unwrap());
            }
            eventually("their threads and descriptors are gone", || {
                (clients(), entries("fd").count()) == with_alice
            });
        }
        resident_kib(&server)
    };
    // The allocator grows now and then. A leak grows every time: 100 bytes each would be 200 KiB.
    let memory: Vec<_> = (0..5).map(|_| two_thousand_more()).collect();
    let least_growth = memory.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    assert!(least_growth < Some(200), "memory grew, in KiB: {memory:?}");
    alice.says("still here?");
    alice.sees("<alice> still here?");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_connection_that_closes_while_it_is_written_to_is_only_a_leave() {
    let (server, mut alice, mut bob) = alice_and_bob();
    for n in 3..23 {
        let mut carol = TcpStream::connect(server.address).unwrap();
        carol.write_all(b"hello\n").unwrap();
        alice.sees(&format!("<guest{n}> hello"));
        alice.says(&"x".repeat(3000));
        drop(carol); // With unread input: the kernel sends a reset.
        alice.sees(&format!("*** guest{n} left"));
    }
    bob.says("fine");
    alice.sees("<bob> fine");
}

#[test]
fn stopping_under_full_load_says_goodbye_to_all_who_read() {
    for line in ["chatter chatter chatter\n".to_owned(), format!("{}\n", "x".repeat(4000))] {
        // A busy machine must not have those who read cut off, nor left with a part of it.
        let mut server = ServerProcess::start(&[
            "--rate=0",
            "--log-level=error",
            &format!("--max-backlog={}", 4 * 1024 * 1024),
            &format!("--grace={}", DEADLINE.as_secs()),
        ]);
        let mut people: Vec<_> = (0..10).map(|n| server.person(&format!("p{n}"))).collect();
        for person in people.iter().take(4) {
            let mut socket = person.socket.as_ref().unwrap().try_clone().unwrap();
            let line = line.clone();
            thread::spawn(move || while socket.write_all(line.as_bytes()).is_ok() {});
        }
        for person in &mut people {
            (0..100).for_each(|_| drop(person.sees_one_that(|line| line.starts_with('<'))));
        }
        server.signal(Signal::TERM);
        for person in &mut people {
            let seen = person.reads_to_the_end();
            assert_eq!(seen.last().map(String::as_str), Some("*** The server is shutting down. Goodbye!"));
        }
        assert_eq!(server.exit_code(), Some(0));
    }
}

#[test]
fn a_hundred_silent_connections_hold_their_places_and_no_more() {
    let server = TestServer::with(Config { max_clients: 100, ..test_config() });
    let silent: Vec<_> = (0..99).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let mut alice = server.person("alice");
    assert!(
        Person::connect(server.address).next_line().unwrap().starts_with("!!! Sorry, the server is full")
    );
    drop(silent);
    Person::once_there_is_room(server.address);
    alice.says("still here?");
    alice.sees("<alice> still here?");
}
