//! The person at the server's keyboard: at a pseudo-terminal, and through a pipe with `--console`.

use chat_test_support::{
    DEADLINE, PRESS_ENTER, Person, ServerProcess, chat_server, lines_of, program, pseudo_terminal,
    stalled_reader,
};
use rustix::process::Signal;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

/// The person at the terminal on which a server was started.
pub(crate) struct Operator {
    pub(crate) child: Child,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) keyboard: File,
    screen: Receiver<String>,
}

impl Operator {
    pub(crate) fn starts(arguments: &[&str]) -> Operator {
        let (controller, terminal) = pseudo_terminal();
        let mut command = chat_server();
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).env("NO_COLOR", "1");
        command.stdin(terminal.try_clone().unwrap()).stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let child = command.spawn().unwrap();
        drop(command); // It holds the terminal too.
        let mut operator = Operator {
            child,
            address: "127.0.0.1:0".parse().unwrap(),
            keyboard: controller.try_clone().unwrap(),
            screen: lines_of(controller),
        };
        let listening = operator.sees("Listening on ");
        operator.address = listening.rsplit(' ').next().unwrap().parse().unwrap();
        operator.sees("Type to take part");
        operator
    }

    pub(crate) fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for a line on the screen with this in it.
    pub(crate) fn sees(&mut self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.screen.recv_timeout(DEADLINE) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => seen.push(line),
                Err(_) => panic!("the operator never saw {part:?}, only:\n{}", seen.join("\n")),
            }
        }
    }

    pub(crate) fn person(&self, name: &str) -> Person {
        Person::named(self.address, name)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_operator_sees_the_chat_and_takes_part_as_the_server() {
    for level in ["info", "error"] {
        let mut operator = Operator::starts(&["--log-level", level]);
        let mut alice = operator.person("alice");
        alice.says("is anybody there?");
        operator.sees("is anybody there?");
        operator.types("Yes, I am.");
        alice.sees("*** [server] Yes, I am.");
        operator.types("//slash");
        alice.sees_next("*** [server] /slash");
        let mut bob = Person::connect(operator.address);
        bob.sees_one_that(|line| line.ends_with("] *** [server] Yes, I am."));
    }
}

/// Had his input ended before that, his key would be answered with a reset, which destroys what he has not
/// got yet.
#[test]
fn a_kicked_person_who_is_behind_and_types_on_gets_all_lines_and_the_reason() {
    let mut operator = Operator::starts(&["--rate=0", "--max-backlog=100000000"]);
    let (mut alice, mut bob) = (operator.person("alice"), stalled_reader(operator.address));
    alice.sees("*** guest2 joined");
    for line in 0..100 {
        alice.says(&format!("{line} {}", "x".repeat(4000)));
        alice.next_line();
    }
    operator.types("/kick guest2");
    alice.sees("*** guest2 left (sent away)");
    let (mut seen, mut piece) = (Vec::new(), [0; 1000]);
    while let Ok(length @ 1..) = bob.read(&mut piece) {
        seen.extend_from_slice(&piece[..length]);
        let _ = bob.write(b"why?\n");
    }
    let seen = String::from_utf8(seen).unwrap();
    assert_eq!(seen.lines().filter(|line| line.starts_with("<alice> ")).count(), 100);
    let last: Vec<_> = seen.lines().rev().take(2).collect();
    assert_eq!(last, [PRESS_ENTER, "!!! You have been sent away by the operator."]);
    assert!(!seen.contains("why?"));
}

#[test]
fn the_operator_and_one_person_write_to_each_other_alone() {
    let mut operator = Operator::starts(&[]);
    let (mut alice, mut bob) = (operator.person("alice"), operator.person("bob"));
    operator.types("/msg alice psst");
    operator.sees("[you -> alice] psst");
    alice.sees("[server -> you] psst");
    alice.says("/r my PIN");
    alice.sees_next("[you -> server] my PIN");
    operator.sees("[alice -> you] my PIN");
    operator.keyboard.write_all(&[4]).unwrap(); // Ctrl-D
    operator.sees("*** The console is closed.");
    alice.says("/msg server my PIN");
    alice.sees_next("!!! No one is at the server's keyboard, so nobody got that.");
    alice.says("done");
    assert_eq!(bob.reads_until(|line| line == "<alice> done"), ["<alice> done"]);
}

/// As much as a clipboard holds, to a reader that takes 200 kB a second.
#[test]
fn a_paste_at_the_keyboard_cuts_off_nobody_who_reads() {
    let operator = Operator::starts(&["--log-level", "error"]);
    let mut slow = std::net::TcpStream::connect(operator.address).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 2_000]);
    while !seen.contains(" here: ") {
        let length = slow.read(&mut piece).unwrap();
        seen += std::str::from_utf8(&piece[..length]).unwrap();
    }
    let mut keyboard = operator.keyboard.try_clone().unwrap();
    let pasting = std::thread::spawn(move || {
        for line in 0..1_200 {
            keyboard.write_all(format!("{line:05} {}\n", "x".repeat(493)).as_bytes()).unwrap();
        }
        keyboard.write_all(b"the end\n").unwrap();
    });
    while !seen.ends_with("*** [server] the end\n") {
        let length = slow.read(&mut piece).unwrap();
        assert_ne!(length, 0, "it was cut off after {} bytes", seen.len());
        seen += std::str::from_utf8(&piece[..length]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    pasting.join().unwrap();
    assert_eq!(seen.matches("*** [server] 0").count(), 1_200);
}

#[test]
fn the_end_of_stdin_ends_the_console_and_not_the_server() {
    let mut operator = Operator::starts(&[]);
    let mut alice = operator.person("alice");
    operator.keyboard.write_all(&[4]).unwrap(); // Ctrl-D
    operator.sees("*** The console is closed. The server goes on until Ctrl-C or another signal.");
    alice.says("still here");
    alice.sees("<alice> still here");
    operator.sees("alice: still here");
}

#[test]
fn a_console_can_be_asked_for_where_stdin_is_no_terminal() {
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0", "--console"]);
    let mut server =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (log, screen) = (lines_of(server.stderr.take().unwrap()), lines_of(server.stdout.take().unwrap()));
    let address = loop {
        let line = log.recv_timeout(DEADLINE).unwrap();
        if let Some((_, address)) = line.split_once("Listening on ") {
            break address.parse().unwrap();
        }
    };
    let mut alice = Person::connect(address);
    alice.sees_welcome();
    let mut keyboard = server.stdin.take().unwrap();
    let mut shown = std::iter::from_fn(|| screen.recv_timeout(DEADLINE).ok());
    assert_eq!(shown.next().as_deref(), Some("*** guest1 joined"));
    keyboard.write_all(b"hello from a pipe\n/list\n").unwrap();
    alice.sees_next("*** [server] hello from a pipe");
    assert_eq!(shown.next().as_deref(), Some("*** [server] hello from a pipe"));
    assert_eq!(shown.next().as_deref(), Some("*** 1 here"));
    drop(keyboard);
    assert!(shown.any(|line| line.starts_with("*** The console is closed.")));
    alice.says("hi");
    alice.sees_next("<guest1> hi");
    assert!(shown.any(|line| line == "<guest1> hi"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&server), Signal::TERM).unwrap();
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

/// A command of the unit on the page about services, with another directory in the place of its own.
fn line_of_the_unit(key: &str, directory: &Path) -> Command {
    let unit = include_str!("../../src/guide/service.md");
    let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("the unit has this line");
    let mut line = line.replace("/usr/local/bin/chat-server", program().to_str().unwrap());
    for path in ["/run/chat-server", "/var/log/chat-server"] {
        line = line.replace(path, directory.to_str().unwrap());
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {line}")]).env("CHAT_LISTEN", "127.0.0.1:0").stdout(Stdio::piped());
    shell
}

#[test]
fn a_service_reads_the_operators_commands_from_a_fifo() {
    let directory =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let shell = |key| line_of_the_unit(key, &directory);
    assert!(shell("ExecStartPre=").status().unwrap().success());
    let mut server = ServerProcess::spawn(&mut shell("ExecStart="));
    let screen = lines_of(server.child.stdout.take().unwrap());
    let shows = |wanted: &str| {
        assert!(
            std::iter::from_fn(|| screen.recv_timeout(DEADLINE).ok()).any(|line| line == wanted),
            "the screen never had {wanted}"
        );
    };
    // Each line comes as from a shell's `echo`, which opens the FIFO and closes it.
    let echo = |line: &[u8]| {
        OpenOptions::new().write(true).open(directory.join("console")).unwrap().write_all(line).unwrap();
    };

    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    echo(b"The build is broken.\n");
    alice.sees("*** [server] The build is broken.");
    shows("*** [server] The build is broken.");
    echo(b"/kick #2 too loud\n");
    alice.sees("*** bob left (sent away: \"too loud\")");
    shows("*** #2 has been sent away.");
    assert_eq!(
        bob.reads_to_the_end().pop().unwrap(),
        "!!! You have been sent away by the operator: too loud"
    );
    echo(b"/stop\n");
    alice.sees("*** The server is shutting down. Goodbye!");
    assert_eq!(server.exit_code(), Some(0));
    assert!(fs::read_to_string(directory.join("chat.log")).unwrap().contains("Chat server stopped."));
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn where_stdin_is_no_terminal_nothing_reads_it() {
    let server = ServerProcess::start(&[]);
    let threads: Vec<_> = std::fs::read_dir(format!("/proc/{}/task", server.child.id()))
        .map(|tasks| {
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap()).collect()
        })
        .unwrap_or_default();
    assert!(threads.iter().all(|name| !name.starts_with("console")), "{threads:?}");
}

/// The lines at the start, up to the invitation to type.
fn said_at_the_start(arguments: &[&str]) -> Vec<String> {
    let mut server = ServerProcess::start(arguments);
    server.signal(Signal::TERM);
    assert_eq!(server.exit_code(), Some(0));
    let lines = server.log.iter().take_while(|line| !line.contains("Chat server stopped."));
    lines.filter(|line| !line.contains("shutting down")).collect()
}

#[test]
fn a_server_for_this_machine_speaks_of_no_others() {
    let said = said_at_the_start(&[]).join("\n");
    assert!(said.contains("] On this machine: nc 127.0.0.1 ") && said.lines().count() == 1, "{said}");
    let said = said_at_the_start(&["--allow", "192.168.1.0/24"]).join("\n");
    assert!(
        said.ends_with("Everyone is refused at 127.0.0.1: this machine needs --allow 127.0.0.1"),
        "{said}"
    );
}

#[test]
fn who_may_connect_fits_80_columns() {
    let by_default = said_at_the_start(&["--listen", "0.0.0.0:0"]).join("\n");
    assert!(by_default.contains("] Who may connect: this machine, local networks"), "{by_default}");
    let nets: Vec<_> = (0..9).map(|n| format!("2001:db8:1234:5678:9abc:def0:1234:{n}/128")).collect();
    let said =
        said_at_the_start(&["--listen", "0.0.0.0:0", "--allow", &format!("10.0.0.0/8, {}", nets.join(", "))]);
    let who: Vec<_> = said.iter().skip_while(|line| !line.contains("Who may connect: 10.0.0.0/8,")).collect();
    assert!(nets.iter().all(|net| who.iter().any(|line| line.contains(net))), "{said:#?}");
    let by_default = by_default.lines().skip_while(|line| !line.contains("Who may connect"));
    assert!(who.iter().map(|line| line.as_str()).chain(by_default).all(|line| line.len() <= 80), "{said:#?}");
}
