//! Who is here, and who hears what: the rules of the chat without any network, thread or clock.
//!
//! In go the things that clients do; out come [`Delivery`]s, in the order in which they are to be delivered. The
//! [dispatcher](crate::dispatcher) owns the only `Room` and calls it from its one thread, which is why no lock is
//! needed to check a name and take it.

use crate::protocol::ClientId;
use crate::protocol::clock::ClockTime;
use crate::protocol::command::Command;
use crate::protocol::nickname::Nickname;
use crate::protocol::reply::{Here, Problem, Reason, Reply};
use crate::roster::Roster;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;

/// How many names a newcomer is shown. Everyone's names would make joining cost the square of the room.
const NAMES_IN_WELCOME: usize = 10;

/// Up to this many people, everybody who comes or goes gets a line. In a larger room that would cost the square of
/// its size, and nobody reads it: there only [numbers](Room::summary) are told.
const EACH_IS_TOLD: usize = 200;

/// How many came and went.
#[derive(Debug, Default)]
struct Moves {
    joined: usize,
    left: usize,
}

/// Everybody in the room.
///
/// ```
/// use chat_server::protocol::{ClientId, clock::ClockTime, command::Command};
/// use chat_server::room::{Delivery, Recipients, Room};
///
/// let mut ids = ClientId::sequence();
/// let (alice, bob) = (ids.next().unwrap(), ids.next().unwrap());
/// let mut room = Room::new(20);
/// room.join(alice);
/// room.join(bob);
///
/// let deliveries = room.act(alice, Command::Say("hello".into()), ClockTime::now());
/// assert_eq!(deliveries[0].to, Recipients::Everyone);
/// assert_eq!(deliveries[0].reply.to_string(), "<guest1> hello");
/// ```
#[derive(Debug)]
pub struct Room {
    members: HashMap<ClientId, Member>,
    roster: Roster,
    /// The last lines of talk and when they were said, the oldest first.
    history: VecDeque<(ClockTime, Reply)>,
    /// How many of them are kept.
    history_size: usize,
    /// Who came and went while the room was too large to tell of each.
    unsaid: Moves,
}

/// What the room knows of one client.
#[derive(Debug)]
struct Member {
    name: Nickname,
    /// Do its own lines come back to it?
    echo: bool,
    /// Who wrote to it privately last, under which name: for `/reply`, and to say who is gone.
    last_whisper: Option<(ClientId, Nickname)>,
    /// How many lines it has said, publicly or privately.
    lines: u64,
}

/// Something to be said, and to whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who hears it.
    pub to: Recipients,
    /// What they hear.
    pub reply: Reply,
}

/// Who hears a [`Delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// All in the room.
    Everyone,
    /// All in the room but this one.
    EveryoneBut(ClientId),
    /// This one alone.
    Only(ClientId),
}

impl Recipients {
    fn hear(self, reply: Reply) -> Delivery {
        Delivery { to: self, reply }
    }
}

/// A member who has left.
#[derive(Debug, PartialEq, Eq)]
pub struct Departed {
    /// The name it had last.
    pub name: Nickname,
    /// How many lines it said.
    pub lines: u64,
    /// What is to be said of it.
    pub farewell: Option<Delivery>,
}

use Recipients::{Everyone, EveryoneBut, Only};

impl Room {
    /// An empty room that remembers the last `history` lines.
    pub fn new(history: usize) -> Room {
        Room {
            members: HashMap::new(),
            roster: Roster::default(),
            history: VecDeque::new(),
            history_size: history,
            unsaid: Moves::default(),
        }
    }

    /// A client comes in, as a guest.
    pub fn join(&mut self, id: ClientId) -> Vec<Delivery> {
        let name = Nickname::guest(id);
        self.roster.enter(name.clone(), id);
        self.members.insert(
            id,
            Member {
                name: name.clone(),
                echo: true,
                last_whisper: None,
                lines: 0,
            },
        );
        let welcome = Reply::Welcome {
            you: name.clone(),
            here: self.here(NAMES_IN_WELCOME),
        };
        let mut deliveries = vec![Only(id).hear(welcome)];
        if !self.history.is_empty() {
            deliveries.push(Only(id).hear(self.recall()));
        }
        if self.members.len() > EACH_IS_TOLD {
            self.unsaid.joined += 1;
        } else {
            deliveries.push(EveryoneBut(id).hear(Reply::Joined(name)));
        }
        deliveries
    }

