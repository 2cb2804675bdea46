//! The log: it tells who came, spoke and went, and nothing that happens to it stops the chat.

use chat_test_support::{
    DEADLINE, Person, ServerProcess, chat_server, eventually, lines_of, program, pseudo_terminal,
};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn temporary_file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

/// The promise that the dispatcher never waits is watched. Here its machine stops, in the middle of a turn
/// sooner or later.
#[test]
fn a_turn_that_took_too_long_is_in_the_log() {
    let server = ServerProcess::start(&["--rate=0", "--log-level=warn"]);
    let mut alice = server.person("alice");
    let mut flooder = Person::connect(server.address);
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = {
        let is_over = is_over.clone();
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                flooder.sends("flood\n".repeat(100).as_bytes());
            }
        })
    };
    let overlong = std::iter::from_fn(|| {
        alice.sees_one_that(|line| line.ends_with("> flood"));
        server.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(150));
        server.signal(Signal::CONT);
        Some(server.log.recv_timeout(Duration::from_millis(100)).ok())
    });
    let line = overlong.take(50).flatten().find(|line| line.contains(" a turn took "));
    is_over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
    let line = line.expect("one of so many turns was stopped");
    assert!(line.contains("[WARN] ") && line.contains(" events") && line.contains(" bytes"), "{line}");
}

#[test]
fn the_log_tells_who_came_spoke_and_went() {
    let file = temporary_file("log");
    fs::write(&file, "what was there before\n").unwrap();
    let mut server = ServerProcess::start(&["--log-file", file.to_str().unwrap()]);
    let mut alice = server.person("alice");
    let mut bob = server.person("bob");
    alice.says("hello");
    alice.says("/me waves");
    alice.says("/msg bob the secret");
    bob.sees("[alice -> you] the secret");
    alice.says("/quit gone");
    bob.sees("*** alice left (\"gone\")");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));

    let log = fs::read_to_string(&file).unwrap();
    let mut rest = log.as_str();
    for part in [
        "what was there before",
        "[INFO] Chat server started...",
        "[INFO] Listening on 127.0.0.1:",
        "[INFO] client 1 connected from 127.0.0.1:",
        "[INFO] client 1 (guest1) is now alice",
        "[INFO] client 2 connected from 127.0.0.1:",
        "[INFO] alice: hello",
        "[INFO] * alice waves",
        "[INFO] alice wrote to bob privately",
        "[INFO] client 1 (alice, 127.0.0.1:",
        "disconnected: it quit (gone), lines said: 3, after 0 s",
        "disconnected: the server stops",
        "[INFO] Chat server stopped.",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not (in this order) in\n{log}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!log.contains("the secret"), "private text is in the log");
    assert!(!log.contains('\x1b'), "colours are in the log file");
    let stamp = log.lines().nth(1).unwrap().split('[').next().unwrap().trim();
    assert!(matches!(stamp.len(), 25) && stamp.as_bytes()[22] == b':', "local time with offset: {stamp}");
}

