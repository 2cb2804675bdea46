//! The room: the people and their names, the last lines, and which line goes to whom.
//!
//! Clients' requests go in. Lines come out, each with its recipients, in the order in which they are to be
//! delivered. The [dispatcher](crate::dispatcher) owns the only `Room` and calls it from its one thread, so
//! "this name is free, so take it" needs no lock: nothing can come in between.
//!
//! The server's own lines begin with `*** `, a problem with what the client sent begins with `!!! `, and no
//! name can begin like either. Much of what clients see is written here, in the [table of
//! commands](super::command), the [names](super::nickname) and the [lists](super::reply). A sentence about a
//! connection, its pace or the length of a line stands where the story or the guard finds the matter.

use super::command::{COMMANDS, Request, looks_like};
use super::nickname::{Nickname, fold};
use super::{ClientId, Now, Problem, TALK, names::Names, reply, text::is_blank};
use jiff::civil::DateTime;
use log::info;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use strsim::osa_distance;

/// How many names a newcomer is shown at most, if they fit a line. With all names, n joins would
/// send n² names.
const NAMES_IN_WELCOME: usize = 25;

/// How many names `/list` shows at most.
const NAMES_IN_LIST: usize = 200;

/// In a larger room nobody is told of joins and leaves. To tell everyone of n joins would send n² lines, and
/// nobody could read them.
const LARGEST_ANNOUNCED: usize = 200;

/// In a larger room a name that nobody has is not compared with all others, so that asking for such names
/// cannot keep the dispatcher busy.
const MOST_COMPARED: usize = 50;

/// The operator, who is no client, as the author of a private line; and the name for it.
const OPERATOR: ClientId = ClientId(0);
const SERVER: &str = "server";

/// Everyone who is here, and the last lines of talk.
#[derive(Debug, Default)]
pub(crate) struct Room {
    members: HashMap<ClientId, Member>,
    names: Names,
    /// The last lines of talk and when they were said, the oldest first.
    history: VecDeque<(DateTime, String)>,
    /// How many bytes they are on a screen, with their times.
    history_bytes: usize,
    /// How many lines and bytes of history are kept.
    max_history: (usize, usize),
    /// A person is at the server's keyboard, and can be written to.
    pub(crate) has_operator: bool,
}

/// One client, as the room knows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: Nickname,
    /// The time to tell the others that it joined has passed. In a large room they are not told.
    announced: bool,
    /// Its own lines come back to it.
    echo: bool,
    /// The author of the last private line to this client, and the name it had then: for `/reply`.
    last_whisper: Option<(ClientId, String)>,
    /// How many of its lines were delivered, public and private ones.
    pub(crate) lines: u64,
}

/// One line, or several in one text, without the last line break.
pub(crate) type Delivery = (Recipients, String);

/// The recipients of a [`Delivery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recipients {
    Everyone,
    EveryoneBut(ClientId),
    /// Those who came before this client. Whoever came later has found it here.
    EveryoneBefore(ClientId),
    /// This client, and those who came later.
    EveryoneFrom(ClientId),
    Only(ClientId),
    Operator,
    /// The one who asked. The room never waits for a client that is behind with answers to itself.
    Asker(ClientId),
    /// The same, for lines of the past, which have their own time already.
    AskerForHistory(ClientId),
}

/// Those who are told that a client has left, perhaps with a reason behind its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Farewell {
    Nobody,
    Others(Option<String>),
    /// The client too, as a receipt.
    Everyone(Option<String>),
}

use Recipients::{
    Asker, AskerForHistory, Everyone, EveryoneBefore, EveryoneBut, EveryoneFrom, Only, Operator,
};

impl Room {
    /// An empty room that remembers the last `history` lines, or fewer if they are more than `history_bytes`
    /// long.
    pub(crate) fn new(history: usize, history_bytes: usize) -> Room {
        Room { max_history: (history, history_bytes), ..Room::default() }
    }

