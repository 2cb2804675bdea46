//! Real programs as clients: each netcat that people have, and telnet. A program that is not installed here makes
//! its tests ignored, with that as the reason.

use chat_server::Config;
use chat_test_support::{Person, TestServer, eventually, program, test_config};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;
use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where a program is, by one of its names.
fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

/// One program that people chat with.
struct Program {
    name: &'static str,
    found: Option<PathBuf>,
    options: &'static [&'static str],
}

impl Program {
    fn command(&self, server: &TestServer) -> Command {
        let mut command = Command::new(self.found.as_ref().expect("only run where it is installed"));
        let address = server.address;
        command.args(self.options).arg(address.ip().to_string()).arg(address.port().to_string());
        command
    }
}

fn programs() -> Vec<Program> {
    let program = |name, names: &[&str], options| Program { name, found: find(names), options };
    vec![
        program("nc.openbsd", &["nc.openbsd"], &["-N"]),
        program("nc.traditional", &["nc.traditional"], &["-q", "1"]),
        program("ncat", &["ncat"], &[]),
        program("telnet", &["telnet"], &[]),
    ]
}

/// bob with this program talks to alice with a bare socket, and leaves with /quit.
fn converses(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    bob.says("/nick bob");
    alice.sees("*** guest2 is now bob");
    bob.says("grüß dich");
    alice.sees_next("<bob> grüß dich");
    bob.sees("<bob> grüß dich");
    alice.says("/msg bob psst");
    bob.sees_next("[alice -> you] psst");
    bob.says("/r yes?");
    alice.sees("[bob -> you] yes?");
    bob.says("/list");
    bob.sees("*** 2 here: alice, bob");
    bob.says("/quit");
    alice.sees("*** bob left");
    bob.sees("*** bob left");
    Ok(())
}

/// Ctrl-C: the program is killed, and the room notices.
fn is_killed(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.kill();
    alice.sees_next("*** guest2 left");
    Ok(())
}

/// `printf 'build 42 is green\n' | nc …` both speaks and sees its copy, and ends by itself.
fn speaks_from_a_pipe(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut script = Person::with_program(&mut program.command(&server));
    script.sends(b"build 42 is green\n");
    script.ends_input();
    let seen = script.reads_to_the_end();
    assert_eq!(seen.last().map(String::as_str), Some("<guest2> build 42 is green"));
    alice.sees("<guest2> build 42 is green");
    alice.sees_next("*** guest2 left");
    Ok(())
}

/// The server goes away, and the program does too or at least says so.
fn sees_the_goodbye(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    server.stop();
    bob.sees("*** The server is shutting down. Goodbye!");
    server.join()?;
    Ok(())
}

/// A terminal stopped with Ctrl-Z or Ctrl-S: nobody else notices until too much is waiting, and then all are told.
fn is_stopped(program: &Program) -> Result<(), Failed> {
    let server = TestServer::with(Config { max_backlog: 32 * 1024, ..test_config() });
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.signal(Signal::STOP);
    let line = "x".repeat(4000);
    loop {
        alice.says(&line);
        let seen = alice.next_line().expect("alice stays");
        if seen == "*** guest2 left (too slow: too much was waiting to be read)" {
            break;
        }
        assert_eq!(seen, format!("<alice> {line}"));
    }
    bob.signal(Signal::CONT);
    Ok(())
}

/// Ctrl-C in telnet is a command of its own (RFC 854). It leaves, as it does in the others.
fn is_interrupted(telnet: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut telnet.command(&server));
    bob.sees_welcome();
    bob.says("/list");
    alice.sees("*** guest2 joined");
    bob.signal(Signal::INT);
    alice.sees_next("*** guest2 left");
    bob.reads_to_the_end();
    Ok(())
}

/// The recipe for scripts that begins with these words, for the server at hand.
fn recipe(server: &TestServer, beginning: &str) -> String {
    let page = include_str!("../src/guide/scripts.md");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let recipe =
        blocks.into_iter().find(|block| block.starts_with(beginning)).expect("the page has this recipe");
    recipe.replace("HOST 12345", &format!("127.0.0.1 {}", server.address.port()))
}

