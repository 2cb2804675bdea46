use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const SECOND: Duration = Duration::from_secs(1);

fn pace(rate: u32, burst: u32) -> Pace {
    pace_at(&address(rate, burst), rate, burst)
}

fn address(rate: u32, burst: u32) -> Arc<Mutex<AddressPace>> {
    Arc::new(Mutex::new(AddressPace::new(rate, burst)))
}

fn pace_at(address: &Arc<Mutex<AddressPace>>, rate: u32, burst: u32) -> Pace {
    Pace::new(rate, burst, address.clone(), Arc::new(RoomPace::new(rate, burst)))
}

#[test]
fn a_burst_is_free_and_the_lines_after_it_keep_to_the_rate() {
    let (mut pace, mut now) = (pace(10, 3), Instant::now());
    let mut next = |now| pace.take(60, now).as_millis();
    assert_eq!([(); 5].map(|()| next(now)), [0, 0, 0, 100, 200]);
    now += Duration::from_millis(200);
    assert_eq!(next(now), 100);
    // After a rest it may be quick again, but no quicker than at the start.
    now += Duration::from_secs(3600);
    assert_eq!([(); 4].map(|()| next(now)), [0, 0, 0, 100]);
}

#[test]
fn a_long_line_costs_several_tokens_and_at_most_the_whole_burst() {
    let (mut pace, now) = (pace(10, 3), Instant::now());
    let waits = [128, 129, 1, 300, 1 << 20].map(|bytes| pace.take(bytes, now).as_millis());
    assert_eq!(waits, [0, 0, 100, 400, 700]);
}

#[test]
fn a_rate_or_a_burst_of_zero_is_no_limit() {
    for (rate, burst) in [(0, 1), (20, 0)] {
        let (mut pace, now) = (pace(rate, burst), Instant::now());
        assert!((0..10_000).all(|_| pace.take(60, now).is_zero()));
    }
}

#[test]
fn the_clients_of_one_address_share_a_bucket_that_a_new_connection_does_not_fill() {
    let (shared, now) = (address(20, 200), Instant::now());
    let talks = |lines| {
        let mut pace = pace_at(&shared, 20, 200);
        (0..lines).map(|_| pace.take(60, now)).max().unwrap()
    };
    // A classroom of 30 that pastes 40 lines each is not slowed.
    assert!((0..30).all(|_| talks(40).is_zero()));
    assert!((0..2).all(|_| talks(200).is_zero()));
    assert_eq!(talks(1), Duration::from_millis(1000 / 160).max(Duration::from_micros(6250)));
    assert!(!shared.lock().is_rested(now + Duration::from_secs(9)));
    assert!(shared.lock().is_rested(now + Duration::from_secs(11)));
}

#[test]
fn a_debt_is_not_endless() {
    let (shared, now) = (address(20, 200), Instant::now());
    for _ in 0..1000 {
        pace_at(&shared, 20, 200).take(4096, now);
    }
    assert_eq!(pace_at(&shared, 20, 200).take(1, now), LONGEST_WAIT);
}

#[test]
fn a_paste_of_a_thousand_lines_takes_forty_seconds() {
    let (mut pace, mut now) = (pace(20, 200), Instant::now());
    let begun = now;
    for _ in 0..1000 {
        now += pace.take(80, now);
    }
    assert_eq!((now - begun).as_secs(), 40);
}

/// Everyone sends lines of this size as fast as their waits allow; how many get through in so many
/// seconds.
fn talk(people: &mut [Pace], bytes: usize, seconds: u64, begun: Instant) -> u64 {
    let mut due: BinaryHeap<_> = (0..people.len()).map(|who| Reverse((begun, who))).collect();
    let mut said = 0;
    while let Some(Reverse((at, who))) =
        due.pop().filter(|Reverse((at, _))| (*at - begun).as_secs() < seconds)
    {
        let at = at + people[who].take(bytes, at);
        let pause = match people[who].take_turn(bytes, at) {
            Turn::After(pause) => {
                said += 1;
                pause
            }
            Turn::AskAgainAfter(pause) => pause,
        };
        due.push(Reverse((at + pause, who)));
    }
    said
}

