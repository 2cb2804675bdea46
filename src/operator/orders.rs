//! The operator's orders.
//!
//! An order only looks at the room. The dispatcher, which owns it, carries out the [`Effect`]s.

use super::console::Typed;
use super::order::{ORDERS, Order};
use crate::audience::{Audience, connection::Connection};
use crate::chat::command::split_word;
use crate::chat::nickname::Nickname;
use crate::chat::reply::{COLUMNS, INDENT, wrapped};
use crate::chat::room::{Member, Room};
use crate::chat::{ClientId, Problem};
use crate::config::parse_net;
use crate::guard::admission::Admission;
use ipnet::IpNet;
use log::info;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr;

/// The reason that clients are told when a ban sends them away.
pub(crate) const BANNED: &str = "banned";

/// How long the address of a person who was sent away stays out. Its name does so for as long.
const KEPT_OUT: Duration = Duration::from_secs(60);

/// The heading of the operator's `/list`.
const HEADING: &str = "***    id name                 address                    here   lines  backlog";
const NAME: usize = 20;

/// Something for the dispatcher to do.
pub(crate) enum Effect {
    /// Show this to the operator.
    Show(String),
    Say(Arc<str>),
    Msg(ClientId, Arc<str>),
    Kick(ClientId, Option<Arc<str>>),
    /// Nobody gets the name of one who was kicked, for a minute.
    KeepOut(Nickname),
    /// Take the lines of this name out of the history.
    Forget(String),
    /// Show how others connect.
    Invite,
    Stop,
}

/// The room and the rules that an order looks at.
pub(crate) struct Orders<'a> {
    pub(crate) room: &'a Room,
    pub(crate) audience: &'a Audience,
    pub(crate) admission: &'a Admission,
}