#[test]
fn a_log_that_nobody_reads_stops_nobody() {
    // A pipe that is full and not read behaves like a terminal after Ctrl-S.
    let file = temporary_file("stuck");
    let mut server = chat_server()
        .args([
            "--listen",
            "127.0.0.1:0",
            "--log-level",
            "trace",
            "--rate",
            "0",
            "--log-file",
            file.to_str().unwrap(),
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = None;
    eventually("the log file says where it listens", || {
        let log = fs::read_to_string(&file).unwrap_or_default();
        address = log.lines().find_map(|line| line.split_once("Listening on ").map(|(_, it)| it.to_owned()));
        address.is_some()
    });
    let mut alice = Person::connect(address.unwrap().parse().unwrap());
    alice.sees_welcome();
    // More lines than the queue holds after what the pipe holds, so that some must be lost.
    for n in 0..20 {
        alice.sends(format!("{n} {}\n", "x".repeat(100)).repeat(400).as_bytes());
        (0..400).for_each(|_| drop(alice.sees_one_that(|line| line.starts_with(&format!("<guest1> {n} ")))));
    }
    // Now the reader goes away, which makes it a closed pipe.
    drop(server.stderr.take());
    alice.says("still here");
    alice.sees("<guest1> still here");
    eventually("the log file goes on", || {
        alice.says("and here"); // A line to a queue that is full is lost, also on its way to the file.
        alice.sees("<guest1> and here");
        fs::read_to_string(&file).unwrap().contains("guest1: and here")
    });
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), Signal::TERM).unwrap();
    alice.sees("*** The server is shutting down. Goodbye!");
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")] // Only Linux has a device that is always full.
#[test]
fn a_full_disk_stops_nobody() {
    let server = ServerProcess::start(&["--log-file", "/dev/full"]);
    let mut alice = server.person("alice");
    alice.says("no space left");
    alice.sees("<alice> no space left");
    let mut said = server.first_lines.clone();
    said.extend(server.log.iter().take_while(|line| !line.contains("alice: no space left")));
    let told: Vec<_> =
        said.iter().filter(|line| line.contains("the log file /dev/full cannot be written")).collect();
    assert!(
        matches!(told[..], [one] if one.contains("[ERROR]") && one.contains("No space left")),
        "{said:#?}"
    );
}

/// The server starts, or says in one sentence why it does not. It never waits for what it opens.
#[test]
fn whatever_the_log_file_is_the_server_starts_or_says_why_not() {
    let path = |name: &str| temporary_file(name).to_str().unwrap().to_owned();
    let (fifo, socket, nowhere, dangling) =
        (path("fifo"), path("socket"), path("none/at/all"), path("dangling"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = UnixListener::bind(&socket).unwrap();
    symlink(&nowhere, &dangling).unwrap();
    for refused in ["/", &socket, &nowhere, &dangling] {
        let output = chat_server().args(["--listen", "127.0.0.1:0", "--log-file", refused]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{refused}: {said}");
        assert!(said.starts_with(&format!("chat-server: cannot log to {refused}: ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for accepted in ["/dev/null", "/dev/stdout"] {
        drop(ServerProcess::start(&["--log-file", accepted]));
    }
    let server = ServerProcess::start(&["--log-file", &fifo]);
    server.person("alice").says("hello");
    let read = lines_of(File::open(&fifo).unwrap());
    assert!(read.iter().any(|line| line.contains("alice: hello")), "a reader that comes late gets it");
}

/// With `stty tostop` the kernel stops a program in the background that writes to its terminal.
#[test]
fn a_server_in_the_background_goes_on_when_its_terminal_stops_those_who_write() {
    let file = temporary_file("tostop");
    let script = r#"stty tostop; "$0" --listen 127.0.0.1:0 --log-file "$1" & echo "as $!"; wait"#;
    let mut shell = Command::new("sh");
    shell.args(["-mc", script]).arg(program()).arg(&file);
    let mut shell = Person::at_terminal(&shell);
    let pid: i32 = shell.sees_one_that(|line| line.starts_with("as "))[3..].parse().unwrap();
    let log = || fs::read_to_string(&file).unwrap_or_default();
    eventually("the server listens", || log().contains("On this machine"));
    let log = log();
    let address = log.lines().find_map(|line| line.split_once("Listening on ")).unwrap().1;
    let mut alice = Person::named(address.parse().unwrap(), "alice");
    alice.says("hello");
    alice.sees("<alice> hello");
    kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    alice.sees("*** The server is shutting down. Goodbye!");
    shell.kill_group();
}

#[test]
fn a_new_log_file_is_for_its_owner_alone_and_an_old_one_stays_as_it_is() {
    for (mode_before, mode) in [(None, 0o600), (Some(0o644), 0o644)] {
        let file = temporary_file("mode");
        if let Some(mode) = mode_before {
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        }
        let _server = ServerProcess::start(&["--log-file", file.to_str().unwrap()]);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn the_log_and_the_chat_have_one_clock() {
    // A zone whose offset nobody has by chance.
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0"]).env("TZ", "<+0345>-3:45");
    let server = ServerProcess::spawn(&mut command);
    let mut alice = server.person("alice");
    alice.says("/timestamps on");
    alice.says("now");
    let shown = alice.sees_one_that(|line| line.ends_with("<alice> now"));
    let logged = server.logs("alice: now");
    assert!(logged[19..].starts_with("+03:45 [INFO] "), "{logged}");
    let minutes = |clock: &str| -> i32 {
        let (hours, minutes) = clock.split_once(':').unwrap();
        hours.parse::<i32>().unwrap() * 60 + minutes.parse::<i32>().unwrap()
    };
    let apart = (minutes(&logged[11..16]) - minutes(&shown[1..6])).rem_euclid(24 * 60);
    assert!(apart <= 1, "{logged} and {shown}"); // The minute may have ended between the two.
}

#[test]
fn the_clock_follows_daylight_saving_time() {
    // A zone in which summer begins in three seconds, and ends in half a year (POSIX.1, 8.3).
    let begins = (Timestamp::now() + SignedDuration::from_secs(3)).to_zoned_datetime(TimeZone::UTC);
    let (day, half_a_year) = (begins.day_of_year() - 1, 182);
    let zone = format!("<+00>0<+01>-1,{day}/{},{}/0", begins.strftime("%T"), (day + half_a_year) % 365);
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0", "--rate", "0"]).env("TZ", zone);
    let server = ServerProcess::spawn(&mut command);
    assert!(server.first_lines[0][19..].starts_with("+00:00 [INFO] "), "{:?}", server.first_lines);
    let mut alice = server.person("alice");
    alice.says("/timestamps on");
    eventually("summer is here", || {
        alice.says("now");
        let shown = alice.sees_one_that(|line| line.ends_with("<alice> now"));
        let logged = server.logs("alice: now");
        let is_summer = logged[19..].starts_with("+01:00 [INFO] ");
        is_summer && logged[11..16] == shown[1..6]
    });
}

#[test]
fn colours_are_for_terminals() {
    let (screen, terminal) = pseudo_terminal();
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0"]).env_remove("NO_COLOR");
    let mut server = command.stdin(Stdio::null()).stderr(terminal).spawn().unwrap();
    drop(command); // It holds the terminal too.
    let line = lines_of(screen).recv_timeout(DEADLINE).unwrap();
    assert!(line.ends_with("\x1b[32m[INFO]\x1b[0m Chat server started..."), "{line:?}");
    server.kill().unwrap();
    server.wait().unwrap();
}
