use super::*;
use crate::credit::{self, Done};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

const NOW: DateTime = DateTime::ZERO;

/// An audience of `n` and the far ends of their sockets.
fn audience(n: usize, max_backlog: usize) -> (Audience, Vec<(ClientId, BufReader<TcpStream>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut audience = Audience::new(max_backlog);
    let far_ends = (1..=n).map(|n| {
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, peer) = listener.accept().unwrap();
        audience.add(ClientId(n as u64), peer, Arc::new(near), credit::open(crossbeam_channel::bounded(1)).0);
        (ClientId(n as u64), BufReader::new(far))
    });
    let far_ends = far_ends.collect();
    (audience, far_ends)
}

/// Flushes until those who leave have got everything.
fn sees_them_off(audience: &mut Audience) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while audience.flush().too_slow.is_empty() && audience.is_dirty() {
        assert!(Instant::now() < deadline, "they never go");
        std::thread::yield_now();
    }
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
    audience.say(Recipients::EveryoneBefore(bob), "bob joined", NOW);
    audience.say(Recipients::EveryoneBefore(alice), "alice joined", NOW);
    audience.say(Recipients::Everyone, "two", NOW);
    audience.flush();
    let heard = |far: &mut BufReader<TcpStream>, n| (0..n).map(|_| next_line(far)).collect::<Vec<_>>();
    assert_eq!(heard(&mut people[0].1, 5), ["one", "not for bob", "for alice", "bob joined", "two"]);
    assert_eq!(heard(&mut people[1].1, 3), ["one", "for bob", "two"]);
}

#[test]
fn lines_have_their_time_in_front_for_those_who_want_that() {
    let (mut audience, mut people) = audience(2, 1000);
    let (alice, bob) = (people[0].0, people[1].0);
    let (now, today) = (NOW, NOW.date());
    let tomorrow = "0000-01-02T09:00".parse().unwrap();
    audience.say(Recipients::Everyone, "before", now);
    audience.set_timestamps(bob, true, today);
    audience.say(Recipients::Only(bob), "yours\nboth", now);
    audience.say(Recipients::Everyone, "after", now);
    audience.say(Recipients::EveryoneBut(bob), "not for bob", now);
    audience.say(Recipients::EveryoneBut(alice), "not for alice", now);
    audience.say(Recipients::Everyone, "a new day", tomorrow);
    audience.set_timestamps(bob, false, today);
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
        audience.set_timestamps(*id, true, NOW.date());
        audience.dismiss(*id, None);
        audience.set_timestamps(*id, true, NOW.date());
    }
    audience.say(Recipients::Everyone, "too late", NOW);
    sees_them_off(&mut audience);
    assert!(audience.is_empty() && audience.want_time == 0);
}

#[test]
fn a_client_that_leaves_gets_what_was_said_before_and_then_the_end() {
    let (mut audience, mut people) = audience(2, 1000);
    audience.say(Recipients::Everyone, "before", NOW);
    audience.dismiss(people[0].0, None);
    audience.say(Recipients::Everyone, "after", NOW);
    audience.dismiss(people[0].0, None);
    audience.say(Recipients::Only(people[0].0), "too late", NOW);
    sees_them_off(&mut audience);
    assert_eq!([(); 2].map(|()| next_line(&mut people[0].1)), ["before", ""]);
    assert_eq!([(); 2].map(|()| next_line(&mut people[1].1)), ["before", "after"]);
}

#[test]
fn only_a_client_that_does_not_read_is_lost() {
    let (mut audience, mut people) = audience(2, 100_000);
    let (slow, _does_not_read) = people.remove(0);
    let (_, mut reads) = people.remove(0);
    let line = "x".repeat(20_000);
    let lost = (0..10_000).find_map(|_| {
        audience.say(Recipients::Everyone, &line, NOW);
        let lost = audience.flush().too_slow;
        assert_eq!(next_line(&mut reads), line);
        lost.into_iter().next()
    });
    assert!(matches!(lost, Some((id, backlog)) if id == slow && backlog > 100_000));
    audience.cut_off(slow);
    assert!(audience.flush().too_slow.is_empty() && !audience.is_dirty());
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
    audience.dismiss(leaves, None);
    let lost: Vec<_> = audience.flush().too_slow.into_iter().map(|(id, _)| id).collect();
    assert_eq!(lost, [stays]);
    assert!(audience.connections[1].backlog() > 1000 && audience.is_dirty());
}

#[test]
fn the_client_s_thread_learns_when_its_connection_is_done() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut audience = Audience::new(1000);
    let far = [(); 2].map(|()| TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let [one, other] = [1, 2].map(|n| {
        let (creditor, credit) = credit::open(crossbeam_channel::bounded(1));
        let (near, peer) = listener.accept().unwrap();
        audience.add(ClientId(n), peer, Arc::new(near), creditor);
        credit
    });
    audience.dismiss(ClientId(1), None);
    assert_eq!(one.wait(Duration::ZERO), Ok(()), "its last lines are not sent yet");
    sees_them_off(&mut audience);
    assert_eq!([one.wait(Duration::ZERO), other.wait(Duration::ZERO)], [Err(Done), Ok(())]);
    audience.cut_off(ClientId(2));
    assert_eq!(other.wait(Duration::ZERO), Err(Done));
    drop(far);
}

/// A reset would destroy what is on its way.
#[cfg(target_os = "linux")]
#[test]
fn the_input_of_a_client_that_leaves_ends_after_its_last_line_has_arrived() {
    let (mut audience, mut people) = audience(1, 1000);
    let (bob, mut far) = people.remove(0);
    let much = "x".repeat(400_000); // More than the kernels take at once, for bob does not read yet.
    audience.say(Recipients::Everyone, &much, NOW);
    audience.say(Recipients::Everyone, "the last line", NOW);
    audience.dismiss(bob, None);
    for _ in 0..50 {
        audience.flush();
        far.get_mut().write_all(b"why?\n").unwrap();
    }
    let reader = std::thread::spawn(move || [next_line(&mut far), next_line(&mut far), next_line(&mut far)]);
    sees_them_off(&mut audience);
    assert_eq!(reader.join().unwrap(), [&much, "the last line", ""]);
}

#[test]
fn a_client_whose_connection_is_broken_stays_until_its_thread_has_heard_it_to_the_end() {
    let (mut audience, mut people) = audience(1, 1000);
    let (bob, far) = people.remove(0);
    drop(far);
    while audience.connections[0].outbox.failure().is_none() {
        audience.say(Recipients::Everyone, "are you there?", NOW);
        assert!(audience.flush().too_slow.is_empty());
    }
    audience.say(Recipients::Everyone, &"x".repeat(10_000), NOW);
    assert!(audience.flush().too_slow.is_empty() && !audience.is_dirty());
    assert!(audience.get(bob).is_some());
    audience.dismiss(bob, None);
    sees_them_off(&mut audience);
    assert!(audience.is_empty());
}

#[test]
fn a_client_that_leaves_has_so_much_time_and_at_the_shutdown_as_much_as_that_gives() {
    let (mut audience, people) = audience(2, 1000);
    audience.say(Recipients::Everyone, &"x".repeat(20_000_000), NOW); // Nobody reads.
    audience.dismiss(people[0].0, Some(Instant::now()));
    audience.dismiss(people[1].0, None);
    audience.flush();
    assert_eq!(audience.connections.iter().map(|left| left.id).collect::<Vec<_>>(), [people[1].0]);
    audience.close_all();
    assert!(audience.is_empty());
}
