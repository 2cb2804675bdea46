//! What one person with a real program does, and what the others see.

use crate::programs::Program;
use chat_server::Config;
use chat_test_support::{PRESS_ENTER, Person, ServerProcess, TestServer, program, test_config};
use libtest_mimic::Failed;
use rustix::process::Signal;
use std::fs::{File, OpenOptions, remove_file};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// bob with this program talks to alice with a bare socket, and leaves with /quit.
pub fn converses(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    bob.says("/nick bob");
    alice.sees("*** bob joined");
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

/// The program is killed, and the room notices.
pub fn is_killed(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.kill_group();
    alice.sees_next("*** guest2 left");
    Ok(())
}

/// `printf 'build 42 is green\n' | nc …` both speaks and sees its copy, and ends by itself.
pub fn speaks_from_a_pipe(program: &Program) -> Result<(), Failed> {
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

/// The program is gone before it has read anything, and its line is heard all the same, each time.
pub fn is_heard_though_it_is_gone(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    for round in 0..20 {
        let mut script = Person::with_program(&mut program.command(&server));
        script.says(&format!("build {round} is green"));
        script.ends_input();
        alice.sees_one_that(|line| line.ends_with(&format!("> build {round} is green")));
        script.waits_for_the_prompt();
    }
    Ok(())
}

/// The server goes away, and the program does too or at least says so.
pub fn sees_the_goodbye(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    server.stop();
    bob.sees("*** The server is shutting down. Goodbye!");
    server.join()?;
    Ok(())
}

/// A terminal stopped with Ctrl-Z or Ctrl-S: nobody else notices until too much is
/// waiting, and then all are told.
pub fn is_stopped(program: &Program) -> Result<(), Failed> {
    let server = TestServer::with(Config { max_backlog: 32 * 1024, ..test_config() });
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.signal_group(Signal::STOP);
    let line = "x".repeat(4000);
    loop {
        alice.says(&line);
        let seen = alice.next_line().expect("alice stays");
        if seen == "*** guest2 left (too slow: too much was waiting to be read)" {
            break;
        }
        assert_eq!(seen, format!("<alice> {line}"));
    }
    bob.signal_group(Signal::CONT);
    Ok(())
}

/// Ctrl-C in telnet is a command of its own (RFC 854). It leaves, as it does in the others.
pub fn is_interrupted(telnet: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::with_program(&mut telnet.command(&server));
    bob.sees_welcome();
    bob.says("/list");
    alice.sees("*** guest2 joined");
    bob.signal_group(Signal::INT);
    alice.sees_next("*** guest2 left");
    bob.reads_to_the_end();
    Ok(())
}

/// Waits until the program has ended, after this last line. The keyboard is still there, and nobody types,
/// but to two programs that notice the end only when they cannot send any more: there a person presses Enter.
fn has_the_prompt_after(mut bob: Person, last: &str, program: &Program) {
    bob.sees(last);
    if ["ncat", "plink.raw"].contains(&program.name) {
        bob.presses_enter_until_the_prompt();
    }
    bob.waits_for_the_prompt();
}

/// After /quit the shell has its prompt back: at once, or after a second by a reset
/// (OpenBSD's `nc`), or with Enter.
pub fn has_the_prompt_after_quit(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    bob.says("/quit");
    has_the_prompt_after(bob, PRESS_ENTER, program);
    Ok(())
}

/// After a kick too. The operator's commands come from a FIFO, as in a service.
pub fn has_the_prompt_after_a_kick(program: &Program) -> Result<(), Failed> {
    let (server, mut operator) = server_with_fifo(program.name);
    let mut bob = Person::with_program(&mut program.command_for(server.address));
    bob.sees_welcome();
    bob.takes_name("bob");
    operator.write_all(b"/kick bob\n")?;
    bob.sees("!!! You have been sent away by the operator.");
    has_the_prompt_after(bob, PRESS_ENTER, program);
    Ok(())
}

/// And after the goodbye.
pub fn has_the_prompt_after_a_stop(program: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut bob = Person::with_program(&mut program.command(&server));
    bob.sees_welcome();
    server.stop();
    has_the_prompt_after(bob, PRESS_ENTER, program);
    server.join()?;
    Ok(())
}

/// A server whose console is a FIFO, and the end of it into which the operator types.
fn server_with_fifo(name: &str) -> (ServerProcess, File) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo is part of every system");
    assert!(made.success(), "{}", path.display());
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" --listen 127.0.0.1:0 --console <>\"$1\""]).arg(program()).arg(&path);
    let server = ServerProcess::spawn(shell.stdout(Stdio::null()));
    let keyboard = OpenOptions::new().write(true).open(&path).unwrap();
    remove_file(&path).unwrap(); // Both ends are open.
    (server, keyboard)
}

/// A browser is told that this is no web server.
pub fn is_told_so(curl: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let seen = Person::with_program(&mut curl.command(&server)).reads_to_the_end();
    let last = seen.last().expect("an answer");
    assert_eq!(last, "!!! This is a chat server and does not speak HTTP. Use netcat: nc HOST PORT");
    alice.says("did you see anyone?");
    alice.sees_next("<alice> did you see anyone?");
    Ok(())
}