    /// A client is gone: its name is free, and it is not heard of again. `None` if it was not here.
    ///
    /// `reason` is what the others may know of it. Who says goodbye, `by_itself`, sees that it was heard.
    pub fn leave(
        &mut self,
        id: ClientId,
        reason: Option<Reason>,
        by_itself: bool,
    ) -> Option<Departed> {
        let each_is_told = self.members.len() <= EACH_IS_TOLD;
        let Member { name, lines, .. } = self.members.remove(&id)?;
        self.roster.strike(&name);
        let to = match (each_is_told, by_itself) {
            (true, true) => Some(Everyone),
            (true, false) => Some(EveryoneBut(id)),
            (false, true) => Some(Only(id)),
            (false, false) => None,
        };
        if !each_is_told {
            self.unsaid.left += 1;
        }
        let farewell = to.map(|to| to.hear(Reply::Left(name.clone(), reason)));
        Some(Departed {
            name,
            lines,
            farewell,
        })
    }

    /// Is there anything for [`summary`](Room::summary) to tell?
    pub fn has_summary(&self) -> bool {
        self.unsaid.joined + self.unsaid.left > 0
    }

    /// How many came and went without a line of their own since the last summary; `None` if nobody did.
    pub fn summary(&mut self) -> Option<Delivery> {
        let Moves { joined, left } = mem::take(&mut self.unsaid);
        (joined + left > 0).then(|| {
            Everyone.hear(Reply::Moves {
                joined,
                left,
                here: self.members.len(),
            })
        })
    }

