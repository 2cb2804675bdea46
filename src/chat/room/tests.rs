use super::*;
use std::net::Ipv4Addr;
use std::time::Duration;

/// A room in which alice, bob and carol sit, and a way to type lines into it.
struct Stage {
    room: Room,
    ids: [ClientId; 3],
    now: Now,
}

const NOW: Now = Now { local: DateTime::ZERO, uptime: Duration::ZERO };
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;

impl Stage {
    fn set() -> Stage {
        let ids = [1, 2, 3].map(ClientId);
        let mut stage = Stage { room: Room::new(20, 10_000), ids, now: NOW };
        for (who, name) in ["alice", "bob", "carol"].iter().enumerate() {
            stage.room.join(ids[who], HOME, NOW);
            stage.room.announce(ids[who], || true);
            stage.types(who, &format!("/nick {name}"));
        }
        stage
    }

    fn types(&mut self, who: usize, line: &str) -> Vec<(Recipients, String)> {
        let Some(Ok(request)) = COMMANDS.parse(line) else { panic!("{line}") };
        self.room
            .act(self.ids[who], request, self.now)
            .unwrap_or_else(|why| vec![problem(self.ids[who], &why)])
    }
}

#[test]
fn a_newcomer_is_welcomed_and_the_others_are_told() {
    let mut stage = Stage::set();
    let dave = ClientId(4);
    let deliveries = stage.room.join(dave, HOME, NOW);
    let welcome = "*** Welcome to chat-server! You are guest4.\n\
                   *** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.\n\
                   *** 4 here: alice, bob, carol, guest4";
    assert_eq!(deliveries[0], (Asker(dave), welcome.to_owned()));
    assert_eq!(deliveries.len(), 1, "the others are told later");
    let joined = stage.room.announce(dave, || true).unwrap();
    assert_eq!(joined, (EveryoneBefore(dave), "*** guest4 joined".to_owned()));
    assert_eq!(stage.room.announce(dave, || true), None, "once");
}

#[test]
fn a_name_that_is_set_first_makes_one_line() {
    let mut stage = Stage::set();
    let dave = ClientId(4);
    stage.room.join(dave, HOME, NOW);
    let named = stage.room.act(dave, Request::Nick(Nickname::parse("ci").unwrap()), NOW).unwrap();
    assert_eq!(
        named,
        [(EveryoneFrom(dave), "*** guest4 is now ci".to_owned())],
        "some came later, and found guest4"
    );
    assert_eq!(stage.room.announce(dave, || true), Some((EveryoneBefore(dave), "*** ci joined".to_owned())));
    let named = stage.room.act(dave, Request::Nick(Nickname::parse("cd").unwrap()), NOW).unwrap();
    assert_eq!(named, [(Everyone, "*** ci is now cd".to_owned())]);
}

#[test]
fn a_private_line_without_its_slash_is_held_back_where_the_person_is_here() {
    let mut stage = Stage::set();
    for line in ["msg bob my PIN", "w Bob: my PIN", "whisper @bob my PIN", "rmsg bob my PIN"] {
        let answer = stage.types(ALICE, line);
        assert!(
            answer[0].0 == Asker(stage.ids[ALICE]) && answer[0].1.contains("nobody got that"),
            "{answer:?}"
        );
    }
    for line in ["msg dave my PIN", "w/o bob we are lost", "msg me later", "tell bob to come"] {
        assert_eq!(stage.types(ALICE, line), [(Everyone, format!("<alice> {line}"))]);
    }
}

#[test]
fn the_operator_has_the_lines_of_one_name_forgotten() {
    let mut stage = Stage::set();
    stage.types(BOB, "<alice> was not me");
    stage.types(BOB, "/me is here");
    stage.types(ALICE, "bob? bob> * bob");
    stage.room.say_as_operator("bob is gone", NOW);
    assert_eq!((stage.room.forget("BOB"), stage.room.forget("bob")), (2, 0));
    let left = "*** The last 2 lines:\n[00:00] <alice> bob? bob> * bob\n[00:00] *** [server] bob is gone";
    assert_eq!(stage.types(ALICE, "/history")[0].1, left);
}

#[test]
fn the_operator_and_one_person_write_to_each_other_alone() {
    let mut stage = Stage::set();
    let alice = stage.ids[ALICE];
    let nobody = "!!! No one is at the server's keyboard, so nobody got that.";
    assert_eq!(stage.types(ALICE, "/msg Server help"), [(Asker(alice), nobody.to_owned())]);
    stage.room.has_operator = true;
    let (line, shown) = stage.room.whisper_as_operator(alice, "hello").unwrap();
    assert_eq!(line, (Only(alice), "[server -> you] hello".to_owned()));
    assert_eq!(shown, "[you -> alice] hello");
    for line in ["/msg server my PIN", "/r my PIN"] {
        let there = (Operator, "[alice -> you] my PIN".to_owned());
        assert_eq!(stage.types(ALICE, line), [there, (Asker(alice), "[you -> server] my PIN".to_owned())]);
    }
}

