//! Every transcript in README.md and below `src` is played with a real server, and must match it.
//!
//! A transcript is a block of `text` whose first line starts the server. Each of its lines is one of these:
//!
//! | line | meaning |
//! |---|---|
//! | `server$ chat-server FLAGS` | the server is started (here on a free port, of the loopback interface unless it asks for `0.0.0.0`) |
//! | `alice$ nc HOST 12345` | alice connects (here without netcat) |
//! | `alice> text` | she types this |
//! | `alice: text` | the next line that she sees |
//! | `server: text` | the next line of the server's log |
//!
//! Nobody sees anything but these lines, and nothing comes after the last one. Dates, times, addresses and
//! ports differ from run to run, so in the log their shapes are compared. A machine may have any number of
//! addresses, each with a line about how others reach it; one line stands for all of them.

use crate::{files, read};
use chat_test_support::{DEADLINE, Person, ServerProcess, chat_server};
use rustix::process::Signal;
use std::collections::HashMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

#[test]
fn every_transcript_is_what_really_happens() {
    let mut played = 0;
    for path in [vec!["README.md".into()], files("src", "md"), files("src", "rs")].concat() {
        for transcript in transcripts(&read(&path)) {
            play(&transcript).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
            played += 1;
        }
    }
    assert!(played > 0, "the README has a transcript");
}

