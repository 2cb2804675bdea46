//! The program from the view of the person who starts it: arguments, exit codes, signals.

use chat_test_support::{DEADLINE, Person, ServerProcess, chat_server, eventually, limited, lines_of};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Runs the program to its end.
fn run(arguments: &[&str]) -> Output {
    chat_server().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The program must end with this code and one sentence on stderr, in which `part` occurs.
fn fails(arguments: &[&str], code: i32, part: &str) {
    let output = run(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let complaints: Vec<_> = stderr.lines().filter(|line| !line.contains("[INFO]")).collect();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(
        matches!(&complaints[..], [one] if one.starts_with("chat-server: ") && one.contains(part)),
        "{stderr}"
    );
}

#[test]
fn help_has_every_option_its_variable_and_examples() {
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    for option in [
        "max-per-ip",
        "history",
        "console",
        "allow",
        "rate",
        "burst",
        "listen",
        "max-clients",
        "max-line",
        "max-backlog",
        "grace",
        "log-level",
        "log-file",
    ] {
        let variable = option.to_uppercase().replace('-', "_");
        assert!(
            help.contains(&format!("--{option} ")) && help.contains(&format!("CHAT_{variable}")),
            "{option}: {help}"
        );
    }
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    assert!(help.contains("Examples:\n  chat-server "), "{help}");
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert_eq!(version, format!("chat-server {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_arguments_end_with_code_2_and_a_sentence() {
    fails(&["--listen", "nonsense"], 2, "an address and a port are needed");
    fails(&["--max-line", "lots"], 2, "a number from 1 to 1048576");
    fails(&["--max-line", "0"], 2, "a number from 1 to 1048576");
    fails(&["--max-line", "1048576"], 2, "it must be at least 4 times as large");
    fails(&["--max-clients", "all"], 2, "a number from 1 to");
    fails(&["--allow", "friends"], 2, "a network such as 192.168.1.0/24");
    fails(&["--grace", "soon"], 2, "a number of seconds");
    fails(&["--log-level", "loud"], 2, "one of off, error, warn, info, debug and trace");
    fails(&["--surprise"], 2, "unexpected argument '--surprise' found");
    fails(&["surprise"], 2, "see chat-server --help");
    for (arguments, listen) in [
        (&["--port", "9000"][..], "[::]:9000"),
        (&["--port=9000"], "[::]:9000"),
        (&["-p", "9000"], "[::]:9000"),
        (&["-p9000"], "[::]:9000"),
        (&["9000"], "[::]:9000"),
        (&[":9000"], "[::]:9000"),
        (&["localhost:9000"], "localhost:9000"),
        (&["--host", "192.0.2.1"], "192.0.2.1:12345"),
        (&["--bind=::1"], "[::1]:12345"),
        (&["--addr", "127.0.0.1:7"], "127.0.0.1:7"),
    ] {
        fails(arguments, 2, &format!("; to listen elsewhere: --listen {listen}"));
    }
    fails(&["--rate", "1.5"], 2, "a number from 0 to 1000000000 is needed, without a fraction");
    fails(&["--max-clients", "-1"], 2, "a number from 1 to 1000000 is needed");
    fails(&["--grace", "-1"], 2, "a number of seconds from 0 to 3600");
    fails(&["--max-line", ""], 2, "a number from 1 to 1048576");
    fails(&["--burst", "99999999999999999999"], 2, "a number from 0 to 1000000000");
    fails(&["--log-level", ""], 2, "one of off, error, warn, info, debug and trace");
    fails(&["--log-level", "-1"], 2, "one of off, error, warn, info, debug and trace");
    fails(&["--listen", "no such name:1"], 2, "no address is known by that name");
    fails(&["--listen", "::1:80"], 2, "an address and a port are needed");
    fails(&["--max-backlog", "5"], 2, "--max-backlog 5 is too small for --max-line 4096:");
}

/// With these variables and flags the program must end with one sentence in which `part` occurs.
fn is_blamed(variables: &[(&str, &str)], arguments: &[&str], code: i32, part: &str) {
    let output =
        chat_server().envs(variables.iter().copied()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{variables:?} {arguments:?}: {stderr}");
    assert!(stderr.contains(part) && stderr.lines().count() == 1, "{variables:?} {arguments:?}: {stderr}");
}

#[test]
fn a_variable_that_does_nothing_is_worth_a_warning() {
    for (name, value, hint) in [
        ("CHAT_PORT", "9000", "CHAT_PORT does nothing here; to listen elsewhere: CHAT_LISTEN=[::]:9000"),
        ("CHAT_LISTENS", "x", "CHAT_LISTENS does nothing here; did you mean CHAT_LISTEN?"),
        ("CHAT_SURPRISE", "x", "CHAT_SURPRISE does nothing here; --help has the list of options"),
    ] {
        let mut command = chat_server();
        command
            .args(["--listen", "127.0.0.1:0"])
            .env(name, value)
            .env("CHAT_RATE", "")
            .env("CHAT_GRACE", "1");
        let said = ServerProcess::spawn(&mut command).first_lines.join("\n");
        assert!(said.contains(hint) && said.matches("[WARN]").count() == 1, "{said}");
    }
}

#[test]
fn the_help_fits_80_columns() {
    let help = chat_server().arg("--help").env_remove("COLUMNS").output().unwrap();
    let make = Command::new("make").args(["-C", env!("CARGO_MANIFEST_DIR"), "help"]).output().unwrap();
    for help in [help, make] {
        let help = String::from_utf8(help.stdout).unwrap();
        let wide: Vec<_> = help.lines().filter(|line| line.chars().count() > 80).collect();
        assert!(help.lines().count() > 10 && wide.is_empty(), "{wide:#?}");
    }
}

#[test]
fn an_error_names_what_was_set() {
    let here = ["--listen", "127.0.0.1:0"];
    is_blamed(&[("CHAT_LISTEN", "foo")], &[], 2, "'foo' for CHAT_LISTEN: an address");
    is_blamed(&[("CHAT_LISTEN", "foo")], &["--listen", "bar"], 2, "'bar' for '--listen <ADDR>': an address");
    is_blamed(&[("CHAT_LISTEN", "foo")], &["--rate", "x"], 2, "'x' for '--rate <N>': a number");
    is_blamed(&[("CHAT_CONSOLE", "maybe")], &here, 2, "'maybe' for CHAT_CONSOLE: yes or no is needed");
    is_blamed(&[("CHAT_MAX_LINE", "0")], &here, 2, "'0' for CHAT_MAX_LINE: a number from 1");
    is_blamed(
        &[("CHAT_MAX_LINE", "90000")],
        &here,
        2,
        "--max-backlog 262144 is too small for CHAT_MAX_LINE=90000:",
    );
    is_blamed(&[("CHAT_LISTEN", "192.0.2.1:7")], &[], 1, "for example with CHAT_LISTEN=0.0.0.0:7");
    is_blamed(&[("CHAT_LOG_FILE", "/nowhere/at/all")], &here, 1, "choose another CHAT_LOG_FILE");
}

#[test]
fn an_empty_variable_counts_as_unset_and_blanks_in_a_list_as_nothing() {
    let mut command = chat_server();
    for variable in [
        "ALLOW",
        "BURST",
        "CONSOLE",
        "GRACE",
        "HISTORY",
        "LOG_FILE",
        "LOG_LEVEL",
        "MAX_BACKLOG",
        "MAX_CLIENTS",
        "MAX_LINE",
        "MAX_PER_IP",
        "RATE",
    ] {
        command.env(format!("CHAT_{variable}"), if variable.len() % 2 == 0 { "" } else { " " });
    }
    let server = ServerProcess::spawn(command.args(["--listen", " 127.0.0.1:0 , 127.0.0.1:0"]));
    server.person("alice");
    let listening =
        ServerProcess::spawn(chat_server().env("CHAT_LISTEN", "").args(["--listen", "127.0.0.1:0"]));
    listening.person("alice");
}

#[test]
fn a_console_is_asked_for_by_yes_alone() {
    for (value, has_one) in
        [("yes", true), ("1", true), (" On ", true), ("no", false), ("0", false), ("", false)]
    {
        let server = ServerProcess::spawn(
            chat_server().stdout(Stdio::null()).env("CHAT_CONSOLE", value).args(["--listen", "127.0.0.1:0"]),
        );
        let _alice = server.person("alice");
        let said: Vec<_> =
            server.log.iter().take_while(|line| !line.contains("client 1 connected")).collect();
        let invited = said.iter().any(|line| line.contains("Type to take part"));
        assert_eq!(invited, has_one, "{value:?}: {said:?}");
    }
}

#[test]
fn an_error_of_the_system_ends_with_code_1_and_advice() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    fails(
        &["--listen", &taken.local_addr().unwrap().to_string()],
        1,
        "in use; stop the other server, or choose",
    );
    fails(&["--listen", "192.0.2.1:0"], 1, "this machine does not have that address");
    fails(&["--log-file", "/nowhere/at/all", "--listen", "127.0.0.1:0"], 1, "cannot log to /nowhere/at/all");
}

#[test]
fn it_listens_on_several_addresses_and_reads_them_from_the_environment() {
    let mut server = ServerProcess::spawn(chat_server().env("CHAT_LISTEN", "127.0.0.1:0,127.0.0.2:0"));
    let second = server.logs("Listening on 127.0.0.2:");
    let second = second.rsplit(' ').next().unwrap().parse().unwrap();
    let mut alice = server.person("alice");
    let mut bob = Person::connect(second);
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn the_port_is_printed_at_every_log_level() {
    for level in ["off", "error", "info", "trace"] {
        let server = ServerProcess::start(&["--log-level", level]);
        server.person("alice");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn each_client_costs_one_named_thread_and_one_descriptor_and_no_wake_up() {
    // Started with a low soft limit, as most shells have, even where this machine's is the hard one.
    let server = ServerProcess::spawn(&mut limited("-S -n 256"));
    let proc = |what: &str| format!("/proc/{}/{what}", server.child.id());
    let count = |what: &str| fs::read_dir(proc(what)).unwrap().count();
    let _alice = server.person("alice"); // When she is in, all threads of the server have started.
    let before = (count("task"), count("fd"));
    let _people: Vec<_> = (0..50).map(|n| server.person(&format!("p{n}"))).collect();
    assert_eq!((count("task"), count("fd")), (before.0 + 50, before.1 + 50));

    let threads = || fs::read_dir(proc("task")).unwrap().map(|thread| thread.unwrap().path());
    let names: Vec<_> = threads().map(|thread| fs::read_to_string(thread.join("comm")).unwrap()).collect();
    assert!(
        ["dispatcher\n", "client-51\n", "log-stderr\n"].iter().all(|name| names.iter().any(|it| it == name)),
        "{names:?}"
    );

    let switches = || -> u64 {
        let status = threads().map(|thread| fs::read_to_string(thread.join("status")).unwrap());
        status
            .map(|status| {
                status
                    .lines()
                    .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))
                    .unwrap()
                    .trim()
                    .parse::<u64>()
                    .unwrap()
            })
            .sum()
    };
    eventually("nothing happens for half a second", || {
        let before = switches();
        std::thread::sleep(Duration::from_millis(500));
        switches() == before
    });

    // The soft limit of descriptors is the hard one.
    let limits = fs::read_to_string(proc("limits")).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<_> = limit.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{limit}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_crowd_that_connects_at_once_finds_a_long_queue() {
    // The server is stopped, so that nothing leaves the queue. With the 128 places of
    // std the rest would wait.
    let server = ServerProcess::start(&["--max-per-ip", "0"]);
    server.signal(Signal::STOP);
    let most: usize = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let crowd: Vec<_> = (0..500.min(most))
        .map(|_| std::net::TcpStream::connect_timeout(&server.address, Duration::from_millis(500)).unwrap())
        .collect();
    server.signal(Signal::CONT);
    let mut last = Person::connect(server.address);
    last.sees_welcome();
    drop(crowd);
}

#[test]
fn signals_stop_it_politely() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut server = ServerProcess::start(&[]);
        let mut alice = server.person("alice");
        server.signal(signal);
        assert_eq!(alice.reads_to_the_end(), ["*** The server is shutting down. Goodbye!"]);
        assert_eq!(server.exit_code(), Some(0));
        server.logs("Chat server stopped.");
    }
}

/// Before there is anyone to say goodbye to, a signal ends it in the same polite way: it is caught before
/// anything else.
#[cfg(target_os = "linux")]
#[test]
fn no_signal_comes_too_early_to_be_caught() {
    for _ in 0..10 {
        let mut server =
            chat_server().args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()).spawn().unwrap();
        let process = format!("/proc/{}", server.id());
        let threads = || fs::read_dir(format!("{process}/task")).unwrap().count();
        while threads() == 1 {
            std::hint::spin_loop();
        }
        // The mask of caught signals, SIGHUP being the lowest bit (proc(5)).
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
        let caught = u64::from_str_radix(caught, 16).unwrap();
        for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
            assert!(caught >> (signal.as_raw() - 1) & 1 == 1, "{signal:?} is not caught yet: {caught:x}");
        }
        kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_it_at_once() {
    let mut server = ServerProcess::start(&["--max-backlog", "1000000000", "--rate", "0", "--grace", "3600"]);
    let mut alice = server.person("alice");
    let _stuck = std::net::TcpStream::connect(server.address).unwrap();
    alice.sees("*** guest2 joined");
    for _ in 0..200 {
        alice.says(&"x".repeat(4000));
        alice.next_line();
    }
    let begun = Instant::now();
    server.signal(Signal::INT);
    alice.sees("*** The server is shutting down. Goodbye!");
    let mut code = None;
    eventually("a signal counts again", || {
        server.signal(Signal::INT);
        code = server.child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(Some(130)));
    assert!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
}

#[test]
fn a_closing_terminal_robs_nobody_of_the_goodbye() {
    // The shell and the kernel send a signal each. A reader who is stuck keeps the server
    // there when the second comes.
    let mut server = ServerProcess::start(&["--max-backlog", "1000000000", "--rate", "0", "--grace", "0.5"]);
    let _stuck = std::net::TcpStream::connect(server.address).unwrap();
    let mut people: Vec<_> = (0..50).map(|_| Person::connect(server.address)).collect();
    people.iter_mut().for_each(Person::sees_welcome);
    for _ in 0..200 {
        people[0].says(&"x".repeat(4000));
        people[0].sees_one_that(|line| line.ends_with("xxx"));
    }
    server.signal(Signal::HUP);
    server.logs("shutting down");
    server.signal(Signal::HUP);
    for person in &mut people {
        let seen = person.reads_to_the_end();
        assert_eq!(seen.last().unwrap(), "*** The server is shutting down. Goodbye!");
    }
    assert_eq!(server.exit_code(), Some(0));
    server.logs("Chat server stopped.");
}

#[test]
fn the_default_is_every_address_at_port_12345() {
    let mut server = chat_server().stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = lines_of(server.stderr.take().unwrap());
    let first = lines.recv_timeout(DEADLINE).unwrap();
    if first.contains("in use") {
        // Another server has the port on this machine; at least the sentence says which port that is.
        assert!(first.contains(":12345"), "{first}");
    } else {
        let listening = lines.recv_timeout(DEADLINE).unwrap();
        assert!(
            listening.ends_with("Listening on [::]:12345")
                || listening.ends_with("Listening on 0.0.0.0:12345")
        );
        Person::connect("127.0.0.1:12345".parse().unwrap()).sees_welcome();
    }
    let _ = server.kill();
    server.wait().unwrap();
}