/// People at so many addresses, so many at each, in one room.
fn people(addresses: usize, at_each: usize, room: &Arc<RoomPace>) -> Vec<Pace> {
    let at_one =
        |address: Arc<Mutex<AddressPace>>| move |_| Pace::new(20, 200, address.clone(), room.clone());
    (0..addresses).flat_map(|_| (0..at_each).map(at_one(address(20, 200)))).collect()
}

#[test]
fn the_room_is_told_no_more_than_a_slow_reader_reads_from_however_many_addresses() {
    for (addresses, at_each) in [(1, 64), (8, 8), (64, 8), (200, 1)] {
        for bytes in [10, 128, 4096] {
            let room = Arc::new(RoomPace::new(20, 200));
            let mut people = people(addresses, at_each, &room);
            let begun = Instant::now();
            let said =
                [talk(&mut people, bytes, 10, begun), talk(&mut people, bytes, 20, begun + 10 * SECOND)];
            let [at_first, later] = said.map(|lines| lines * u64::from(tokens(bytes)));
            let what = format!("{bytes} bytes from {addresses}: {at_first} tokens at first, {later} later");
            let of_each = (8 + 32) * addresses as u64; // Its share, and the one line that it waits with.
            assert!(at_first <= 1600 + 10 * 400 + of_each && later <= 20 * 400 + of_each, "{what}");
            assert!(later >= 20 * 150, "{what}");
        }
    }
}

#[test]
fn a_person_who_says_a_line_now_and_then_never_waits_for_the_room() {
    let (room, begun) = (Arc::new(RoomPace::new(20, 200)), Instant::now());
    talk(&mut people(64, 8, &room), 4096, 10, begun);
    let mut alice = people(1, 1, &room).remove(0);
    for line in 0..20 {
        assert_eq!(alice.take_turn(60, begun + 10 * SECOND + line * SECOND / 2), Turn::After(Duration::ZERO));
    }
}

#[test]
fn a_person_who_says_more_waits_behind_one_line_of_each_address_and_not_of_each_connection() {
    let (room, begun) = (Arc::new(RoomPace::new(20, 200)), Instant::now());
    talk(&mut people(64, 8, &room), 4096, 10, begun);
    let mut alice = people(1, 1, &room).remove(0);
    let now = begun + 10 * SECOND;
    let Turn::After(pause) = alice.take_turn(4096, now) else { panic!("nobody of her address waits") };
    assert!(pause > SECOND && pause <= 64 * 32 * SECOND / 400 + SECOND, "{pause:?}");
    assert_eq!(alice.take_turn(4096, now), Turn::AskAgainAfter(pause));
    // Short lines come through sooner, with her own share.
    let turns: Vec<_> = (0..9).map(|_| alice.take_turn(60, now)).collect();
    assert_eq!(turns[..8], [const { Turn::After(Duration::ZERO) }; 8]);
    assert_eq!(turns[8], Turn::AskAgainAfter(SECOND / 2));
}

#[test]
fn a_token_counts_more_in_a_large_room() {
    let room = RoomPace::new(20, 200);
    for (people, price) in [(0, 1), (1, 1), (500, 1), (501, 2), (1000, 2), (3900, 8)] {
        room.set_people(people);
        assert_eq!(room.price(1), price, "{people}");
    }
}

#[test]
fn an_ordinary_crowd_does_not_meet_the_bucket_of_the_room() {
    let room = Arc::new(RoomPace::new(20, 200));
    let mut class = people(100, 1, &room);
    let now = Instant::now();
    assert!(class.iter_mut().all(|person| person.take_turn(60, now) == Turn::After(Duration::ZERO)));
    // Ten bots, each as fast as one client may be.
    let mut bots = people(10, 1, &room);
    for tick in 0..20 * 60 {
        let now = now + tick * SECOND / 20;
        assert!(bots.iter_mut().all(|bot| bot.take_turn(60, now) == Turn::After(Duration::ZERO)));
    }
}