    /// Who has exactly this name, but for its case.
    pub fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.roster.find(name)
    }

    /// How many lines the client has said.
    pub fn lines(&self, id: ClientId) -> u64 {
        self.members.get(&id).map_or(0, |member| member.lines)
    }

    /// The client's current name; `None` if it is not here.
    pub fn name(&self, id: ClientId) -> Option<&Nickname> {
        self.members.get(&id).map(|member| &member.name)
    }

    /// A client does something, `now`. Nothing comes of it if the client is not here any more.
    ///
    /// [`Command::Quit`] is the only command that is not for the room: the client's thread takes it as the end.
    pub fn act(&mut self, id: ClientId, command: Command, now: ClockTime) -> Vec<Delivery> {
        let Some(member) = self.members.get_mut(&id) else {
            return Vec::new();
        };
        let name = member.name.clone();
        let to_all = if member.echo {
            Everyone
        } else {
            EveryoneBut(id)
        };
        match command {
            Command::Say(text) => {
                member.lines += 1;
                self.talk(to_all, Reply::Said(name, text), now)
            }
            Command::Me(text) => {
                member.lines += 1;
                self.talk(to_all, Reply::Acted(name, text), now)
            }
            Command::Msg { to, text } => match self.roster.find(&to) {
                Some(to) => self.whisper(id, to, text),
                None => {
                    let nearest = self.roster.nearest(&to).cloned();
                    vec![problem(id, Problem::NobodyCalled(to.to_string(), nearest))]
                }
            },
            Command::Reply(text) => match member.last_whisper.clone() {
                Some((to, _)) if self.members.contains_key(&to) => self.whisper(id, to, text),
                Some((_, gone)) => vec![problem(id, Problem::NobodyCalled(gone.to_string(), None))],
                None => vec![problem(id, Problem::NobodyToReplyTo)],
            },
            Command::Nick(new) => self.rename(id, name, new),
            Command::List => vec![Only(id).hear(Reply::List(self.here(usize::MAX)))],
            Command::Echo(on) => {
                member.echo = on;
                vec![Only(id).hear(Reply::Echo(on))]
            }
            // Which lines begin with their time is for those to know who write them.
            Command::Timestamps(on) => vec![Only(id).hear(Reply::Timestamps(on))],
            Command::History => vec![Only(id).hear(self.recall())],
            Command::Help => vec![Only(id).hear(Reply::Help)],
            Command::Quit(_) => Vec::new(),
        }
    }

    /// The person at the server's keyboard says something.
    pub fn announce(&mut self, text: Arc<str>, now: ClockTime) -> Vec<Delivery> {
        self.talk(Everyone, Reply::Operator(text), now)
    }

    /// Says something in public, and remembers it for those who come later.
    fn talk(&mut self, to: Recipients, line: Reply, now: ClockTime) -> Vec<Delivery> {
        if self.history_size > 0 {
            if self.history.len() == self.history_size {
                self.history.pop_front();
            }
            self.history.push_back((now, line.clone()));
        }
        vec![to.hear(line)]
    }

    fn recall(&self) -> Reply {
        Reply::History(self.history.iter().cloned().collect())
    }

    /// Both are here. The recipient hears it first, so that the author's copy means that it was delivered.
    fn whisper(&mut self, from: ClientId, to: ClientId, text: Arc<str>) -> Vec<Delivery> {
        let (Some(author), Some(recipient)) = (self.name(from).cloned(), self.name(to).cloned())
        else {
            return Vec::new();
        };
        if let Some(member) = self.members.get_mut(&to) {
            member.last_whisper = Some((from, author.clone()));
        }
        let mut deliveries = vec![Only(to).hear(Reply::Whispered {
            from: author,
            text: text.clone(),
        })];
        if let Some(member) = self.members.get_mut(&from) {
            member.lines += 1;
            if member.echo {
                deliveries.push(Only(from).hear(Reply::WhisperSent {
                    to: recipient,
                    text,
                }));
            }
        }
        deliveries
    }

    fn rename(&mut self, id: ClientId, old: Nickname, new: Nickname) -> Vec<Delivery> {
        if new.to_string() == old.to_string() {
            return vec![problem(id, Problem::SameName(old))];
        }
        if new.is_a_guests() && !new.looks_like(&Nickname::guest(id)) {
            return vec![problem(id, Problem::GuestName(new))];
        }
        if !self.roster.is_free_for(&new, id) {
            return vec![problem(id, Problem::NameTaken(new))];
        }
        self.roster.strike(&old);
        self.roster.enter(new.clone(), id);
        if let Some(member) = self.members.get_mut(&id) {
            member.name = new.clone();
        }
        vec![Everyone.hear(Reply::Renamed { from: old, to: new })]
    }

    /// Who is here: the first `most` names, and the number of all.
    fn here(&self, most: usize) -> Here {
        Here {
            count: self.members.len(),
            names: self.roster.names().take(most).cloned().collect(),
        }
    }
}