#[test]
fn a_server_without_history_says_so() {
    let (mut room, alice) = (Room::new(0, 10_000), ClientId(1));
    room.join(alice, HOME, NOW);
    room.act(alice, Request::Say("hello".into()), NOW).unwrap();
    let answer = room.act(alice, Request::History, NOW).unwrap();
    assert_eq!(answer, [(Asker(alice), "*** This server keeps no history.".to_owned())]);
}

#[test]
fn a_newcomer_to_a_full_room_sees_a_line_of_names_and_the_exact_count() {
    let mut room = Room::new(20, 10_000);
    let last = (1..=50).map(|n| room.join(ClientId(n), HOME, NOW)).last().unwrap();
    let welcome = &last[0].1;
    assert!(welcome.contains("*** 50 here: guest1, guest2, guest3"), "{welcome}");
    let last = welcome.lines().last().unwrap();
    assert!(last.ends_with(" … and 44 more") && last.chars().count() <= 80, "{welcome}");
}

#[test]
fn in_a_large_room_nobody_is_told_of_joins_and_leaves() {
    let mut room = Room::new(20, 10_000);
    let ids: Vec<_> = (1..=203).map(ClientId).collect();
    let mut join = |id: &ClientId| {
        room.join(*id, HOME, NOW);
        room.announce(*id, || true).is_some()
    };
    let announced = ids.iter().filter(|id| join(id)).count();
    assert_eq!(announced, 200);
    let goodbye =
        room.leave(ids[7], Farewell::Everyone(Some("bye".into())), || true, NOW).unwrap().1.unwrap();
    assert_eq!(goodbye, (Only(ids[7]), "*** guest8 left (bye)".to_owned()));
    assert_eq!(room.leave(ids[8], Farewell::Others(None), || true, NOW).unwrap().1, None);
    assert_eq!(room.leave(ids[9], Farewell::Others(None), || true, NOW).unwrap().1, None);
    let told = room.leave(ids[10], Farewell::Others(None), || true, NOW).unwrap().1.unwrap();
    assert_eq!(told, (EveryoneBut(ids[10]), "*** guest11 left".to_owned()));
}

#[test]
fn joins_and_leaves_are_silent_while_the_room_is_told_enough() {
    let mut room = Room::new(20, 10_000);
    let [alice, bob] = [1, 2].map(ClientId);
    for id in [alice, bob] {
        room.join(id, HOME, NOW);
        assert_eq!(room.announce(id, || false), None);
    }
    assert!(room.announce(bob, || true).is_some(), "it may be said later");
    let receipt = room.leave(bob, Farewell::Everyone(None), || false, NOW).unwrap().1.unwrap();
    assert_eq!(receipt, (Only(bob), "*** guest2 left".to_owned()));
    room.announce(alice, || true);
    assert_eq!(room.leave(alice, Farewell::Others(None), || false, NOW).unwrap().1, None);
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
        [(Only(bob), "[alice -> you] psst".to_owned()), (Asker(alice), "[you -> bob] psst".to_owned())];
    assert_eq!(stage.types(ALICE, "/msg BOB psst"), there);
    stage.types(ALICE, "/nick al");
    let back = [(Only(alice), "[bob -> you] what?".to_owned()), (Asker(bob), "[you -> al] what?".to_owned())];
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
    assert_eq!(stage.types(BOB, "/history"), [(AskerForHistory(stage.ids[BOB]), expected.to_owned())]);
    let dave = ClientId(4);
    let deliveries = stage.room.join(dave, HOME, NOW);
    assert_eq!(deliveries[0], (AskerForHistory(dave), expected.to_owned()));
    assert!(deliveries[1].1.starts_with("*** Welcome"), "the welcome comes last");
}

#[test]
fn what_is_remembered_is_bounded_in_bytes_too() {
    let mut room = Room::new(1_000, 10_000);
    let alice = ClientId(1);
    room.join(alice, HOME, NOW);
    for n in 0..100 {
        room.act(alice, Request::Say(format!("{n} {}", "x".repeat(1_000)).into()), NOW).unwrap();
    }
    let recalled = room.act(alice, Request::History, NOW).unwrap().remove(0).1;
    assert!((8..10).contains(&recalled.matches("<guest1> ").count()) && recalled.len() <= 10_000);
    assert!(recalled.lines().last().unwrap().starts_with("[00:00] <guest1> 99 "), "{recalled}");
    // One that is larger than all that may be kept is not kept at all.
    room.act(alice, Request::Say("y".repeat(20_000).into()), NOW).unwrap();
    let recalled = room.act(alice, Request::History, NOW).unwrap();
    assert_eq!(recalled[0].1, "*** Nothing has been said yet.");
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
    stage.room.leave(stage.ids[CAROL], Farewell::Others(None), || true, NOW);
    assert!(stage.types(ALICE, "/r hi").iter().all(heard));
}

