//! The operator's orders.
//!
//! An order only looks at the room. The dispatcher, which owns it, carries out the [`Effect`]s.

use super::console::Typed;
use super::{COLUMNS, list_in_lines};
use crate::audience::Audience;
use crate::chat::command::{Order, help_for_the_operator};
use crate::chat::{
    ClientId, Problem,
    nickname::Nickname,
    room::{Member, Room},
};
use crate::config::parse_net;
use crate::guard::{
    admission::Admission,
    text::{printable, visible},
};
use ipnet::IpNet;
use log::info;
use std::{iter, sync::Arc};
use unicode_width::UnicodeWidthStr;

/// The reason that clients are told when a ban sends them away.
pub(crate) const BANNED: &str = "banned";

/// The heading of the operator's `/list`. An IPv6 address and a name of wide letters do not fit under it; such a client
/// has two lines.
const HEADING: &str = "***    id name                 address                    here   lines  backlog";
const NAME: usize = 20;

/// How many names an answer spells out.
const MOST_NAMES: usize = 20;

/// Something for the dispatcher to do.
pub(crate) enum Effect {
    /// Show this to the operator.
    Show(String),
    Say(Arc<str>),
    Kick(ClientId, Option<Arc<str>>),
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
        let order = match line.map(|line| Order::parse(&printable(&line), &visible(&line))) {
            Ok(None) => return Vec::new(),
            Ok(Some(Ok(order))) => order,
            Ok(Some(Err(problem))) | Err(problem) => return vec![Effect::Show(format!("!!! {problem}"))],
        };
        let show = match order {
            Order::Say(text) => return vec![Effect::Say(text)],
            Order::Stop => return vec![Effect::Stop],
            Order::Kick(name, reason) => match self.find(&name) {
                Some(id) => {
                    let shown = Effect::Show(format!("*** {name} has been sent away."));
                    return vec![Effect::Kick(id, reason), shown];
                }
                None => format!("!!! No one here is called \"{name}\"."),
            },
            Order::Ban(whom) => return self.ban(&whom),
            Order::Unban(whom) => self.unban(&whom),
            Order::Bans => {
                let bans: Vec<_> = self.admission.bans().iter().map(ToString::to_string).collect();
                let colon = if bans.is_empty() { "" } else { ":" };
                list_in_lines(&format!("*** {} banned{colon}", bans.len()), &bans, COLUMNS)
            }
            Order::List => self.list(),
            Order::Help => help_for_the_operator(),
        };
        vec![Effect::Show(show)]
    }

    fn find(&self, name: &str) -> Option<ClientId> {
        if let Some(number) = name.strip_prefix('#') {
            return number.parse().ok().map(ClientId).filter(|id| self.room.member(*id).is_some());
        }
        Nickname::parse(name).ok().and_then(|name| self.room.find(&name))
    }

    fn list(&self) -> String {
        let mut list = format!("*** {} here\n{HEADING}", self.room.len());
        for connection in self.audience.present() {
            let (id, peer) = (connection.id.to_string(), connection.peer.to_string());
            let Some(Member { name, lines, .. }) = self.room.member(connection.id) else { continue };
            let name = name.to_string();
            let seconds = connection.since.elapsed().as_secs();
            let stay = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let numbers = format!("{stay:>9} {lines:>7} {:>8}", connection.backlog());
            list += &row(&id, &name, &peer, &numbers);
        }
        list
    }

    fn ban(&self, whom: &str) -> Vec<Effect> {
        let net = match parse_net(whom).map_or_else(|| self.address_of(whom), Ok) {
            Ok(net) => net,
            Err(problem) => return vec![Effect::Show(format!("!!! {problem}"))],
        };
        self.admission.ban(net);
        info!("the operator banned {net}");
        let sent_away = self.from(net);
        let colon = if sent_away.is_empty() { "." } else { ":" };
        let start = format!("*** {} sent away{colon}", sent_away.len());
        let who = list_in_lines(&start, &names_of(&sent_away), COLUMNS);
        let shown = Effect::Show(format!("*** {net} is banned. /unban {net} lets them in again.\n{who}"));
        let kicks = sent_away.iter().map(|(id, _)| Effect::Kick(*id, Some(BANNED.into())));
        iter::once(shown).chain(kicks).collect()
    }

    /// The address of one client, if it is nobody else's: a ban by name must not reach a whole classroom.
    fn address_of(&self, name: &str) -> Result<IpNet, Problem> {
        let connection = self.find(name).and_then(|id| self.audience.get(id));
        let connection =
            connection.ok_or_else(|| format!("\"{name}\" is no address, no network and no one here."))?;
        let address = connection.peer.ip();
        let mut others = self.from(address.into());
        others.retain(|(id, _)| *id != connection.id);
        match names_of(&others).split_last() {
            None => Ok(address.into()),
            Some((last, [])) => Err(last.clone()),
            Some((last, first)) => Err(format!("{} and {last}", first.join(", "))),
        }
        .map_err(|others| {
            format!("{address} is also the address of {others}. /ban {address} sends all of them away.")
        })
    }

    /// Everyone here who comes from there.
    fn from(&self, net: IpNet) -> Vec<(ClientId, String)> {
        let from_there = self.audience.present().filter(|connection| net.contains(&connection.peer.ip()));
        let named = from_there.map(|connection| {
            let name = self.room.member(connection.id).map(|member| member.name.to_string());
            (connection.id, name.unwrap_or_default())
        });
        named.collect()
    }

    fn unban(&self, whom: &str) -> String {
        match parse_net(whom) {
            Some(net) if self.admission.unban(net) => format!("*** {net} may come in again."),
            Some(net) => format!("!!! {net} is not banned. /bans lists who is."),
            None => format!("!!! \"{whom}\" is no address and no network. /bans lists who is banned."),
        }
    }
}

/// One client's row, or two where one would be wider than the screen.
fn row(id: &str, name: &str, peer: &str, numbers: &str) -> String {
    let blanks = " ".repeat(NAME.saturating_sub(name.width()));
    let row = format!("*** {id:>5} {name}{blanks} {peer:<21} {numbers}");
    if row.width() <= COLUMNS {
        return format!("\n{row}");
    }
    let width = COLUMNS.saturating_sub("***  ".len() + numbers.len());
    format!("\n*** {id:>5} {name}\n*** {peer:>width$} {numbers}")
}

/// The names, but not all of a crowd.
fn names_of(clients: &[(ClientId, String)]) -> Vec<String> {
    let more = clients.len().saturating_sub(MOST_NAMES);
    let mut names: Vec<_> = clients.iter().map(|(_, name)| name.clone()).take(MOST_NAMES).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_fits_80_columns_and_its_heading() {
        let numbers = format!("{:>9} {:>7} {:>8}", "99:59:59", 1_234_567, 262_144);
        let usual = row("1", "alice", "192.168.100.200:65535", &numbers);
        assert_eq!(usual.lines().count(), 2, "{usual}"); // It begins with a line break.
        assert_eq!(usual.lines().nth(1).unwrap().width(), HEADING.len());
        for (name, peer) in [
            ("alice", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"),
            ("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "192.168.100.200:65535"),
            ("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"),
        ] {
            let rows = row("123456", name, peer, &numbers);
            assert_eq!(rows.lines().count(), 3, "{rows}");
            assert!(rows.lines().all(|line| line.width() <= COLUMNS), "{rows}");
        }
    }
}
