//! The steps of the lesson keep and break what the lesson says, each as a process of its own, over TCP.
//!
//! Nothing here sleeps: a test waits for a line, up to a deadline. One thing can be seen only by
//! waiting for a line that does not come: that a room has stopped. `the_room_has_stopped` says how it
//! is made certain all the same.
//!
//! `cargo test -p chat-steps` runs them.

mod docs;
mod exercises;
mod people;

use people::{DEADLINE, Person, Step};
use rustix::process::Signal;
use std::fs;
use std::io::Read;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

/// How long a test waits for what must not come.
const SILENCE: Duration = Duration::from_secs(1);

const GOODBYE: &str = "*** The server is shutting down. Goodbye!";

/// A room in which bob (guest2) does not read, while alice (guest1) talks and carol (guest3) listens.
struct Room {
    step: Step,
    alice: Person,
    bob: Person,
    carol: Person,
    sent: usize,
}

/// How much alice says at a time.
const PIECE: usize = 64 * 1024;
/// More than all buffers of the kernel between her and bob hold: on Linux 4 MiB for
/// sending, and 6 for receiving.
const MUCH: usize = 20 * 1024 * 1024;

impl Room {
    fn of_step(number: u32) -> Room {
        let step = Step::start(number);
        let mut alice = step.guest();
        let bob = step.guest_with_a_tiny_buffer();
        let carol = step.guest();
        alice.skips_to("*** guest3 joined", DEADLINE);
        Room { step, alice, bob, carol, sent: 0 }
    }

    /// Alice says 64 lines of 1 KiB, and sees the last of them come back. False if it does not.
    ///
    /// She does not go on before that. So an unpaced flood never has an honest reader fall behind.
    fn alice_says_a_piece(&mut self, wait: Duration) -> bool {
        let line = "x".repeat(1023) + "\n";
        self.sent += PIECE;
        self.alice.says(&format!("{}{} bytes", line.repeat(PIECE / 1024 - 1), self.sent));
        self.alice.skips_to(&format!("<guest1> {} bytes", self.sent), wait).1
    }

    fn alice_says_much(&mut self) {
        while self.sent < MUCH {
            assert!(self.alice_says_a_piece(DEADLINE), "the room stopped after {} bytes", self.sent);
            self.carol.skips_to(&format!("<guest1> {} bytes", self.sent), DEADLINE);
        }
    }
}

#[test]
fn step_1_echoes_to_each_client_alone() {
    let step = Step::start(1);
    let (mut alice, mut bob) = (Person::connect(step.address), Person::connect(step.address));
    alice.says("hello");
    alice.sees("Echo: hello");
    step.logs("Received: hello");
    bob.types("last words");
    bob.socket.get_ref().shutdown(Shutdown::Write).unwrap();
    // If he had heard alice, it would be here.
    bob.sees("Echo: last words");
    bob.sees_the_end();
}

#[test]
fn steps_2_to_7_tell_everyone() {
    for number in 2..=7 {
        let step = Step::start(number);
        let mut alice = Person::connect(step.address);
        alice.sees("*** Welcome to chat-server! You are guest1.");
        let help = alice.reads(DEADLINE).unwrap();
        assert!(help.starts_with("*** ") && help.len() <= 80, "{help}");
        alice.sees("*** 1 here: guest1");
        let mut bob = step.guest();
        alice.sees("*** guest2 joined");
        bob.types(" \r\n\nGood morning!\r\n");
        alice.sees("<guest2> Good morning!");
        bob.sees("<guest2> Good morning!");
        bob.types("last words");
        bob.socket.get_ref().shutdown(Shutdown::Write).unwrap();
        alice.sees("<guest2> last words");
        alice.sees("*** guest2 left");
        bob.sees("<guest2> last words");
        bob.sees_the_end();
    }
}

#[test]
fn steps_2_to_7_name_everyone_in_the_welcome() {
    for number in 2..=7 {
        let step = Step::start(number);
        let guests: Vec<_> = (0..8).map(|_| step.guest()).collect();
        let mut last = Person::connect(step.address);
        last.sees("*** Welcome to chat-server! You are guest9.");
        last.reads(DEADLINE);
        last.sees("*** 9 here: guest1, guest2, guest3, guest4, guest5, guest6, guest7, guest8, guest9");
        drop(guests);
    }
}