#[test]
fn a_reply_goes_to_the_author_and_not_to_a_namesake_or_to_oneself() {
    let mut stage = Stage::set();
    stage.types(BOB, "/msg alice hi");
    stage.types(ALICE, "/msg alice remember the milk");
    assert_eq!(stage.types(ALICE, "/r hello")[0].0, Only(stage.ids[BOB]));
    stage.room.leave(stage.ids[BOB], Farewell::Others(None), || true, NOW);
    stage.types(CAROL, "/nick bob");
    let gone = "!!! The bob who wrote to you has left. To write to the bob who is here: /msg bob TEXT";
    assert_eq!(stage.types(ALICE, "/r secret"), [(Asker(stage.ids[ALICE]), gone.to_owned())]);
}

#[test]
fn punctuation_around_a_name_is_seen_through() {
    let mut stage = Stage::set();
    for typed in ["bob,", "bob:", "@bob", "<bob>", "\"bob\"", "(Bob)", "***bob***"] {
        let answer = &stage.types(ALICE, &format!("/msg {typed} hi"))[0].1;
        assert!(answer.to_lowercase().ends_with("did you mean bob?"), "{typed}: {answer}");
    }
    let answer = &stage.types(ALICE, "/msg dave, hi")[0].1;
    assert_eq!(answer, "!!! No one here is called \"dave,\". /list shows who is here.");
}

#[test]
fn a_word_that_was_meant_as_a_command_is_said_and_answered() {
    let mut stage = Stage::set();
    let hint = |line: &str| format!("*** {line}");
    for (said, answer) in [
        ("quit", "To leave, type /quit."),
        ("Exit ", "To leave, type /quit."),
        ("help", "For the commands, type /help."),
    ] {
        let deliveries = stage.types(ALICE, said);
        assert_eq!(deliveries[0], (Everyone, format!("<alice> {said}")));
        assert_eq!(deliveries[1], (Asker(stage.ids[ALICE]), hint(answer)));
    }
    assert_eq!(stage.types(ALICE, "help me").len(), 1);
}

#[test]
fn a_client_that_was_never_announced_leaves_silently() {
    let mut stage = Stage::set();
    let dave = ClientId(4);
    stage.room.join(dave, HOME, NOW);
    assert_eq!(
        stage.types(ALICE, "/list")[0].1,
        "*** 4 here: alice, bob, carol, guest4",
        "it is here at once"
    );
    assert_eq!(stage.room.leave(dave, Farewell::Others(None), || true, NOW).unwrap().1, None);
}

#[test]
fn a_line_of_another_day_has_its_date() {
    let mut stage = Stage::set();
    stage.now.local = "2026-11-20T16:05:59".parse().unwrap();
    stage.types(ALICE, "see you");
    assert!(stage.types(BOB, "/history")[0].1.ends_with("\n[16:05] <alice> see you"));
    stage.now.local = "2026-11-23T09:00".parse().unwrap();
    stage.types(BOB, "hello");
    let expected = "*** The last 2 lines:\n[2026-11-20 16:05] <alice> see you\n[09:00] <bob> hello";
    assert_eq!(stage.types(BOB, "/history")[0].1, expected);
}

#[test]
fn a_name_belongs_to_one() {
    let mut stage = Stage::set();
    assert!(stage.types(BOB, "/nick Alice")[0].1.starts_with("!!! Alice is taken"));
    assert!(stage.types(BOB, "/nick guest7")[0].1.starts_with("!!! guest7 is for the guest"));
    assert!(stage.types(BOB, "/nick bob")[0].1.starts_with("!!! You are bob already"));
    assert_eq!(stage.types(BOB, "/nick Bob"), [(Everyone, "*** bob is now Bob".to_owned())]);
    assert_eq!(stage.types(BOB, "/nick guest2"), [(Everyone, "*** Bob is now guest2".to_owned())]);
    stage.room.leave(stage.ids[ALICE], Farewell::Others(None), || true, NOW);
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
    stage.room.leave(stage.ids[ALICE], Farewell::Others(None), || true, NOW);
    assert!(stage.types(BOB, "/nick a1ice")[0].1.contains(" is now "));
}

#[test]
fn the_departed_do_not_speak() {
    let mut stage = Stage::set();
    stage.types(CAROL, "hi");
    let (departed, _) = stage.room.leave(stage.ids[CAROL], Farewell::Others(None), || true, NOW).unwrap();
    assert_eq!((departed.name.to_string().as_str(), departed.lines), ("carol", 1));
    assert_eq!(stage.types(CAROL, "boo"), []);
    assert_eq!(stage.room.leave(stage.ids[CAROL], Farewell::Others(None), || true, NOW), None);
}
