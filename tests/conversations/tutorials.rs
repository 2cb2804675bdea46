//! The mistakes of the tutorials, for the side-by-side page. Each is modelled in a few lines, which make
//! the accident happen every time. Next to it the same thing is done to our server, in a test that begins with `here`.

use chat_server::Config;
use chat_test_support::{DEADLINE, Person, TestServer, stalled_reader, test_config};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::slice;
use std::sync::{Barrier, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A conversation without the chat: a greeting, and then everything comes back.
fn converse(socket: TcpStream) {
    let _ = writeln!(&socket, "welcome");
    for line in BufReader::new(&socket).lines().map_while(Result::ok) {
        let _ = writeln!(&socket, "{line}");
    }
}

/// A fixed pool: each of its threads takes a connection, and keeps to it until it ends.
fn pool_of(threads: usize) -> Sender<TcpStream> {
    let (queue, accepted) = unbounded();
    for _ in 0..threads {
        let accepted: Receiver<TcpStream> = accepted.clone();
        thread::spawn(move || accepted.iter().for_each(converse));
    }
    queue
}

#[test]
fn in_a_pool_of_ten_threads_the_eleventh_client_is_not_even_greeted() {
    let (listener, pool) = (TcpListener::bind("127.0.0.1:0").unwrap(), pool_of(10));
    let address = listener.local_addr().unwrap();
    let accept = || pool.send(listener.accept().unwrap().0).unwrap();

    let connect = |_| {
        let person = Person::connect(address);
        accept();
        person
    };
    let mut ten: Vec<Person> = (0..10).map(connect).collect();
    ten.iter_mut().for_each(|person| person.sees_next("welcome"));
    let eleventh = TcpStream::connect(address).unwrap();
    accept();
    for person in &mut ten {
        person.says("I am served all the time.");
        person.sees_next("I am served all the time.");
    }
    eleventh.set_nonblocking(true).unwrap();
    let nothing = eleventh.peek(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);

    drop(ten.pop()); // Only now a thread is free.
    eleventh.set_nonblocking(false).unwrap();
    eleventh.set_read_timeout(Some(DEADLINE)).unwrap();
    let greeting = BufReader::new(eleventh).lines().next().unwrap();
    assert_eq!(greeting.unwrap(), "welcome");
}

#[test]
fn here_the_eleventh_client_is_greeted_or_told_why_not_at_once() {
    let server = TestServer::start();
    let mut eleven: Vec<Person> = (0..11).map(|_| server.guest()).collect();
    eleven[10].says("I am here.");
    eleven[0].sees("<guest11> I am here.");

    let max_clients = 10;
    let server = TestServer::with(Config { max_clients, ..test_config() });
    let _ten: Vec<Person> = (0..10).map(|_| server.guest()).collect();
    assert_eq!(
        Person::connect(server.address).reads_to_the_end(),
        ["!!! Sorry, the server is full; please try again later."]
    );
}

/// Each line is safe, as with a `ConcurrentHashMap`. Together they are not.
fn take_name(names: &Mutex<HashSet<String>>, name: &str, meanwhile: impl FnOnce()) -> bool {
    if names.lock().unwrap().contains(name) {
        return false;
    }
    meanwhile(); // Any other thread may run here.
    names.lock().unwrap().insert(name.to_owned());
    true
}

#[test]
fn check_then_act_gives_one_name_to_two_clients() {
    let (names, both_have_checked) = (Mutex::default(), Barrier::new(2));
    let meanwhile = || {
        both_have_checked.wait();
    };
    let take = || take_name(&names, "alice", meanwhile);
    let has_it =
        thread::scope(|scope| [scope.spawn(take), scope.spawn(take)].map(|client| client.join().unwrap()));
    assert_eq!(has_it, [true, true]);
}

#[test]
fn here_one_of_ten_gets_the_name_and_nine_are_told_so() {
    let server = TestServer::start();
    let mut guests: Vec<Person> = (0..10).map(|_| server.guest()).collect();
    let all_at_once = Barrier::new(guests.len());
    let has_it = |guest: &mut Person| {
        let mine = format!("*** {} is now alice", guest.name);
        all_at_once.wait();
        guest.says("/nick alice");
        let answer = |line: &str| line == mine || line.starts_with("!!! alice is taken");
        guest.sees_one_that(answer) == mine
    };
    let winners = thread::scope(|scope| {
        let race = guests.iter_mut().map(|guest| scope.spawn(|| has_it(guest)));
        let race: Vec<_> = race.collect();
        race.into_iter().filter_map(|guest| guest.join().unwrap().then_some(())).count()
    });
    assert_eq!(winners, 1);
}

/// Writes to everyone, for as long as that takes. Others who have something to say wait for the lock.
fn broadcast(writers: &Mutex<Vec<TcpStream>>, line: &str) -> io::Result<()> {
    for writer in writers.lock().unwrap().iter_mut() {
        writer.write_all(line.as_bytes())?;
    }
    Ok(())
}

#[test]
fn where_writes_wait_one_reader_who_stalls_stops_the_room() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stalled = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let to_stalled = listener.accept().unwrap().0;
    let mut reader = Person::connect(listener.local_addr().unwrap());
    let to_reader = listener.accept().unwrap().0;

    // So that it does not take megabytes until it has to wait; and the wait ends, so that we can see it.
    set_socket_recv_buffer_size(&stalled, 16 * 1024).unwrap();
    set_socket_send_buffer_size(&to_stalled, 16 * 1024).unwrap();
    let waited = Some(Duration::from_millis(200));
    to_stalled.set_write_timeout(waited).unwrap();

    let writers = Mutex::new(vec![to_stalled, to_reader]);
    let line = "x".repeat(4000);
    let timeout = loop {
        match broadcast(&writers, &format!("{line}\n")) {
            Ok(()) => reader.sees_next(&line),
            Err(error) => break error,
        }
    };
    assert_eq!(timeout.kind(), ErrorKind::WouldBlock);
    drop(writers);
    assert!(
        reader.reads_to_the_end().is_empty(),
        "the one who reads did not get what the other did not read"
    );
}