/// Alice talks until her own words do not come back. Then nobody hears anybody, until bob reads.
#[test]
fn step_2_stops_when_one_reader_stalls() {
    let mut room = Room::of_step(2);
    the_room_has_stopped(&mut room);
    // It was bob, and nothing else: he reads, and all goes on.
    let mut bob = room.bob.socket;
    thread::spawn(move || std::io::copy(&mut bob, &mut std::io::sink()));
    assert!(room.carol.skips_to("<guest3> Is anybody there?", DEADLINE).1);
}

/// On a busy machine a second without a line may be chance. Then the line comes later, and alice goes on. So
/// this ends only when the room stops, or when more than all buffers can hold has passed.
fn the_room_has_stopped(room: &mut Room) {
    while room.sent < MUCH {
        if room.alice_says_a_piece(SILENCE) {
            continue;
        }
        room.carol.says("Is anybody there?");
        if !room.carol.skips_to("<guest3> Is anybody there?", SILENCE).1 {
            return;
        }
    }
    panic!("bob has not read {} bytes, and the room goes on", room.sent);
}

#[test]
fn step_3_goes_on_and_keeps_all_that_a_stalled_reader_has_not_read() {
    let mut room = Room::of_step(3);
    room.alice_says_much();
    if let Some(memory) = room.step.memory() {
        // The kernel holds a part of it.
        assert!(memory * 1024 > MUCH / 2, "{memory} KiB");
    }
    room.bob.skips_to("*** guest3 joined", DEADLINE);
    let (bytes, _) = room.bob.skips_to(&format!("<guest1> {} bytes", room.sent), DEADLINE);
    assert!(bytes > MUCH / 10 * 9, "all of it was waiting for bob: {bytes} bytes");
}

#[test]
fn steps_4_to_7_have_names_and_commands_and_a_log() {
    for number in 4..=7 {
        let step = Step::start(number);
        let mut alice = step.guest();
        step.logs("client 1 connected");
        alice.says("/nick Alice");
        alice.sees("*** guest1 is now Alice");
        step.logs("client 1 (guest1) is now Alice");
        let mut bob = step.guest();
        step.logs("client 2 connected");
        alice.sees("*** guest2 joined");
        bob.says("/nick aLICE");
        bob.sees("!!! aLICE is taken. Please pick another name.");
        for name in ["", "b b", "<bob>", "b-b", "abcdefghijklmnopqrstu"] {
            bob.says(&format!("/nick {name}"));
            bob.sees("!!! A name is 1 to 20 letters and digits.");
        }
        bob.says("/nick bob");
        bob.sees("*** guest2 is now bob");
        step.logs("client 2 (guest2) is now bob");
        alice.sees("*** guest2 is now bob");
        bob.says("/list");
        bob.sees("*** 2 here: Alice, bob");
        bob.says("/msg alice psst");
        bob.sees("[you -> Alice] psst");
        alice.sees("[bob -> you] psst");
        step.logs("bob wrote to Alice privately");
        bob.says("/msg carol psst");
        bob.sees("!!! No one here is called carol. /list shows who is here.");
        bob.says("/mgs alice psst");
        assert!(bob.reads(DEADLINE).unwrap().starts_with("!!! There is no command /mgs."));
        bob.says("/quit");
        bob.sees_the_end();
        drop(bob);
        // The next line is not a second leave, and nothing of what was private.
        alice.sees("*** bob left");
        step.logs("client 2 (bob) disconnected");
        alice.says("// hello");
        alice.sees("<Alice> // hello");
        step.logs("Alice: // hello");
    }
}

#[test]
fn of_ten_clients_one_gets_the_name() {
    for number in 4..=7 {
        let step = Step::start(number);
        let mut guests: Vec<_> = (0..10).map(|_| step.guest()).collect();
        guests.iter_mut().for_each(|guest| guest.says("/nick alice"));
        let mut refused = 0;
        for guest in &mut guests {
            guest.says("/list");
            let mut list = guest.reads(DEADLINE).unwrap();
            while !list.starts_with("*** 10 here:") {
                refused += usize::from(list.starts_with("!!! alice is taken"));
                list = guest.reads(DEADLINE).unwrap();
            }
            assert_eq!(list.matches("alice").count(), 1, "{list}");
        }
        assert_eq!(refused, 9);
    }
}