/// Runs a recipe in a directory of its own, as a person at a keyboard.
fn shell(script: &str, arguments: &[&str]) -> Person {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("recipe-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script, "recipe"]).args(arguments).current_dir(directory);
    command.process_group(0);
    Person::with_program(&mut command)
}

fn recipe_for_one_line(_: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut script = shell(&recipe(&server, "printf '/nick ci"), &[]);
    assert_eq!(script.reads_to_the_end().pop().as_deref(), Some("<ci> build 42 is green"));
    alice.sees("<ci> build 42 is green");
    alice.sees_next("*** ci left");
    Ok(())
}

fn recipe_for_the_end_of_a_job(_: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let script = recipe(&server, "make world").replace("make world;", "(exit 3);");
    let mut script = shell(&script, &[]);
    alice.sees("<make> make world ended with code 3");
    script.reads_to_the_end();
    Ok(())
}

fn recipe_for_a_transcript(_: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let file = format!("{}/transcript-{}.txt", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let script = recipe(&server, "(echo /timestamps on").replace("transcript.txt", &file);
    let scribe = shell(&script, &[]);
    alice.sees("*** guest2 is now scribe");
    alice.says("write this down");
    eventually("it is written down", || {
        let transcript = std::fs::read_to_string(&file).unwrap_or_default();
        transcript.lines().any(|line| line.starts_with('[') && line.ends_with("] <alice> write this down"))
    });
    scribe.kill_group();
    alice.sees("*** scribe left");
    Ok(())
}

fn recipe_for_a_bot(_: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let port = server.address.port().to_string();
    let bot = shell(&recipe(&server, "pipe="), &["127.0.0.1", &port]);
    alice.sees("*** guest2 is now clock");
    alice.says("what time is it?");
    alice.sees_one_that(|line| line.starts_with("<clock> It is "));
    bot.kill_group();
    alice.sees("*** clock left");
    Ok(())
}

/// The unit file on the page about services is one that systemd accepts.
fn unit_file() -> Result<(), Failed> {
    let page = include_str!("../src/guide/service.md");
    let unit = page.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next());
    let unit = unit
        .expect("the page has a unit")
        .replace("/usr/local/bin/chat-server", program().to_str().expect("a path in UTF-8"));
    let path = format!("{}/chat-server-{}.service", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    std::fs::write(&path, unit)?;
    let output = Command::new("systemd-analyze").args(["verify", &path]).output()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("chat-server")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    Ok(())
}

/// `make demo` tells a story in which all see the right lines.
fn demo() -> Result<(), Failed> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo.sh");
    let mut command = Command::new("sh");
    let output = command.arg(script).arg(program()).stdin(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{text}{complaint}");
    for part in
        ["alice saw:\n", "    [carol -> you] There is coffee in room 7.\n", "    *** bob left (\"coffee\")\n"]
    {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    Ok(())
}

fn main() {
    let mut trials = Vec::new();
    let mut add =
        |name: String, missing: Option<&str>, test: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
            let trial = Trial::test(name, test);
            trials.push(match missing {
                None => trial,
                Some(program) => trial.with_kind(format!("no {program} here")).with_ignored_flag(true),
            });
        };
    type Test = fn(&Program) -> Result<(), Failed>;
    let tests: [(&str, Test); 6] = [
        ("converses", converses),
        ("is_killed", is_killed),
        ("speaks_from_a_pipe", speaks_from_a_pipe),
        ("sees_the_goodbye", sees_the_goodbye),
        ("is_stopped", is_stopped),
        ("is_interrupted", is_interrupted),
    ];
    for (what, test) in tests {
        for program in programs() {
            if program.name == "telnet" && what == "speaks_from_a_pipe" {
                continue; // Telnet is for people: at the end of its input it leaves without reading the rest.
            }
            if program.name != "telnet" && what == "is_interrupted" {
                continue; // The others simply end, which is_killed has.
            }
            let missing = program.found.is_none().then_some(program.name);
            add(format!("{}_{what}", program.name), missing, Box::new(move || test(&program)));
        }
    }
    let recipes: [(&str, Test); 4] = [
        ("recipe_for_one_line", recipe_for_one_line),
        ("recipe_for_the_end_of_a_job", recipe_for_the_end_of_a_job),
        ("recipe_for_a_transcript", recipe_for_a_transcript),
        ("recipe_for_a_bot", recipe_for_a_bot),
    ];
    for (name, test) in recipes {
        // The recipes say `nc` and mean the one that knows -N.
        let program = Program { name: "nc", found: find(&["nc.openbsd"]).and(find(&["nc"])), options: &[] };
        let missing = program.found.is_none().then_some("nc of OpenBSD");
        add(name.to_owned(), missing, Box::new(move || test(&program)));
    }
    let systemd = find(&["systemd-analyze"]);
    add("unit_file".to_owned(), systemd.is_none().then_some("systemd-analyze"), Box::new(unit_file));
    let netcat = find(&["nc", "ncat", "nc.traditional"]);
    add("demo".to_owned(), netcat.is_none().then_some("netcat"), Box::new(demo));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