impl Orders<'_> {
    /// Understands one line from the console.
    pub(crate) fn obey(&self, line: Typed) -> Vec<Effect> {
        let problem = |problem| vec![Effect::Show(wrapped(&format!("!!! {problem}"), COLUMNS, INDENT))];
        self.effects(line).unwrap_or_else(problem)
    }

    fn effects(&self, line: Typed) -> Result<Vec<Effect>, Problem> {
        let line = line?;
        let Some(order) = ORDERS.parse(&line) else { return Ok(Vec::new()) };
        let show = match order? {
            Order::Say(text) => {
                self.check_is_talk(&text)?;
                return Ok(vec![Effect::Say(text)]);
            }
            Order::Msg(name, text) => return Ok(vec![Effect::Msg(self.id_of(&name)?, text)]),
            Order::Addresses => return Ok(vec![Effect::Invite]),
            Order::Stop => return Ok(vec![Effect::Stop]),
            Order::Kick(name, reason) => return self.kick(&name, reason),
            Order::Forget(name) => {
                let member = self.find(&name).and_then(|id| self.room.member(id));
                let name = member.map_or(name.to_string(), |member| member.name.to_string());
                return Ok(vec![Effect::Forget(name)]);
            }
            Order::Ban(whom, reason) => return self.ban(&whom, reason.as_deref()),
            Order::Unban(whom) => self.unban(&whom)?,
            Order::Bans => counted("banned", &self.admission.bans()),
            Order::List => self.list(),
            Order::Help => ORDERS.help(),
        };
        Ok(vec![Effect::Show(show)])
    }

    fn find(&self, name: &str) -> Option<ClientId> {
        if let Some(number) = name.strip_prefix('#') {
            return number.parse().ok().map(ClientId).filter(|id| self.room.member(*id).is_some());
        }
        self.room.find(name)
    }

    fn id_of(&self, name: &str) -> Result<ClientId, Problem> {
        self.find(name).ok_or_else(|| self.room.nobody_called(name))
    }

    /// A line that begins with the word of an order is one without its slash, if that word is all, or if the
    /// next one is a person or an address.
    fn check_is_talk(&self, text: &str) -> Result<(), Problem> {
        let (word, rest) = split_word(text.trim());
        let target = split_word(rest).0;
        match ORDERS.meant_by(word) {
            Some(order) if rest.is_empty() || self.find(target).is_some() || net(target).is_some() => {
                Err(format!("Did you mean /{order}? To say it to everyone, begin it with another word."))
            }
            _ => Ok(()),
        }
    }

    fn here(&self) -> impl Iterator<Item = (&Connection, &Member)> {
        self.audience.present().filter_map(|connection| Some((connection, self.room.member(connection.id)?)))
    }

    fn list(&self) -> String {
        let mut list = format!("*** {} here\n{HEADING}", self.room.len());
        for (connection, member) in self.here() {
            let seconds = connection.since.elapsed().as_secs();
            let stay = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let numbers = format!("{stay:>9} {:>7} {:>8}", member.lines, connection.backlog());
            list += "\n";
            list += &row(connection.id, &member.name.to_string(), &connection.peer.to_string(), &numbers);
        }
        list
    }

    /// Sends one person away, and keeps its address out for a minute, unless others here have it too: a class
    /// behind one router is not locked out.
    fn kick(&self, name: &str, reason: Option<Arc<str>>) -> Result<Vec<Effect>, Problem> {
        let id = self.id_of(name)?;
        let mut effects =
            vec![Effect::Kick(id, reason), Effect::Show(format!("*** {name} has been sent away."))];
        if let (Some(connection), Some(member)) = (self.audience.get(id), self.room.member(id)) {
            let address = connection.peer.ip();
            let others = self.others_at(connection);
            let and_the_address = if others.is_empty() {
                self.admission.ban(address.into(), Some(Instant::now() + KEPT_OUT));
                format!(", and so does {address}.")
            } else {
                format!("; {address} does not, for it is also the address of {}.", few(&others))
            };
            effects.push(Effect::KeepOut(member.name.clone()));
            let shown = format!("*** The name {} stays out for a minute{and_the_address}", member.name);
            effects.push(Effect::Show(wrapped(&shown, COLUMNS, INDENT)));
        }
        Ok(effects)
    }

    fn ban(&self, whom: &str, reason: Option<&str>) -> Result<Vec<Effect>, Problem> {
        if let Some(second) = reason.map(|reason| split_word(reason).0).filter(|word| net(word).is_some()) {
            return Err(format!("One at a time: /ban {whom}, and then /ban {second}."));
        }
        let net = net(whom).map_or_else(|| self.address_of(whom), Ok)?;
        let around = self.admission.bans().into_iter().find(|ban| *ban != net && ban.contains(&net));
        self.admission.ban(net, None);
        info!("the operator banned {net}");
        let (ids, names): (Vec<_>, Vec<_>) = self.from(net).unzip();
        let also =
            around.map_or(String::new(), |around| format!(", with /unban {around}, which has it too,"));
        let shown = format!("*** {net} is banned. /unban {net}{also} lets them in again.");
        let shown = format!("{}\n{}", wrapped(&shown, COLUMNS, INDENT), counted("sent away", &names));
        let why: Arc<str> = reason.map_or(BANNED.into(), |reason| format!("{BANNED}: {reason}").into());
        let kicks = ids.into_iter().map(|id| Effect::Kick(id, Some(why.clone())));
        Ok([Effect::Show(shown)].into_iter().chain(kicks).collect())
    }

    /// The address of one client, if it is nobody else's: a ban by name must not reach a whole classroom.
    fn address_of(&self, name: &str) -> Result<IpNet, Problem> {
        let connection = self.find(name).and_then(|id| self.audience.get(id));
        let connection = connection.ok_or_else(|| {
            format!("\"{name}\" is no address, no network and no one here. {}", self.room.meant_by(name))
        })?;
        let address = connection.peer.ip();
        let others = self.others_at(connection);
        if others.is_empty() {
            return Ok(address.into());
        }
        let others = few(&others);
        Err(format!("{address} is also the address of {others}. /ban {address} sends all of them away."))
    }

    /// The others who come from the address of this client.
    fn others_at(&self, connection: &Connection) -> Vec<String> {
        let from_there = self.from(connection.peer.ip().into());
        from_there.filter(|(id, _)| *id != connection.id).map(|(_, name)| name).collect()
    }

    /// Everyone here who comes from there.
    fn from(&self, net: IpNet) -> impl Iterator<Item = (ClientId, String)> {
        let from_there = self.here().filter(move |(connection, _)| net.contains(&connection.peer.ip()));
        from_there.map(|(connection, member)| (connection.id, member.name.to_string()))
    }

    fn unban(&self, whom: &str) -> Result<String, Problem> {
        let net = net(whom)
            .ok_or_else(|| format!("\"{whom}\" is no address and no network. /bans lists who is banned."))?;
        let was_banned = self.admission.unban(net);
        let bans = self.admission.bans();
        if let Some(around) = bans.iter().find(|ban| ban.contains(&net)) {
            return Err(format!(
                "{net} stays out, because {around} is banned. /unban {around} lets all of it in."
            ));
        }
        let inside: Vec<_> = bans.iter().filter(|ban| net.contains(*ban)).map(ToString::to_string).collect();
        let but = |what: String| {
            if inside.is_empty() {
                format!("{what}.")
            } else {
                format!("{what}, but {} stays out.", few(&inside))
            }
        };
        if was_banned {
            return Ok(format!("*** {}", but(format!("{net} may come in again"))));
        }
        Err(format!("{} /bans lists who is.", but(format!("{net} is not banned"))))
    }
}

