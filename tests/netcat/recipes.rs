//! The recipes of the page about scripts, the unit of the page about services, `make demo` and `make lesson`.

use crate::programs::Program;
use chat_test_support::{Person, TestServer, eventually, program};
use libtest_mimic::Failed;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The recipe for scripts that begins with these words, for the server at hand.
fn recipe(server: &TestServer, beginning: &str) -> String {
    let page = include_str!("../../src/guide/scripts.md");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let recipe =
        blocks.into_iter().find(|block| block.starts_with(beginning)).expect("the page has this recipe");
    recipe.replace("HOST 12345", &format!("127.0.0.1 {}", server.address.port()))
}

/// A directory of its own for a recipe, where its files are, and its temporary ones too.
fn directory(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs a recipe in this directory, as a person at a keyboard.
fn shell(script: &str, arguments: &[&str], directory: &Path) -> Person {
    let mut command = Command::new("sh");
    command.args(["-c", script, "recipe"]).args(arguments);
    command.current_dir(directory).env("TMPDIR", directory).process_group(0);
    Person::with_program(&mut command)
}

/// The names of the files that a recipe has left behind. It takes them away.
fn left_behind(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    std::fs::remove_dir_all(directory).unwrap();
    names
}

pub fn for_one_line(_: &Program) -> Result<(), Failed> {
    let (server, directory) = (TestServer::start(), directory("one-line"));
    let mut alice = server.person("alice");
    let mut script = shell(&recipe(&server, "printf '/nick ci"), &[], &directory);
    assert_eq!(script.reads_to_the_end().pop().as_deref(), Some("<ci> build 42 is green"));
    alice.sees("<ci> build 42 is green");
    alice.sees_next("*** ci left");
    script.waits_for_the_prompt();
    assert!(left_behind(&directory).is_empty());
    Ok(())
}

pub fn for_the_end_of_a_job(_: &Program) -> Result<(), Failed> {
    let (server, directory) = (TestServer::start(), directory("job"));
    let mut alice = server.person("alice");
    let script = recipe(&server, "make world").replace("make world;", "(exit 3);");
    let mut script = shell(&script, &[], &directory);
    alice.sees("<make> make world ended with code 3");
    script.waits_for_the_prompt();
    assert!(left_behind(&directory).is_empty());
    Ok(())
}

pub fn for_a_person_with_a_name(_: &Program) -> Result<(), Failed> {
    let (server, directory) = (TestServer::start(), directory("name"));
    let mut alice = server.person("alice");
    let mut person = shell(&recipe(&server, "(echo /nick me"), &[], &directory);
    alice.sees("*** me joined");
    person.says("hello");
    alice.sees_next("<me> hello");
    person.says("/quit");
    alice.sees_next("*** me left");
    person.presses_enter_until_the_prompt(); // `cat` reads on.
    assert!(left_behind(&directory).is_empty());
    Ok(())
}

pub fn for_a_transcript(_: &Program) -> Result<(), Failed> {
    let (server, directory) = (TestServer::start(), directory("transcript"));
    let mut alice = server.person("alice");
    let mut scribe = shell(&recipe(&server, "(dir=$(mktemp"), &[], &directory);
    alice.sees("*** scribe joined");
    alice.says("write this down");
    let file = directory.join("transcript.txt");
    eventually("it is written down", || {
        let transcript = std::fs::read_to_string(&file).unwrap_or_default();
        transcript.lines().any(|line| line.starts_with('[') && line.ends_with("] <alice> write this down"))
    });
    server.stop();
    scribe.waits_for_the_prompt();
    server.join()?;
    assert_eq!(left_behind(&directory), ["transcript.txt"]);
    Ok(())
}

pub fn for_a_bot(_: &Program) -> Result<(), Failed> {
    let (server, directory) = (TestServer::start(), directory("bot"));
    let mut alice = server.person("alice");
    let port = server.address.port().to_string();
    let mut bot = shell(&recipe(&server, "dir=$(mktemp"), &["127.0.0.1", &port], &directory);
    alice.sees("*** clock joined");
    alice.says("what time is it?");
    alice.sees_one_that(|line| line.starts_with("<clock> It is "));
    server.stop();
    bot.waits_for_the_prompt();
    server.join()?;
    assert!(left_behind(&directory).is_empty());
    Ok(())
}

/// The unit file on the page about services is one that systemd accepts.
pub fn unit_file() -> Result<(), Failed> {
    let page = include_str!("../../src/guide/service.md");
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
pub fn demo() -> Result<(), Failed> {
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

/// `make lesson STEP=2` has a server and two people in their panes, and radio's command ready.
pub fn lesson() -> Result<(), Failed> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lesson.sh");
    let mut command = Command::new("sh");
    let output = command.args([script, "2", "127.0.0.1:0"]).stdin(Stdio::null()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let complaint = String::from_utf8(output.stderr)?;
    assert!(output.status.success(), "{text}{complaint}");
    for part in [
        "\nListening on 127.0.0.1:",
        "\n*** guest2 joined\n",
        "\n*** 2 here: guest1, guest2\n",
        "radio$ for i",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    Ok(())
}
