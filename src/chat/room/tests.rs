use super::*;
use crate::chat::command::Command;
use std::net::Ipv4Addr;

/// A room in which alice, bob and carol sit, and a way to type lines into it.
struct Stage {
    room: Room,
    ids: [ClientId; 3],
}

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

impl Stage {
    fn set() -> Stage {
        let ids = [1, 2, 3].map(ClientId);
        let mut stage = Stage { room: Room::new(20, 10_000), ids };
        for (who, name) in ["alice", "bob", "carol"].iter().enumerate() {
            stage.room.join(ids[who], HOME);
            stage.types(who, &format!("/nick {name}"));
        }
        stage
    }

    fn types(&mut self, who: usize, line: &str) -> Vec<(Recipients, String)> {
        let Some(Ok(Command::Room(request))) = Command::parse(line) else { panic!("{line}") };
        let deliveries = self.room.act(self.ids[who], request, ClockTime::default());
        deliveries.into_iter().map(|delivery| (delivery.to, delivery.reply.to_string())).collect()
    }
}

#[test]
fn a_newcomer_is_welcomed_and_the_others_are_told() {
    let mut stage = Stage::set();
    let dave = ClientId(4);
    let deliveries = stage.room.join(dave, HOME);
    assert_eq!(deliveries[0].to, Only(dave));
    assert!(deliveries[0].reply.to_string().ends_with("*** 4 here: alice, bob, carol, guest4"));
    assert_eq!(deliveries[1].to, EveryoneBut(dave));
    assert_eq!(deliveries[1].reply.to_string(), "*** guest4 joined");
}

#[test]
fn a_newcomer_to_a_full_room_sees_ten_names_and_the_exact_count() {
    let mut room = Room::new(20, 10_000);
    let last = (1..=50).map(|n| room.join(ClientId(n), HOME)).last().unwrap();
    let welcome = last[0].reply.to_string();
    assert!(welcome.contains("*** 50 here: guest1, guest10, guest11"), "{welcome}");
    assert!(welcome.ends_with("… and 40 more"), "{welcome}");
}

#[test]
fn in_a_large_room_nobody_is_told_of_joins_and_leaves() {
    let mut room = Room::new(20, 10_000);
    let ids: Vec<_> = (1..=203).map(ClientId).collect();
    let told = |deliveries: &[Delivery]| {
        deliveries.iter().any(|delivery| delivery.reply.to_string().ends_with("joined"))
    };
    let announced = ids.iter().filter(|id| told(&room.join(**id, HOME))).count();
    assert_eq!(announced, 200);
    let goodbye = room.leave(ids[7], Some("bye".into()), true).unwrap().1.unwrap();
    assert_eq!((goodbye.to, goodbye.reply.to_string()), (Only(ids[7]), "*** guest8 left (bye)".to_owned()));
    assert_eq!(room.leave(ids[8], None, false).unwrap().1, None);
    assert_eq!(room.leave(ids[9], None, false).unwrap().1, None);
    let told = room.leave(ids[10], None, false).unwrap().1.unwrap();
    assert_eq!((told.to, told.reply.to_string()), (EveryoneBut(ids[10]), "*** guest11 left".to_owned()));
}

#[test]
fn what_alice_says_everyone_hears_and_she_too_unless_she_turns_it_off() {
    let mut stage = Stage::set();
    assert_eq!(stage.types(ALICE, "hi"), [(Everyone, "<alice> hi".to_owned())]);
    stage.types(ALICE, "/echo off");
    let others = EveryoneBut(stage.ids[ALICE]);
    assert_eq!(stage.types(ALICE, "/me waves"), [(others, "* alice waves".to_owned())]);
    assert_eq!(stage.types(ALICE, "/msg bob psst").len(), 1);
    stage.types(ALICE, "/echo on");
    assert_eq!(stage.types(ALICE, "hi"), [(Everyone, "<alice> hi".to_owned())]);
}

#[test]
fn a_whisper_reaches_its_two_people_and_can_be_answered() {
    let mut stage = Stage::set();
    let [alice, bob, _] = stage.ids;
    let there =
        [(Only(bob), "[alice -> you] psst".to_owned()), (Only(alice), "[you -> bob] psst".to_owned())];
    assert_eq!(stage.types(ALICE, "/msg BOB psst"), there);
    stage.types(ALICE, "/nick al");
    let back = [(Only(alice), "[bob -> you] what?".to_owned()), (Only(bob), "[you -> al] what?".to_owned())];
    assert_eq!(stage.types(BOB, "/reply what?"), back);
}

