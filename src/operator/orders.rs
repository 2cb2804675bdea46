//! The operator's orders.
//!
//! An order only looks at the room. The dispatcher, which owns it, carries out the [`Effect`]s.

use super::console::Typed;
use crate::audience::Audience;
use crate::chat::command::{Order, help_for_the_operator};
use crate::chat::{
    ClientId,
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
use std::sync::Arc;

/// The reason that clients are told when a ban sends them away.
pub(crate) const BANNED: &str = "banned";

/// The heading of the operator's `/list`.
const COLUMNS: &str = "***     id name                 address                         here   lines  backlog";

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
                let colon = if bans.is_empty() { "" } else { ": " };
                format!("*** {} banned{colon}{}", bans.len(), bans.join(", "))
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
        let mut list = format!("*** {} here\n{COLUMNS}", self.room.len());
        for connection in self.audience.present() {
            let (id, peer) = (connection.id.to_string(), connection.peer.to_string());
            let Some(Member { name, lines, .. }) = self.room.member(connection.id) else { continue };
            let name = name.to_string();
            let seconds = connection.since.elapsed().as_secs();
            let stay = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            let backlog = connection.backlog();
            list += &format!("\n*** {id:>6} {name:<20} {peer:<26} {stay:>9} {lines:>7} {backlog:>8}");
        }
        list
    }

    fn ban(&self, whom: &str) -> Vec<Effect> {
        let address = |id| self.audience.get(id).map(|connection| IpNet::from(connection.peer.ip()));
        let Some(net) = parse_net(whom).or_else(|| self.find(whom).and_then(address)) else {
            return vec![Effect::Show(format!("!!! \"{whom}\" is no address, no network and no one here."))];
        };
        self.admission.ban(net);
        info!("the operator banned {net}");
        let from_there = self.audience.present().filter(|connection| net.contains(&connection.peer.ip()));
        let kicks = from_there.map(|connection| Effect::Kick(connection.id, Some(BANNED.into())));
        let mut effects: Vec<_> = kicks.collect();
        let count = effects.len();
        let shown = format!("*** {net} is banned; {count} sent away. /unban {net} lets them in again.");
        effects.insert(0, Effect::Show(shown));
        effects
    }

    fn unban(&self, whom: &str) -> String {
        match parse_net(whom) {
            Some(net) if self.admission.unban(net) => format!("*** {net} may come in again."),
            Some(net) => format!("!!! {net} is not banned. /bans lists who is."),
            None => format!("!!! \"{whom}\" is no address and no network. /bans lists who is banned."),
        }
    }
}
