use super::*;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;

const NOW: DateTime = DateTime::ZERO;

/// An audience of `n` and the far ends of their sockets.
fn audience(n: usize, max_backlog: usize) -> (Audience, Vec<(ClientId, BufReader<TcpStream>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut audience = Audience::new(max_backlog);
    let far_ends = (1..=n).map(|n| {
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, peer) = listener.accept().unwrap();
        audience.add(ClientId(n as u64), peer, Arc::new(near), crossbeam_channel::bounded(0).0);
        (ClientId(n as u64), BufReader::new(far))
    });
    let far_ends = far_ends.collect();
    (audience, far_ends)
}

fn next_line(far: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    far.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn each_hears_what_is_for_it_in_the_order_in_which_it_was_said() {
    let (mut audience, mut people) = audience(2, 1000);
    let (alice, bob) = (people[0].0, people[1].0);
    audience.say(Recipients::Everyone, "one", NOW);
    audience.say(Recipients::Only(bob), "for bob", NOW);
    audience.say(Recipients::EveryoneBut(bob), "not for bob", NOW);
    audience.say(Recipients::Only(alice), "for alice", NOW);
    audience.say(Recipients::Everyone, "two", NOW);
    audience.flush();
    let heard = |far: &mut BufReader<TcpStream>, n| (0..n).map(|_| next_line(far)).collect::<Vec<_>>();
    assert_eq!(heard(&mut people[0].1, 4), ["one", "not for bob", "for alice", "two"]);
    assert_eq!(heard(&mut people[1].1, 3), ["one", "for bob", "two"]);
}

#[test]
fn lines_have_their_time_in_front_for_those_who_want_that() {
    let (mut audience, mut people) = audience(2, 1000);
    let (alice, bob) = (people[0].0, people[1].0);
    let (now, today) = (NOW, Some(NOW.date()));
    let tomorrow = "0000-01-02T09:00".parse().unwrap();
    audience.say(Recipients::Everyone, "before", now);
    audience.set_timestamps(bob, today);
    audience.say(Recipients::Only(bob), "yours\nboth", now);
    audience.say(Recipients::Everyone, "after", now);
    audience.say(Recipients::EveryoneBut(bob), "not for bob", now);
    audience.say(Recipients::EveryoneBut(alice), "not for alice", now);
    audience.say(Recipients::Everyone, "a new day", tomorrow);
    audience.set_timestamps(bob, None);
    audience.say(Recipients::Everyone, "plain", now);
    audience.flush();
    let heard = |far: &mut BufReader<TcpStream>, n| (0..n).map(|_| next_line(far)).collect::<Vec<_>>();
    assert_eq!(heard(&mut people[0].1, 5), ["before", "after", "not for bob", "a new day", "plain"]);
    let stamped = [
        "before",
        "[00:00] yours",
        "[00:00] both",
        "[00:00] after",
        "[00:00] not for alice",
        "*** 0000-01-02",
        "[09:00] a new day",
        "plain",
    ];
    assert_eq!(heard(&mut people[1].1, 8), stamped);
}

#[test]
fn a_client_that_leaves_is_not_counted_among_those_who_want_timestamps() {
    let (mut audience, people) = audience(2, 1000);
    for (id, _) in &people {
        audience.set_timestamps(*id, Some(NOW.date()));
        audience.dismiss(*id);
        audience.set_timestamps(*id, Some(NOW.date()));
    }
    audience.say(Recipients::Everyone, "too late", NOW);
    audience.flush();
    assert!(audience.is_empty() && !audience.with_timestamps);
}

#[test]
fn a_client_that_leaves_gets_what_was_said_before_and_then_the_end() {
    let (mut audience, mut people) = audience(2, 1000);
    audience.say(Recipients::Everyone, "before", NOW);
    audience.dismiss(people[0].0);
    audience.say(Recipients::Everyone, "after", NOW);
    audience.dismiss(people[0].0);
    audience.say(Recipients::Only(people[0].0), "too late", NOW);
    assert!(audience.flush().lost.is_empty());
    assert_eq!([(); 2].map(|()| next_line(&mut people[0].1)), ["before", ""]);
    assert_eq!([(); 2].map(|()| next_line(&mut people[1].1)), ["before", "after"]);
    assert!(!audience.is_dirty());
}

#[test]
fn only_a_client_that_does_not_read_is_lost() {
    let (mut audience, mut people) = audience(2, 100_000);
    let (slow, _does_not_read) = people.remove(0);
    let (_, mut reads) = people.remove(0);
    let line = "x".repeat(20_000);
    let lost = (0..10_000).find_map(|_| {
        audience.say(Recipients::Everyone, &line, NOW);
        let lost = audience.flush().lost;
        assert_eq!(next_line(&mut reads), line);
        lost.into_iter().next()
    });
    assert!(matches!(lost, Some((id, Departure::TooSlow(backlog))) if id == slow && backlog > 100_000));
    audience.cut_off(slow);
    assert!(audience.flush().lost.is_empty() && !audience.is_dirty());
}

#[test]
fn lines_to_one_count_as_much_as_lines_to_all() {
    let (mut audience, people) = audience(1, 1000);
    audience.say(Recipients::Only(people[0].0), "12345", NOW);
    assert_eq!(audience.said(), 6);
    audience.say(Recipients::Everyone, "12345", NOW);
    assert!(audience.said() >= 12);
    audience.flush();
    assert_eq!(audience.said(), 0);
}

#[test]
fn a_client_that_leaves_is_not_lost_for_being_behind() {
    let (mut audience, people) = audience(2, 1000);
    let (stays, leaves) = (people[0].0, people[1].0);
    // More than all buffers of the two kernels hold: neither of them reads.
    let much = "x".repeat(20_000_000);
    audience.say(Recipients::Everyone, &much, NOW);
    audience.dismiss(leaves);
    let lost: Vec<_> = audience.flush().lost.into_iter().map(|(id, _)| id).collect();
    assert_eq!(lost, [stays]);
    assert!(audience.connections[1].backlog() > 1000 && audience.is_dirty());
}

#[test]
fn the_client_s_thread_learns_when_its_connection_is_done() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut audience = Audience::new(1000);
    let far = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let done = [1, 2].map(|n| {
        let (keep, done) = crossbeam_channel::bounded(0);
        let (near, peer) = listener.accept().unwrap();
        audience.add(ClientId(n), peer, Arc::new(near), keep);
        done
    });
    let is_done = |done: &crossbeam_channel::Receiver<()>| {
        done.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected)
    };
    audience.dismiss(ClientId(1));
    assert!(!done.iter().any(is_done), "its last lines are not sent yet");
    audience.flush();
    assert!(is_done(&done[0]) && !is_done(&done[1]));
    audience.cut_off(ClientId(2));
    assert!(is_done(&done[1]));
    drop(far);
}
