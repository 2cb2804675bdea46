//! Programs at a terminal: what its keys become on their way to the server.

use crate::programs::Program;
use chat_test_support::{Person, TestServer};
use libtest_mimic::Failed;

/// A terminal without line editing, which sends each key: Enter as CR, and a correction as DEL.
pub fn sends_each_key(socat: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::at_terminal(&socat.command_for(server.address));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.sends(b"/nick bob\r");
    alice.sees_next("*** guest2 is now bob");
    bob.sends("hellö\x7fo\r".as_bytes());
    alice.sees_next("<bob> hello");
    bob.sees_next("*** guest2 is now bob");
    bob.sees_next("<bob> hello");
    bob.sends(b"\x7f\x7f/msg alice psst\r");
    alice.sees_next("[bob -> you] psst");
    bob.sees_next("[you -> alice] psst");
    bob.sends(b"\x04"); // Ctrl-D
    alice.sees_next("*** bob left");
    bob.waits_for_the_prompt();
    Ok(())
}

/// Telnet that sends each key, and Enter as CR NUL (RFC 854).
pub fn sends_each_key_of_telnet(telnet: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::at_terminal(&telnet.command_for(server.address));
    bob.sees_welcome();
    alice.sees("*** guest2 joined");
    bob.sends(b"\x1d"); // Ctrl-], which goes to telnet's own prompt.
    bob.sees("^]");
    bob.sends(b"mode character\rhi\r");
    alice.sees_next("<guest2> hi"); // Now telnet has obeyed.
    bob.sees_one_that(|line| line.ends_with("<guest2> hi")); // Perhaps behind telnet's own prompt.
    bob.sends(b"hullo\x7f\x7f\x7f\x7fello\r");
    alice.sees_next("<guest2> hello");
    // The terminal shows no key by itself: so it edits no line either, and the keys are sent as they are.
    bob.sees_next("<guest2> hello");
    bob.sends(b"/msg alice psst\r");
    alice.sees_next("[guest2 -> you] psst");
    bob.sees_next("[you -> alice] psst");
    bob.sends(b"\x04");
    alice.sees_next("*** guest2 left");
    bob.waits_for_the_prompt();
    Ok(())
}

/// A line that is being typed survives the lines that come meanwhile.
pub fn keeps_the_line_being_typed(rlwrap: &Program) -> Result<(), Failed> {
    let server = TestServer::start();
    let mut alice = server.person("alice");
    let mut bob = Person::at_terminal(&rlwrap.command_for(server.address));
    bob.sees_one_that(|line| line.contains("*** 2 here: alice, guest2"));
    bob.sends(b"half a ");
    alice.sees("*** guest2 joined");
    alice.says("do not let me disturb you");
    bob.sees_one_that(|line| line.contains("<alice> do not let me disturb you"));
    bob.sends(b"lime\x7f\x7fne\r");
    alice.sees("<guest2> half a line");
    bob.sends(b"/quit\r");
    alice.sees("*** guest2 left");
    bob.waits_for_the_prompt();
    Ok(())
}