/// Tells a client what is wrong with what it sent.
pub fn problem(to: ClientId, problem: Problem) -> Delivery {
    Only(to).hear(Reply::Problem(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A room in which alice, bob and carol sit, and a way to type lines into it.
    struct Stage {
        room: Room,
        ids: [ClientId; 3],
    }

    const ALICE: usize = 0;
    const BOB: usize = 1;
    const CAROL: usize = 2;

    impl Stage {
        fn set() -> Stage {
            let mut ids = ClientId::sequence();
            let ids = [(); 3].map(|()| ids.next().unwrap());
            let mut stage = Stage {
                room: Room::new(20),
                ids,
            };
            for (who, name) in ["alice", "bob", "carol"].iter().enumerate() {
                stage.room.join(ids[who]);
                stage.types(who, &format!("/nick {name}"));
            }
            stage
        }

        fn types(&mut self, who: usize, line: &str) -> Vec<(Recipients, String)> {
            let command = Command::parse(line).unwrap().unwrap();
            let deliveries = self.room.act(self.ids[who], command, ClockTime::default());
            deliveries
                .into_iter()
                .map(|delivery| (delivery.to, delivery.reply.to_string()))
                .collect()
        }
    }

    #[test]
    fn a_newcomer_is_welcomed_and_the_others_are_told() {
        let mut stage = Stage::set();
        let dave = ClientId::sequence().nth(3).unwrap();
        let deliveries = stage.room.join(dave);
        assert_eq!(deliveries[0].to, Only(dave));
        assert!(
            deliveries[0]
                .reply
                .to_string()
                .ends_with("*** 4 here: alice, bob, carol, guest4")
        );
        assert_eq!(deliveries[1].to, EveryoneBut(dave));
        assert_eq!(deliveries[1].reply.to_string(), "*** guest4 joined");
    }

    #[test]
    fn a_newcomer_to_a_full_room_sees_ten_names_and_the_exact_count() {
        let mut room = Room::new(20);
        let last = ClientId::sequence()
            .take(50)
            .map(|id| room.join(id))
            .last()
            .unwrap();
        let welcome = last[0].reply.to_string();
        assert!(
            welcome.contains("*** 50 here: guest1, guest10, guest11"),
            "{welcome}"
        );
        assert!(welcome.ends_with("… and 40 more"), "{welcome}");
    }

    #[test]
    fn in_a_large_room_only_numbers_are_told() {
        let mut room = Room::new(20);
        let ids: Vec<_> = ClientId::sequence().take(203).collect();
        let told = |deliveries: &[Delivery]| {
            deliveries.iter().any(|delivery| {
                delivery.to != Only(ids[0]) && delivery.reply.to_string().ends_with("joined")
            })
        };
        let announced = ids.iter().filter(|id| told(&room.join(**id))).count();
        assert_eq!(announced, 200);
        let goodbye = room
            .leave(ids[7], Some(Reason::LastWord("bye".into())), true)
            .unwrap()
            .farewell
            .unwrap();
        assert_eq!(
            (goodbye.to, goodbye.reply.to_string()),
            (Only(ids[7]), "*** guest8 left (bye)".to_owned())
        );
        assert_eq!(room.leave(ids[8], None, false).unwrap().farewell, None);
        let summary = room.summary().unwrap();
        assert_eq!(
            (summary.to, summary.reply.to_string()),
            (Everyone, "*** 3 joined, 2 left; 201 here".to_owned())
        );
        assert!(!room.has_summary() && room.summary().is_none());
        room.leave(ids[9], None, false);
        let told = room.leave(ids[10], None, false).unwrap().farewell.unwrap();
        assert_eq!(
            (told.to, told.reply.to_string()),
            (EveryoneBut(ids[10]), "*** guest11 left".to_owned())
        );
        assert_eq!(
            room.summary().unwrap().reply.to_string(),
            "*** 0 joined, 1 left; 199 here"
        );
    }

    #[test]
    fn what_alice_says_everyone_hears_and_she_too_unless_she_turns_it_off() {
        let mut stage = Stage::set();
        assert_eq!(
            stage.types(ALICE, "hi"),
            [(Everyone, "<alice> hi".to_owned())]
        );
        stage.types(ALICE, "/echo off");
        let others = EveryoneBut(stage.ids[ALICE]);
        assert_eq!(
            stage.types(ALICE, "/me waves"),
            [(others, "* alice waves".to_owned())]
        );
        assert_eq!(stage.types(ALICE, "/msg bob psst").len(), 1);
        stage.types(ALICE, "/echo on");
        assert_eq!(
            stage.types(ALICE, "hi"),
            [(Everyone, "<alice> hi".to_owned())]
        );
    }

    #[test]
    fn a_whisper_reaches_its_two_people_and_can_be_answered() {
        let mut stage = Stage::set();
        let [alice, bob, _] = stage.ids;
        let there = [
            (Only(bob), "[alice -> you] psst".to_owned()),
            (Only(alice), "[you -> bob] psst".to_owned()),
        ];
        assert_eq!(stage.types(ALICE, "/msg BOB psst"), there);
        stage.types(ALICE, "/nick al");
        let back = [
            (Only(alice), "[bob -> you] what?".to_owned()),
            (Only(bob), "[you -> al] what?".to_owned()),
        ];
        assert_eq!(stage.types(BOB, "/reply what?"), back);
    }

    #[test]
    fn newcomers_are_told_what_was_said_last() {
        let mut stage = Stage::set();
        stage.room.history_size = 2;
        for line in ["one", "/msg bob secret", "/me two", "/list", "three"] {
            stage.types(ALICE, line);
        }
        let expected = "*** The last 2 lines:\n[00:00] * alice two\n[00:00] <alice> three";
        assert_eq!(
            stage.types(BOB, "/history"),
            [(Only(stage.ids[BOB]), expected.to_owned())]
        );
        let dave = ClientId::sequence().nth(3).unwrap();
        let deliveries = stage.room.join(dave);
        assert_eq!(
            (deliveries[1].to, deliveries[1].reply.to_string()),
            (Only(dave), expected.to_owned())
        );

        let mut forgetful = Room::new(0);
        forgetful.join(dave);
        forgetful.act(dave, Command::Say("hi".into()), ClockTime::default());
        let recalled = forgetful.act(dave, Command::History, ClockTime::default());
        assert_eq!(
            recalled[0].reply.to_string(),
            "*** Nothing has been said yet."
        );
    }

    #[test]
    fn a_slip_of_the_finger_gets_the_nearest_name() {
        let mut stage = Stage::set();
        for (slip, meant) in [("alcie", "alice"), ("carrol", "carol"), ("BOBB", "bob")] {
            let answer = stage.types(ALICE, &format!("/msg {slip} hi"));
            assert_eq!(
                answer[0].1,
                format!("!!! No one here is called \"{slip}\". Did you mean {meant}?")
            );
        }
    }

    #[test]
    fn whispering_to_nobody_is_a_problem() {
        let mut stage = Stage::set();
        let heard = |(_, line): &(Recipients, String)| {
            line.starts_with("!!! No one here is called \"dave\"")
        };
        assert!(stage.types(ALICE, "/msg dave hi").iter().all(heard));
        assert!(
            stage.types(ALICE, "/r hi")[0]
                .1
                .starts_with("!!! Nobody has written to you")
        );
        stage.types(CAROL, "/nick dave");
        stage.types(CAROL, "/msg alice hi");
        stage.room.leave(stage.ids[CAROL], None, false);
        assert!(stage.types(ALICE, "/r hi").iter().all(heard));
    }

    #[test]
    fn a_name_belongs_to_one() {
        let mut stage = Stage::set();
        assert!(
            stage.types(BOB, "/nick Alice")[0]
                .1
                .starts_with("!!! Alice is taken")
        );
        assert!(
            stage.types(BOB, "/nick guest7")[0]
                .1
                .starts_with("!!! guest7 is for the guest")
        );
        assert!(
            stage.types(BOB, "/nick bob")[0]
                .1
                .starts_with("!!! You are bob already")
        );
        assert_eq!(
            stage.types(BOB, "/nick Bob"),
            [(Everyone, "*** bob is now Bob".to_owned())]
        );
        assert_eq!(
            stage.types(BOB, "/nick guest2"),
            [(Everyone, "*** Bob is now guest2".to_owned())]
        );
        stage.room.leave(stage.ids[ALICE], None, false);
        assert_eq!(
            stage.types(BOB, "/nick alice"),
            [(Everyone, "*** guest2 is now alice".to_owned())]
        );
        assert_eq!(stage.types(CAROL, "/list")[0].1, "*** 2 here: alice, carol");
    }

    #[test]
    fn the_departed_do_not_speak() {
        let mut stage = Stage::set();
        stage.types(CAROL, "hi");
        let departed = stage.room.leave(stage.ids[CAROL], None, false).unwrap();
        assert_eq!(
            (departed.name.to_string().as_str(), departed.lines),
            ("carol", 1)
        );
        assert_eq!(stage.types(CAROL, "boo"), []);
        assert_eq!(stage.room.leave(stage.ids[CAROL], None, false), None);
    }
}
