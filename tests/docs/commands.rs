//! The tables of commands and flags, in README.md and on the page about running the server.

use crate::{code_in, page, read, table_after};
use chat_test_support::{DEADLINE, Person, TestServer, chat_server, lines_of};
use std::io::Write;
use std::process::Stdio;

/// The lines that a server answers `/help` with.
fn help() -> Vec<String> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    alice.says("/help");
    alice.says("that was all");
    alice.reads_until(|line| line.ends_with("that was all"))
}

#[test]
fn the_table_of_commands_and_the_help_have_the_same() {
    let (help, table) = (help(), table_after(&read("README.md"), "## What you can type"));
    let commands: Vec<Vec<&str>> =
        table.iter().map(|row| code_in(&row[0])).filter(|usages| !usages.is_empty()).collect();
    for usages in &commands {
        let line = help.iter().find(|line| line.starts_with(&format!("***   {} ", usages[0])));
        let line = line.unwrap_or_else(|| panic!("/help does not have {}", usages[0]));
        let also = line.split_once("(also ").map_or("", |(_, also)| also.trim_end_matches(')'));
        assert_eq!(also, usages[1..].join(", "), "other words for {}", usages[0]);
    }
    for line in help.iter().filter_map(|line| line.strip_prefix("***   ")) {
        let is_there = commands.iter().any(|usages| line.starts_with(&format!("{} ", usages[0])));
        assert!(is_there, "the README does not have {line}");
    }
}

/// A line as the table shows it, and to whom.
struct Shown {
    to_author: bool,
    to_other: bool,
    line: String,
}

/// The lines that a cell shows, such as "NAME sees `[alice -> you] TEXT`, you see `[you -> NAME] TEXT`".
fn shown_in(cell: &str) -> Vec<Shown> {
    let parts: Vec<_> = cell.split('`').collect();
    let lines = parts.chunks(2).filter(|pair| pair.len() == 2 && pair[1].starts_with(['<', '[', '*']));
    lines
        .map(|pair| {
            let everyone = pair[0].starts_with("everyone");
            let to_other = everyone || pair[0].ends_with("NAME sees ");
            let to_author = everyone || !to_other;
            Shown { to_author, to_other, line: pair[1].to_owned() }
        })
        .collect()
}

/// Is this a line as it is shown, perhaps with any time for `[HH:MM]`?
fn is_shown(line: &str, shown: &str) -> bool {
    let time = || {
        line.split_at_checked("[14:03] ".len())
            .map(|(time, _)| time.replace(|c: char| c.is_ascii_digit(), "0"))
    };
    if shown == "[HH:MM]" { time().is_some_and(|time| time == "[00:00] ") } else { line == shown }
}

/// Plays one row of the table: alice types what it says, and it must have the effect that it shows. bob is
/// the other one, and NAME.
fn plays(row: &[String]) -> usize {
    let shown = shown_in(&row[1]);
    let server = TestServer::start();
    let mut author = server.guest();
    // Only the example of a new name has the author as a guest.
    let name = if shown.iter().any(|shown| shown.line.contains("guest1")) { "alice" } else { "bob" };
    if name == "bob" {
        author.takes_name("alice");
    }
    let mut other = server.person("bob");
    author.sees("*** bob joined");
    let typed = code_in(&row[0]).first().map_or("text", |usage| *usage).replace("on|off", "on");
    author.says(&typed.replace("NAME", name).replace(['[', ']'], ""));
    for Shown { to_author, to_other, line } in &shown {
        let line = line.replace("NAME", name);
        let expects = |person: &mut Person| {
            let next = person.next_line().unwrap_or_default();
            assert!(is_shown(&next, &line), "{} sees {next:?}, and the README says {line:?}", person.name);
        };
        if *to_author {
            expects(&mut author);
        }
        if *to_other {
            expects(&mut other);
        }
    }
    shown.len()
}

#[test]
fn the_table_of_commands_shows_what_people_see() {
    let table = table_after(&read("README.md"), "## What you can type");
    let lines: usize = table.iter().map(|row| plays(row)).sum();
    assert!(lines >= 7, "only {lines} lines are shown");
}

#[test]
#[should_panic(expected = "and the README says \"* alice: TEXT\"")]
fn another_line_than_the_table_shows_is_noticed() {
    plays(&["`/me TEXT`", "everyone sees `* alice: TEXT`"].map(str::to_owned));
}

/// Runs the program with the flag `--help`.
fn flags_help() -> String {
    let output = chat_server().arg("--help").output().expect("the program starts");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_table_of_flags_and_the_help_have_the_same() {
    let help = flags_help();
    let table = table_after(&page("running.md"), "## Flags");
    let options: Vec<&str> =
        help.lines().filter(|line| line.contains(" --") && line.starts_with(' ')).collect();
    let flag_of =
        |line: &str| line.split_whitespace().find(|word| word.starts_with("--")).unwrap().to_owned();
    let mut flags: Vec<String> =
        options.iter().filter(|line| !line.contains("chat-server")).map(|line| flag_of(line)).collect();
    let mut said: Vec<String> =
        table.iter().flat_map(|row| code_in(&row[0]).into_iter().map(flag_of).collect::<Vec<_>>()).collect();
    flags.sort();
    said.sort();
    assert_eq!(said, flags);
    for row in &table {
        let flags: Vec<_> = code_in(&row[0]).into_iter().map(flag_of).collect();
        for flag in flags {
            let option = options.iter().find(|line| line.contains(&format!("{flag} "))).unwrap_or(&"");
            let default =
                option.rsplit_once("[default: ").map_or("", |(_, rest)| rest.split(']').next().unwrap());
            if default.parse::<usize>().is_ok() {
                assert!(row[1].contains(default), "{flag} has the default {default}, not {}", row[1]);
            }
        }
    }
}

#[test]
fn the_table_of_the_operators_commands_and_the_help_have_the_same() {
    let mut command = chat_server();
    command.args(["--listen", "127.0.0.1:0", "--console"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.stderr(Stdio::null()).spawn().expect("the program starts");
    let screen = lines_of(server.stdout.take().unwrap());
    let mut keyboard = server.stdin.take().unwrap();
    keyboard.write_all(b"/help\n").unwrap();
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| line.contains("//text")) {
        lines.push(screen.recv_timeout(DEADLINE).expect("the help ends with //text"));
    }
    keyboard.write_all(b"/stop\n").unwrap();
    server.wait().unwrap();
    let mut help: Vec<_> = lines.iter().flat_map(|line| commands_in(line)).collect();
    let table = table_after(&page("running.md"), "## At the server's keyboard");
    let mut said: Vec<_> = table.iter().flat_map(|row| code_in(&row[0])).flat_map(commands_in).collect();
    help.sort();
    said.sort();
    assert!(help.len() > 4, "{lines:#?}");
    assert_eq!(said, help);
}

/// The commands at the beginning of a line of help, each with what follows it in capitals.
fn commands_in(line: &str) -> Vec<String> {
    let line = line.trim_start_matches(['*', ' ']);
    if !line.starts_with('/') {
        return Vec::new();
    }
    let is_argument = |word: &&str| word.chars().all(|c| c.is_uppercase() || "[]|".contains(c));
    let words: Vec<&str> = line.split_whitespace().collect();
    let arguments: Vec<&str> = words[1..].iter().copied().take_while(is_argument).collect();
    vec![[&words[..1], &arguments].concat().join(" ")]
}
