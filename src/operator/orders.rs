//! The operator's orders.
//!
//! An order only looks at the room. The dispatcher, which owns it, carries out the [`Effect`]s.

use super::console::Typed;
use super::order::{ORDERS, Order};
use crate::audience::{Audience, connection::Connection};
use crate::chat::reply::{COLUMNS, INDENT, wrapped};
use crate::chat::room::{Member, Room};
use crate::chat::{ClientId, Problem};
use crate::config::parse_net;
use crate::guard::admission::Admission;
use ipnet::IpNet;
use log::info;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// The reason that clients are told when a ban sends them away.
pub(crate) const BANNED: &str = "banned";

/// The heading of the operator's `/list`.
const HEADING: &str = "***    id name                 address                    here   lines  backlog";
const NAME: usize = 20;

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
        self.effects(line).unwrap_or_else(|problem| vec![Effect::Show(format!("!!! {problem}"))])
    }

    fn effects(&self, line: Typed) -> Result<Vec<Effect>, Problem> {
        let line = line?;
        let Some(order) = ORDERS.parse(&line) else { return Ok(Vec::new()) };
        let show = match order? {
            Order::Say(text) => return Ok(vec![Effect::Say(text)]),
            Order::Stop => return Ok(vec![Effect::Stop]),
            Order::Kick(name, reason) => {
                let id = self.find(&name).ok_or_else(|| format!("No one here is called \"{name}\"."))?;
                let shown = Effect::Show(format!("*** {name} has been sent away."));
                return Ok(vec![Effect::Kick(id, reason), shown]);
            }
            Order::Ban(whom) => return self.ban(&whom),
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

    fn ban(&self, whom: &str) -> Result<Vec<Effect>, Problem> {
        let net = parse_net(whom).map_or_else(|| self.address_of(whom), Ok)?;
        self.admission.ban(net);
        info!("the operator banned {net}");
        let (ids, names): (Vec<_>, Vec<_>) = self.from(net).unzip();
        let sent_away = counted("sent away", &names);
        let shown = format!("*** {net} is banned. /unban {net} lets them in again.\n{sent_away}");
        let kicks = ids.into_iter().map(|id| Effect::Kick(id, Some(BANNED.into())));
        Ok([Effect::Show(shown)].into_iter().chain(kicks).collect())
    }

    /// The address of one client, if it is nobody else's: a ban by name must not reach a whole classroom.
    fn address_of(&self, name: &str) -> Result<IpNet, Problem> {
        let connection = self.find(name).and_then(|id| self.audience.get(id));
        let connection =
            connection.ok_or_else(|| format!("\"{name}\" is no address, no network and no one here."))?;
        let address = connection.peer.ip();
        let others = self.from(address.into()).filter(|(id, _)| *id != connection.id);
        let others = others.map(|(_, name)| name).collect::<Vec<_>>().join(" and ");
        if others.is_empty() {
            return Ok(address.into());
        }
        Err(format!("{address} is also the address of {others}. /ban {address} sends all of them away."))
    }

    /// Everyone here who comes from there.
    fn from(&self, net: IpNet) -> impl Iterator<Item = (ClientId, String)> {
        let from_there = self.here().filter(move |(connection, _)| net.contains(&connection.peer.ip()));
        from_there.map(|(connection, member)| (connection.id, member.name.to_string()))
    }

    fn unban(&self, whom: &str) -> Result<String, Problem> {
        match parse_net(whom) {
            Some(net) if self.admission.unban(net) => Ok(format!("*** {net} may come in again.")),
            Some(net) => Err(format!("{net} is not banned. /bans lists who is.")),
            None => Err(format!("\"{whom}\" is no address and no network. /bans lists who is banned.")),
        }
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