    /// A client comes in from `origin`, as a guest. It is here at once; [`announce`](Room::announce) tells
    /// the others. The room only compares origins.
    pub(crate) fn join(&mut self, id: ClientId, origin: IpAddr, now: Now) -> Vec<Delivery> {
        let name = Nickname::guest(id);
        self.names.add(id, name.clone(), origin);
        let member =
            Member { name: name.clone(), announced: false, echo: true, last_whisper: None, lines: 0 };
        self.members.insert(id, member);
        let history = (!self.history.is_empty()).then(|| self.recall(id, now));
        let here = reply::names_in_one_line(self.members.len(), &self.names(NAMES_IN_WELCOME));
        let welcome = format!(
            "*** Welcome to chat-server! You are {name}.\n\
             *** Type to talk. /nick NAME names you, /help lists commands, /quit leaves.\n\
             {here}"
        );
        history.into_iter().chain([(Asker(id), welcome)]).collect()
    }

    /// Tells the others that a client has joined, if that has not been said. A client that ends before,
    /// without a word, is never mentioned: most are port scans and health checks.
    ///
    /// Nothing is said while the others are told enough already (`may_tell`); then it may be at a later line.
    pub(crate) fn announce(&mut self, id: ClientId, may_tell: impl FnOnce() -> bool) -> Option<Delivery> {
        let is_small = self.members.len() <= LARGEST_ANNOUNCED;
        let member = self.members.get_mut(&id).filter(|member| !member.announced)?;
        member.announced = !is_small || may_tell();
        (is_small && member.announced).then(|| (EveryoneBefore(id), format!("*** {} joined", member.name)))
    }

    /// A client is gone; [`Names`] keeps its name for a while. Returns the former member and the line about
    /// it; `None` if it was not here. The others are not told while they are told enough already
    /// (`may_tell`).
    pub(crate) fn leave(
        &mut self,
        id: ClientId,
        farewell: Farewell,
        may_tell: impl FnOnce() -> bool,
        now: Now,
    ) -> Option<(Member, Option<Delivery>)> {
        let is_small = self.members.len() <= LARGEST_ANNOUNCED;
        let member = self.members.remove(&id)?;
        self.names.remove(&member.name, now);
        let others_know = is_small && member.announced && farewell != Farewell::Nobody && may_tell();
        let (to, reason) = match farewell {
            Farewell::Everyone(reason) => (if others_know { Everyone } else { Only(id) }, reason),
            Farewell::Others(reason) if others_know => (EveryoneBut(id), reason),
            Farewell::Others(_) | Farewell::Nobody => return Some((member, None)),
        };
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let line = format!("*** {} left{reason}", member.name);
        Some((member, Some((to, line))))
    }