/// Alice speaks until the room is told that a reader was too slow, and all the `others` get every line of hers. How
/// many bytes that took.
fn speaks_until_one_is_cut_off(alice: &mut Person, others: &mut [Person]) -> usize {
    let mut bytes = 0;
    for n in 0.. {
        let line = format!("{n} {}", "x".repeat(4000));
        alice.says(&line);
        let said = format!("<alice> {line}");
        for person in &mut *others {
            person.sees(&said);
        }
        let heard = alice.reads_until(|line| line == said);
        if heard.iter().any(|line| line.contains(" left (too slow: ")) {
            break;
        }
        bytes += said.len() + 1;
    }
    bytes
}

#[test]
fn here_everybody_else_hears_every_line_and_who_stalls_is_cut_off() {
    let server = TestServer::start();
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    let _stalled = stalled_reader(server.address);
    alice.sees("*** guest3 joined");
    speaks_until_one_is_cut_off(&mut alice, slice::from_mut(&mut bob));
    alice.says("/list");
    alice.sees("*** 2 here: alice, bob");
}

/// A delivery on its own, like `(go (>! receiver line))`. The scheduler decides when it runs.
fn deliver(line: &'static str, to: &Sender<&'static str>, its_turn: Receiver<()>) -> JoinHandle<()> {
    let receiver = to.clone();
    thread::spawn(move || {
        let _ = its_turn.recv();
        let _ = receiver.send(line);
    })
}

#[test]
fn with_a_go_block_per_message_and_receiver_the_last_word_can_come_first() {
    let (alice, bobs_screen) = bounded(2);
    let [first, last] = [(); 2].map(|()| bounded(0));
    let first_delivery = deliver("the first word", &alice, first.1);
    let last_delivery = deliver("the last word", &alice, last.1);
    // A scheduler may let the last one run first, and here it does.
    drop(last.0);
    last_delivery.join().unwrap();
    drop(first.0);
    first_delivery.join().unwrap();
    let seen: Vec<_> = bobs_screen.try_iter().collect();
    assert_eq!(seen, ["the last word", "the first word"]);
}

#[test]
fn here_there_is_one_order_and_it_is_the_same_for_all() {
    let server = TestServer::start();
    let mut people = ["alice", "bob", "carol"].map(|name| server.person(name));
    people[0].sees("*** guest3 is now carol");
    people[1].sees("*** guest3 is now carol");
    let lines = 300;
    thread::scope(|scope| {
        for person in &mut people[..2] {
            scope.spawn(move || (0..lines).for_each(|n| person.says(&n.to_string())));
        }
    });
    let [alice, bob, carol] =
        people.map(|mut person| (0..2 * lines).map(|_| person.next_line()).collect::<Vec<_>>());
    assert!(alice == bob && bob == carol);
    let of_alice = carol.iter().flatten();
    let of_alice = of_alice.filter_map(|line| line.strip_prefix("<alice> "));
    let in_order = (0..lines).map(|n| n.to_string());
    assert!(of_alice.eq(in_order));
}

#[test]
fn with_a_go_block_per_message_and_receiver_nothing_bounds_what_waits() {
    let (alice, bob_does_not_read) = bounded(0);
    let said: Vec<_> = (0..100)
        .map(|_| {
            let (turn, its_turn) = bounded(0);
            drop(turn); // It may run at once.
            deliver("hello?", &alice, its_turn)
        })
        .collect();
    // Nobody has read anything, and still alice never had to wait: all her lines are somewhere in memory.
    assert!(said.iter().all(|delivery| !delivery.is_finished()));

    drop(bob_does_not_read);
    said.into_iter().for_each(|line| line.join().unwrap());
}

#[test]
fn here_what_waits_for_one_reader_has_a_bound() {
    let max_backlog = 64 * 1024;
    let server = TestServer::with(Config { max_backlog, ..test_config() });
    let mut alice = server.person("alice");
    let _stalled = stalled_reader(server.address);
    alice.sees("*** guest2 joined");
    let said = speaks_until_one_is_cut_off(&mut alice, &mut []);
    // The kernels of both ends hold a fixed amount besides.
    assert!((max_backlog..max_backlog + 512 * 1024).contains(&said), "{said}");
}

/// A server with a console where its clients' sockets should be.
fn converse_on(console: &mut impl Write, name: &str, socket: TcpStream) {
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        writeln!(console, "<{name}> {line}").unwrap();
    }
}

#[test]
fn a_console_shows_everything_and_the_clients_see_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut console = Vec::new();
    for (name, line) in [("alice", "hello?"), ("bob", "is anybody there?")] {
        let mut person = Person::connect(listener.local_addr().unwrap());
        person.says(line);
        person.ends_input();
        converse_on(&mut console, name, listener.accept().unwrap().0);
        assert!(person.reads_to_the_end().is_empty());
    }
    let shown = String::from_utf8(console).unwrap();
    assert_eq!(shown, "<alice> hello?\n<bob> is anybody there?\n");
}

#[test]
fn here_what_is_said_is_seen_where_people_sit() {
    let server = TestServer::start();
    let (mut alice, mut bob) = (server.person("alice"), server.person("bob"));
    alice.says("hello?");
    alice.sees("<alice> hello?");
    bob.sees_next("<alice> hello?");
    bob.says("here I am.");
    alice.sees_next("<bob> here I am.");
}