/// The transcripts in a text in Markdown, or in the documentation of Rust code.
fn transcripts(text: &str) -> Vec<String> {
    let without_sign = |line: &str| {
        let line = line.trim_start();
        let signs = ["//! ", "/// ", "//!", "///"];
        signs.iter().find_map(|sign| line.strip_prefix(sign)).unwrap_or(line).to_owned() + "\n"
    };
    let text: String = text.lines().map(without_sign).collect();
    let blocks = text.split("\n```text\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    let starts = |block: &&str| block.lines().next().is_some_and(|line| line.contains("$ chat-server"));
    blocks.map(|(block, _)| block).filter(starts).map(str::to_owned).collect()
}

/// Plays a transcript. If reality differs, says where and how.
fn play(transcript: &str) -> Result<(), String> {
    let (mut lines, mut people) = (transcript.lines(), HashMap::new());
    let first = lines.next().and_then(step).ok_or("a transcript starts with the server")?;
    let (server_name, mut server) = (first.0, starts(first.2));
    let mut log = std::mem::take(&mut server.first_lines).into_iter();
    let (mut unseen, mut invited) = (None::<&str>, false);
    for line in lines {
        let (name, mark, text) = step(line).ok_or(format!("this is no line of a transcript: {line}"))?;
        if mark != ": " {
            // Otherwise chance decides what is first.
            let other = unseen.replace(name).filter(|other| *other != name);
            if let Some(other) = other {
                return Err(format!("before {line:?} it must be seen what {other} did"));
            }
        }
        match mark {
            "$ " => drop(people.insert(name, Person::connect(server.address))),
            "> " => people.get_mut(name).ok_or(format!("who is {name}?"))?.says(text),
            _ => {
                unseen = None;
                let (seen, same) = if name == server_name {
                    let mut next = || log.next().or_else(|| server.log.recv_timeout(DEADLINE).ok());
                    let mut seen = next();
                    while invited && seen.as_deref().is_some_and(is_invitation) {
                        seen = next();
                    }
                    invited = seen.as_deref().is_some_and(is_invitation);
                    let same = seen.as_ref().is_some_and(|seen| shape_of_log(seen) == shape_of_log(text));
                    (seen, same)
                } else {
                    let seen = people.get_mut(name).ok_or(format!("who is {name}?"))?.next_line();
                    let same = seen.as_deref() == Some(text);
                    (seen, same)
                };
                if !same {
                    return Err(format!("{name} should see\n  {text}\nand really sees\n  {seen:?}"));
                }
            }
        }
    }
    ends(server, people)
}

/// The server stops, and all that each person still sees is that.
fn ends(mut server: ServerProcess, mut people: HashMap<&str, Person>) -> Result<(), String> {
    for (name, person) in &mut people {
        answers_all(name, person)?;
    }
    server.signal(Signal::TERM);
    for (name, mut person) in people {
        let rest = person.reads_to_the_end();
        if rest.iter().any(|line| line != "*** The server is shutting down. Goodbye!") {
            return Err(format!("{name} also sees {rest:?}"));
        }
    }
    let next = server.log.recv_timeout(DEADLINE).unwrap_or_default();
    if !next.contains("shutting down") {
        return Err(format!("the log also has\n  {next}"));
    }
    if server.exit_code() == Some(0) { Ok(()) } else { Err("the server did not end well".to_owned()) }
}

/// Waits until the server has answered all that this person typed: it answers one more command, and nothing
/// comes before that answer. Nothing is left to wait for where the conversation is over.
fn answers_all(name: &str, person: &mut Person) -> Result<(), String> {
    if let Some(mut socket) = person.socket.as_ref() {
        let _ = socket.write_all(b"/echo on\n");
    }
    match person.next_line() {
        Some(line) if line.starts_with("*** Echo is on") => Ok(()),
        None => Ok(()),
        Some(line) => Err(format!("{name} also sees {line:?}")),
    }
}

/// A name, then `$ ` for starts, `> ` for types or `: ` for sees, and the rest.
fn step(line: &str) -> Option<(&str, &str, &str)> {
    let end = line.find(|c: char| !c.is_alphanumeric()).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at(end);
    let (mark, text) = rest.split_at_checked(2)?;
    ["$ ", "> ", ": "].contains(&mark).then_some((name, mark, text))
}

/// Starts a server with the flags in this command, on any free port.
fn starts(command: &str) -> ServerProcess {
    let mut words: Vec<_> = command.split(' ').skip(1).collect();
    let mut listen = "127.0.0.1:0";
    if let Some(at) = words.iter().position(|word| *word == "--listen") {
        let asked = words.drain(at..at + 2).next_back();
        if asked.is_some_and(|asked| asked.starts_with("0.0.0.0:")) {
            listen = "0.0.0.0:0";
        }
    }
    // The log must not depend on how many files may be open here.
    let mut program = chat_server();
    ServerProcess::spawn(program.args(["--listen", listen]).args(words).env("CHAT_MAX_CLIENTS", "100"))
}

/// Whether a line of the log says how clients reach one address of this machine, or that they cannot.
fn is_invitation(line: &str) -> bool {
    let beginnings = ["Others connect with: nc ", "Others are refused at ", "On this machine: nc "];
    line.split_once("[INFO] ").is_some_and(|(_, text)| beginnings.iter().any(|it| text.starts_with(it)))
}

/// The beginning of each line of the log.
const STAMP: &str = "2026-11-24 14:03:12+01:00 [INFO] ";

/// A line of the log without the parts that differ from run to run.
fn shape_of_log(line: &str) -> String {
    let line = if is_invitation(line) { &line[..STAMP.len()] } else { line };
    // This machine may be on more networks.
    let local = "Who may connect: this machine, local networks";
    let line = line.find(local).map_or(line, |at| &line[..at + local.len()]);
    let words: Vec<&str> = line.split(' ').collect();
    let shape_of = |at: usize| {
        let word = words[at].trim_matches(['(', ')', ',']);
        let is_number = word.parse::<u64>().is_ok();
        match at {
            0 | 1 => words[at].replace(|c: char| c.is_ascii_digit(), "0").replace('-', "+"),
            _ if word.parse::<SocketAddr>().is_ok() || word.parse::<IpAddr>().is_ok() => {
                words[at].replace(word, "ADDRESS")
            }
            _ if is_number && (words[at - 1] == "after" || words[at - 2] == "nc") => "NUMBER".to_owned(),
            _ => words[at].to_owned(),
        }
    };
    (0..words.len()).map(shape_of).collect::<Vec<_>>().join(" ")
}

/// A transcript that is true.
const TRUE: &str = "\
server$ chat-server --listen 0.0.0.0:12345 --allow 127.0.0.0/8
server: 2026-11-24 14:03:12+01:00 [INFO] Chat server started...
server: 2026-11-24 14:03:12+01:00 [INFO] Listening on 0.0.0.0:12345
server: 2026-11-24 14:03:12+01:00 [INFO] Others connect with: nc 192.168.1.20 12345 (eth0)
server: 2026-11-24 14:03:12+01:00 [INFO] Who may connect: 127.0.0.0/8
alice$ nc 192.168.1.20 12345
server: 2026-11-24 14:03:20+01:00 [INFO] client 1 connected from 192.168.1.21:50210
alice: *** Welcome to chat-server! You are guest1.
alice: *** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.
alice: *** 1 here: guest1
alice> hello
alice: <guest1> hello
server: 2026-11-24 14:05:20+01:00 [INFO] guest1: hello
alice> /list
alice: *** 1 here: guest1";

#[test]
fn a_true_transcript_passes_and_every_change_to_it_fails() {
    play(TRUE).unwrap();
    for (what, instead, complaint) in [
        ("<guest1> hello", "<guest1> hullo", "alice should see\n  <guest1> hullo\nand really sees"),
        ("alice: *** 1 here: guest1\n", "", "alice should see\n  <guest1> hello\nand really sees"),
        ("alice: <guest1> hello\n", "", "alice should see"),
        ("\nalice: *** 1 here: guest1", "", "alice also sees"),
        ("[INFO] guest1: hello", "guest1: hello", "server should see"),
        ("2026-11-24 14:05:20", "24.11.2026 14:05:20", "server should see"),
        ("from 192.168.1.21:50210", "from alice", "server should see"),
        ("Others connect with: nc", "Others dance with: nc", "server should see"),
        ("connect: 127.0.0.0/8", "connect: 10.0.0.0/8", "server should see"),
        ("alice> hello", "alice hello", "this is no line of a transcript"),
        ("alice> hello\n", "alice> hello\nbob$ nc HOST 1\n", "it must be seen what alice did"),
    ] {
        let changed = if what.starts_with('\n') {
            TRUE.strip_suffix(what).expect(what).to_owned()
        } else {
            TRUE.replacen(what, instead, 1)
        };
        assert_ne!(changed, TRUE, "{what:?} is not there");
        let why = play(&changed).expect_err(what);
        assert!(why.contains(complaint), "{what:?}: {why}");
    }
}

#[test]
fn transcripts_are_found_in_markdown_and_in_documentation() {
    let rust = "//! Words\n//! ```text\n//! server$ chat-server\n//! ```\n/// ```text\n/// a diagram\n/// ```\nfn main() {}\n";
    assert_eq!(transcripts(rust), ["server$ chat-server"]);
    let markdown =
        "# A\n```text\nno transcript\n```\n\n```sh\nmake run\n```\n```text\ns$ chat-server\ns: hi\n```\n";
    assert_eq!(transcripts(markdown), ["s$ chat-server\ns: hi"]);
}