    /// A client asks for something. Nothing comes of it if the client is not here any more.
    pub(crate) fn act(&mut self, id: ClientId, request: Request, now: Now) -> Result<Vec<Delivery>, Problem> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(Vec::new()) };
        let all = if member.echo { Everyone } else { EveryoneBut(id) };
        let text = match request {
            Request::SayUnlessHere(word, name, _) if self.names.find(&name).is_some() => {
                return Err(looks_like(word));
            }
            Request::Say(text) | Request::SayUnlessHere(_, _, text) => {
                // Without its blanks: behind a time and a name they could reach the next row.
                info!(target: TALK, "{}: {}", member.name, text.trim_start_matches(is_blank));
                member.lines += 1;
                // Nearly every line comes here, so this asks for little memory.
                let line = ["<", member.name.as_str(), "> ", &text].concat();
                let said = self.talk(all, line, now);
                return Ok([said].into_iter().chain(hint(&text).map(|hint| notice(id, hint))).collect());
            }
            Request::Me(text) => {
                let line = format!("* {} {text}", member.name);
                info!(target: TALK, "{line}");
                member.lines += 1;
                return Ok(vec![self.talk(all, line, now)]);
            }
            Request::Msg(name, text) if name.eq_ignore_ascii_case(SERVER) => {
                return self.whisper_to_operator(id, &text);
            }
            Request::Msg(name, text) => {
                let to = self.find(&name).ok_or_else(|| self.nobody_called(&name))?;
                return Ok(self.whisper(id, to, &text));
            }
            Request::Reply(text) => match member.last_whisper.clone() {
                Some((OPERATOR, _)) => return self.whisper_to_operator(id, &text),
                Some((to, _)) if self.members.contains_key(&to) => return Ok(self.whisper(id, to, &text)),
                Some((_, gone)) if self.find(&gone).is_some() => {
                    return Err(format!(
                        "The {gone} who wrote to you has left. To write to the {gone} who is here: /msg {gone} TEXT"
                    ));
                }
                Some((_, gone)) => return Err(self.nobody_called(&gone)),
                None => return Err("Nobody has written to you privately yet. Use /msg NAME TEXT.".to_owned()),
            },
            Request::Nick(new) if new == member.name => return Err(format!("You are {new} already.")),
            Request::Nick(new) => {
                self.names.change(&member.name, &new, now)?;
                info!(target: TALK, "client {id} ({}) is now {new}", member.name);
                let renamed = format!("*** {} is now {new}", member.name);
                member.name = new;
                // The others will be told that it joined, under the new name only.
                return Ok(vec![(if member.announced { Everyone } else { EveryoneFrom(id) }, renamed)]);
            }
            Request::Quit(_) => return Ok(Vec::new()), // The client's thread has made a leave of it.
            Request::History if self.max_history.0 == 0 => "*** This server keeps no history.".to_owned(),
            Request::History => return Ok(vec![self.recall(id, now)]),
            Request::List => reply::names_in_lines(self.members.len(), &self.names(NAMES_IN_LIST)),
            Request::Echo(on) => {
                member.echo = on;
                let what = if on { "on: your own lines come" } else { "off: your own lines do not come" };
                format!("*** Echo is {what} back to you.")
            }
            // The audience adds the timestamps; the room only confirms.
            Request::Timestamps(true) => "*** Timestamps are on: each line begins with its time.".to_owned(),
            Request::Timestamps(false) => "*** Timestamps are off.".to_owned(),
            Request::Help => COMMANDS.help(),
        };
        Ok(vec![(Asker(id), text)])
    }

    /// The name of a client that the operator has sent away stays out for a while.
    pub(crate) fn keep_out(&mut self, name: &Nickname) {
        self.names.keep_out(name);
    }

    /// Takes the lines of a name out of the history, and says how many they were.
    pub(crate) fn forget(&mut self, name: &str) -> usize {
        let name = fold(name);
        let is_of = |line: &str| {
            let said = line.strip_prefix('<').and_then(|line| line.split_once("> "));
            let author = said.or_else(|| line.strip_prefix("* ")?.split_once(' '));
            author.is_some_and(|(author, _)| fold(author) == name)
        };
        let before = self.history.len();
        self.history.retain(|(_, line)| !is_of(line));
        self.history_bytes = self.history.iter().map(|(_, line)| size(line)).sum();
        before - self.history.len()
    }

    /// The operator writes to one person. Returns what that person and what the operator is shown.
    pub(crate) fn whisper_as_operator(&mut self, to: ClientId, text: &str) -> Option<(Delivery, String)> {
        let recipient = self.members.get_mut(&to)?;
        info!("the operator wrote to {} privately", recipient.name);
        recipient.last_whisper = Some((OPERATOR, SERVER.to_owned()));
        let line = (Only(to), format!("[{SERVER} -> you] {text}"));
        Some((line, format!("[you -> {}] {text}", recipient.name)))
    }

    /// The operator says something.
    pub(crate) fn say_as_operator(&mut self, text: &str, now: Now) -> Delivery {
        info!(target: TALK, "[server] {text}");
        self.talk(Everyone, format!("*** [server] {text}"), now)
    }

    /// Says something in public, and remembers it for newcomers.
    fn talk(&mut self, to: Recipients, line: String, now: Now) -> Delivery {
        let (max_lines, max_bytes) = self.max_history;
        if max_lines == 0 {
            return (to, line);
        }
        self.history_bytes += size(&line);
        self.history.push_back((now.local, line.clone()));
        while self.history.len() > max_lines || self.history_bytes > max_bytes {
            let Some((_, oldest)) = self.history.pop_front() else { break };
            self.history_bytes -= size(&oldest);
        }
        (to, line)
    }

    fn recall(&self, id: ClientId, now: Now) -> Delivery {
        (AskerForHistory(id), reply::history(&self.history, now.local))
    }

    /// The log has the two names, and not the text. The author's copy says that the line is on its way.
    fn whisper(&mut self, from: ClientId, to: ClientId, text: &str) -> Vec<Delivery> {
        let Some(author) = self.members.get_mut(&from) else { return Vec::new() };
        author.lines += 1;
        let name = author.name.to_string();
        let echo = author.echo;
        let Some(recipient) = self.members.get_mut(&to) else { return Vec::new() };
        info!("{name} wrote to {} privately", recipient.name);
        let line = (Only(to), format!("[{name} -> you] {text}"));
        let receipt = echo.then(|| (Asker(from), format!("[you -> {}] {text}", recipient.name)));
        // A note to oneself is nothing to reply to.
        if from != to {
            recipient.last_whisper = Some((from, name));
        }
        [line].into_iter().chain(receipt).collect()
    }

    /// Writes to the operator, whom nobody can take for a client: the name is reserved.
    fn whisper_to_operator(&mut self, from: ClientId, text: &str) -> Result<Vec<Delivery>, Problem> {
        let Some(author) = self.members.get_mut(&from).filter(|_| self.has_operator) else {
            return Err("No one is at the server's keyboard, so nobody got that.".to_owned());
        };
        author.lines += 1;
        info!("{} wrote to the operator privately", author.name);
        let line = (Operator, format!("[{} -> you] {text}", author.name));
        let receipt = author.echo.then(|| (Asker(from), format!("[you -> {SERVER}] {text}")));
        Ok([line].into_iter().chain(receipt).collect())
    }

    /// The client that has exactly this name, but for its case: a private line must not reach a look-alike.
    pub(crate) fn find(&self, name: &str) -> Option<ClientId> {
        self.names.find(name)
    }

    /// One of those who are here.
    pub(crate) fn member(&self, id: ClientId) -> Option<&Member> {
        self.members.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Names the member that may have been meant: the one whose name is one or two slips of a finger away (in
    /// a word of less than four letters, one). Of a name between marks, such as `@bob:`, the marks do not
    /// count.
    pub(crate) fn nobody_called(&self, name: &str) -> Problem {
        format!("No one here is called \"{name}\". {}", self.meant_by(name))
    }

    /// A hint for a name that nobody has.
    pub(crate) fn meant_by(&self, name: &str) -> String {
        // Any longer word is a slip of no name, and would only take time.
        let beginning: String = name.chars().take(2 * Nickname::MAX_CHARS).collect();
        let typed = fold(beginning.trim_matches(|c: char| !c.is_alphanumeric()));
        let slips = if typed.chars().count() < 4 { 1 } else { 2 };
        let compared = if self.len() <= MOST_COMPARED { MOST_COMPARED } else { 0 };
        let near = self.names.iter().take(compared).map(|known| (osa_distance(&known.folded, &typed), known));
        let nearest = near.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance);
        match nearest {
            Some((_, known)) => format!("Did you mean {known}?"),
            None => "/list shows who is here.".to_owned(),
        }
    }

    /// The first `most` names, in alphabetical order.
    fn names(&self, most: usize) -> Vec<String> {
        self.names.iter().take(most).map(ToString::to_string).collect()
    }
}

/// How many bytes a line of the history is on a screen, with its time.
fn size(line: &str) -> usize {
    "[2026-11-25 14:03] \n".len() + line.len()
}

/// A word that other programs obey is talk here. This is what its author is told.
fn hint(text: &str) -> Option<&'static str> {
    let is = |word: &str| text.trim().eq_ignore_ascii_case(word);
    if is("quit") || is("exit") {
        Some("To leave, type /quit.")
    } else {
        is("help").then_some("For the commands, type /help.")
    }
}

/// Tells a client something.
pub(crate) fn notice(to: ClientId, text: &str) -> Delivery {
    (Asker(to), format!("*** {text}"))
}

/// Tells a client what is wrong with a line of its own.
pub(crate) fn problem(to: ClientId, problem: &str) -> Delivery {
    (Asker(to), format!("!!! {problem}"))
}

#[cfg(test)]
mod tests;