#[test]
fn newcomers_are_told_what_was_said_last() {
    let mut stage = Stage::set();
    stage.room.max_history = (2, 10_000);
    for line in ["one", "/msg bob secret", "/me two", "/list", "three"] {
        stage.types(ALICE, line);
    }
    let expected = "*** The last 2 lines:\n[00:00] * alice two\n[00:00] <alice> three";
    assert_eq!(stage.types(BOB, "/history"), [(Only(stage.ids[BOB]), expected.to_owned())]);
    let dave = ClientId(4);
    let deliveries = stage.room.join(dave, HOME);
    assert_eq!((deliveries[1].to, deliveries[1].reply.to_string()), (Only(dave), expected.to_owned()));

    let mut forgetful = Room::new(0, 10_000);
    forgetful.join(dave, HOME);
    forgetful.act(dave, Request::Say("hi".into()), ClockTime::default());
    let recalled = forgetful.act(dave, Request::History, ClockTime::default());
    assert_eq!(recalled[0].reply.to_string(), "*** Nothing has been said yet.");
}

#[test]
fn what_is_remembered_is_bounded_in_bytes_too() {
    let mut room = Room::new(1_000, 10_000);
    let alice = ClientId(1);
    room.join(alice, HOME);
    for n in 0..100 {
        room.act(alice, Request::Say(format!("{n} {}", "x".repeat(1_000)).into()), ClockTime::default());
    }
    let recalled = room.act(alice, Request::History, ClockTime::default())[0].reply.to_string();
    assert!((8..10).contains(&recalled.matches("<guest1> ").count()) && recalled.len() <= 10_000);
    assert!(recalled.lines().last().unwrap().starts_with("[00:00] <guest1> 99 "), "{recalled}");
    // One that is larger than all that may be kept is not kept at all.
    room.act(alice, Request::Say("y".repeat(20_000).into()), ClockTime::default());
    assert_eq!(
        room.act(alice, Request::History, ClockTime::default())[0].reply.to_string(),
        "*** Nothing has been said yet."
    );
}

#[test]
fn a_slip_of_the_finger_gets_the_nearest_name() {
    let mut stage = Stage::set();
    for (slip, meant) in [("alcie", "alice"), ("carrol", "carol"), ("BOBB", "bob")] {
        let answer = stage.types(ALICE, &format!("/msg {slip} hi"));
        assert_eq!(answer[0].1, format!("!!! No one here is called \"{slip}\". Did you mean {meant}?"));
    }
}

#[test]
fn whispering_to_nobody_is_a_problem() {
    let mut stage = Stage::set();
    let heard = |(_, line): &(Recipients, String)| line.starts_with("!!! No one here is called \"dave\"");
    assert!(stage.types(ALICE, "/msg dave hi").iter().all(heard));
    assert!(stage.types(ALICE, "/r hi")[0].1.starts_with("!!! Nobody has written to you"));
    stage.types(CAROL, "/nick dave");
    stage.types(CAROL, "/msg alice hi");
    stage.room.leave(stage.ids[CAROL], None, false);
    assert!(stage.types(ALICE, "/r hi").iter().all(heard));
}

#[test]
fn a_name_belongs_to_one() {
    let mut stage = Stage::set();
    assert!(stage.types(BOB, "/nick Alice")[0].1.starts_with("!!! Alice is taken"));
    assert!(stage.types(BOB, "/nick guest7")[0].1.starts_with("!!! guest7 is for the guest"));
    assert!(stage.types(BOB, "/nick bob")[0].1.starts_with("!!! You are bob already"));
    assert_eq!(stage.types(BOB, "/nick Bob"), [(Everyone, "*** bob is now Bob".to_owned())]);
    assert_eq!(stage.types(BOB, "/nick guest2"), [(Everyone, "*** Bob is now guest2".to_owned())]);
    stage.room.leave(stage.ids[ALICE], None, false);
    assert_eq!(stage.types(BOB, "/nick alice"), [(Everyone, "*** guest2 is now alice".to_owned())]);
    assert_eq!(stage.types(CAROL, "/list")[0].1, "*** 2 here: alice, carol");
}

#[test]
fn a_name_and_its_look_alikes_belong_to_one() {
    let mut stage = Stage::set();
    for taken in ["ALICE", "a1ice", "aIice"] {
        assert!(stage.types(BOB, &format!("/nick {taken}"))[0].1.contains(" is taken"), "{taken}");
        assert!(stage.types(ALICE, &format!("/nick {taken}"))[0].1.contains(" is now "), "{taken}");
    }
    assert!(stage.types(BOB, "/msg alice hi")[0].1.starts_with("!!! No one here is called \"alice\""));
    stage.room.leave(stage.ids[ALICE], None, false);
    assert!(stage.types(BOB, "/nick a1ice")[0].1.contains(" is now "));
}

#[test]
fn the_departed_do_not_speak() {
    let mut stage = Stage::set();
    stage.types(CAROL, "hi");
    let (departed, _) = stage.room.leave(stage.ids[CAROL], None, false).unwrap();
    assert_eq!((departed.name.to_string().as_str(), departed.lines), ("carol", 1));
    assert_eq!(stage.types(CAROL, "boo"), []);
    assert_eq!(stage.room.leave(stage.ids[CAROL], None, false), None);
}