/// The network that a word names: as for `--allow`, or an address as `/list` shows it, with its port, or with
/// the zone of a link-local one. A ban holds in all zones.
fn net(word: &str) -> Option<IpNet> {
    let in_brackets =
        word.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let before_port =
        word.split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map(|(address, _)| address);
    let address = in_brackets.or(before_port).unwrap_or(word);
    parse_net(address.split('%').next()?)
}

/// At most three of them.
fn few(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if names.len() <= 3 => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {} others", names[..3].join(", "), names.len() - 3),
    }
}

/// One client's row. It has a second line where an IPv6 address or a name of wide letters needs the space.
fn row(id: ClientId, name: &str, peer: &str, numbers: &str) -> String {
    let blanks = " ".repeat(NAME.saturating_sub(name.width()));
    wrapped(&format!("*** {id:>5} {name}{blanks} {peer:<21} {numbers}"), COLUMNS, INDENT)
}

/// How many there are, and all of them.
fn counted(what: &str, items: &[impl ToString]) -> String {
    let all: Vec<_> = items.iter().map(ToString::to_string).collect();
    let list = if all.is_empty() { ".".to_owned() } else { format!(": {}", all.join(", ")) };
    wrapped(&format!("*** {} {what}{list}", all.len()), COLUMNS, INDENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fits_80_columns_and_its_heading() {
        let numbers = format!("{:>9} {:>7} {:>8}", "99:59:59", 1_234_567, 262_144);
        let usual = row(ClientId(1), "alice", "192.168.100.200:65535", &numbers);
        assert_eq!(usual.width(), HEADING.len(), "{usual}");
        for (name, peer) in [
            ("alice", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"),
            ("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "192.168.100.200:65535"),
            ("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"),
        ] {
            let rows = row(ClientId(123_456), name, peer, &numbers);
            assert_eq!(rows.lines().count(), 2, "{rows}");
            assert_eq!(
                rows.split_whitespace().count(),
                8,
                "nothing is torn, and the second line has its stars: {rows}"
            );
            assert!(rows.lines().all(|line| line.width() <= COLUMNS), "{rows}");
        }
    }
}