#[test]
fn steps_5_to_7_cut_a_stalled_reader_off_and_say_so() {
    for number in 5..=7 {
        let mut room = Room::of_step(number);
        room.alice_says_much();
        for reader in [&room.alice, &room.carol] {
            let told = reader.news.iter().filter(|line| *line == "*** guest2 left (too slow)").count();
            assert_eq!(told, 1, "step {number}: {:?}", reader.news);
        }
        let mut log = String::new();
        while log != "client 2 (guest2) disconnected (too slow)" {
            log = room.step.log.recv_timeout(DEADLINE).expect("the log says why");
        }
        if let Some(memory) = room.step.memory() {
            assert!(memory * 1024 < MUCH / 2, "step {number}: {memory} KiB");
        }
        // What bob can still read is whole: nothing comes after a line that is missing.
        let mut held = Vec::new();
        let _ = room.bob.socket.read_to_end(&mut held); // It may end with a reset.
        let held = String::from_utf8(held).unwrap();
        let pieces = held.lines().filter_map(|line| line.strip_prefix("<guest1> ")?.strip_suffix(" bytes"));
        for (at, piece) in pieces.enumerate() {
            assert_eq!(piece, (PIECE * (at + 1)).to_string(), "step {number}");
        }
        // The kernel of step 7 keeps little for him.
        assert!(number < 7 || held.len() < 1024 * 1024, "{} bytes", held.len());
    }
}

/// They close at once, and read nothing of what the room answers.
#[test]
fn steps_3_to_7_hear_those_who_hang_up_at_once() {
    for number in 3..=7 {
        let step = Step::start(number);
        let mut alice = step.guest();
        for guest in 2..=50 {
            let mut caller = Person::connect(step.address);
            caller.says("one");
            caller.says("two");
            drop(caller);
            for expected in ["*** guest%d joined", "<guest%d> one", "<guest%d> two", "*** guest%d left"] {
                alice.sees(&expected.replace("%d", &guest.to_string()));
            }
        }
    }
}

/// `step_7 | tee log`, and tee ends. The others log nothing but that they have started.
#[test]
fn steps_1_and_4_to_7_go_on_when_nobody_reads_their_log() {
    for number in [1, 4, 5, 6, 7] {
        let mut step = Step::start(number);
        let mut alice = Person::connect(step.address);
        step.loses_its_log(|| alice.says("one"));
        alice.says("two");
        while !alice.reads(DEADLINE).expect("it goes on").ends_with("two") {}
        let mut bob = Person::connect(step.address);
        bob.says("three");
        while !bob.reads(DEADLINE).expect("it lets people in").ends_with("three") {}
        if number == 7 {
            step.is_told(Signal::INT);
            while bob.reads(DEADLINE).expect("it ends").as_str() != GOODBYE {}
            bob.sees_the_end();
        }
    }
}

#[test]
fn step_7_refuses_a_long_line_and_does_not_keep_it() {
    let step = Step::start(7);
    let (mut alice, mut bob) = (step.guest(), step.guest());
    alice.sees("*** guest2 joined");
    let longest = "x".repeat(4096);
    for text in [longest.as_str(), "a b", "\u{e4}"] {
        bob.says(text);
        bob.sees(&format!("<guest2> {text}"));
        alice.sees(&format!("<guest2> {text}"));
    }
    for _ in 0..MUCH / longest.len() {
        bob.types(&longest);
    }
    bob.says("");
    bob.sees("!!! That line was longer than 4096 bytes, so nobody got it.");
    bob.says("hello");
    alice.sees("<guest2> hello");
    if let Some(memory) = step.memory() {
        assert!(memory * 1024 < MUCH / 2, "{memory} KiB");
    }
}

#[test]
fn step_7_says_goodbye_also_when_a_reader_stalls() {
    let mut room = Room::of_step(7);
    // Enough that something waits for bob, and not so much that he is cut off.
    while room.sent < 5 * PIECE {
        assert!(room.alice_says_a_piece(DEADLINE));
    }
    room.carol.skips_to(&format!("<guest1> {} bytes", room.sent), DEADLINE);
    assert_eq!(room.step.terminate(), Some(0));
    for reader in [&mut room.alice, &mut room.carol] {
        reader.sees(GOODBYE);
        reader.sees_the_end();
        assert!(!reader.news.iter().any(|line| line.contains("guest2 left")), "bob was cut off too early");
    }
}

#[test]
fn every_step_has_the_threads_that_the_lesson_says() {
    for (number, own, per_client) in
        [(1, 1, 1), (2, 1, 1), (3, 2, 2), (4, 2, 2), (5, 2, 2), (6, 2, 1), (7, 3, 1)]
    {
        let step = Step::start(number);
        let mut clients: Vec<_> = (0..10).map(|_| Person::connect(step.address)).collect();
        for client in &mut clients {
            client.says("Anything. When it comes back, its threads are there.");
            client.reads(DEADLINE).unwrap();
        }
        if let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", step.child.id())) {
            assert_eq!(tasks.count(), own + 10 * per_client, "step {number}");
        }
    }
}
