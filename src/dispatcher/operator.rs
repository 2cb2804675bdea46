//! What the dispatcher does for the person at the server's keyboard.

use super::Dispatcher;
use crate::admission::canonical;
use crate::config::parse_net;
use crate::event::Departure;
use crate::protocol::ClientId;
use crate::protocol::nickname::Nickname;
use crate::protocol::operator::{OperatorCommand, OperatorHelp, OperatorRow};
use crate::protocol::reply::Reply;
use crate::room::{Delivery, Recipients};
use ipnet::IpNet;
use log::info;
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

/// The reason that those hear who are sent away by a ban.
pub(super) const BANNED: &str = "banned";

impl Dispatcher {
    /// Does what one line from the console asks for.
    pub(super) fn obey(&mut self, line: &str) {
        match OperatorCommand::parse(line) {
            None => {}
            Some(Err(problem)) => self.show(&format!("!!! {problem}")),
            Some(Ok(OperatorCommand::Say(text))) => {
                info!("[server] {text}");
                let deliveries = self.room.announce(text, self.now);
                self.deliver(deliveries);
            }
            Some(Ok(OperatorCommand::List)) => self.show_list(),
            Some(Ok(OperatorCommand::Kick(name, reason))) => match self.find(&name) {
                Some(id) => {
                    self.kick(id, reason);
                    self.show(&format!("*** {name} has been sent away."));
                }
                None => self.show(&format!("!!! No one here is called \"{name}\".")),
            },
            Some(Ok(OperatorCommand::Ban(whom))) => self.ban(&whom),
            Some(Ok(OperatorCommand::Unban(whom))) => match parse_net(&whom).map(canonical) {
                Some(net) if self.admission.unban(net) => self.show(&format!("*** {net} may come in again.")),
                Some(net) => self.show(&format!("!!! {net} is not banned. /bans lists who is.")),
                None => self.show(&format!(
                    "!!! \"{whom}\" is no address and no network. /bans lists who is banned."
                )),
            },
            Some(Ok(OperatorCommand::Bans)) => {
                let bans: Vec<_> = self.admission.bans().iter().map(ToString::to_string).collect();
                self.show(&format!(
                    "*** {} banned{}{}",
                    bans.len(),
                    if bans.is_empty() { "" } else { ": " },
                    bans.join(", ")
                ));
            }
            Some(Ok(OperatorCommand::Stop)) => self.stopper.stop(),
            Some(Ok(OperatorCommand::Help)) => self.show(&OperatorHelp),
        }
    }

    pub(super) fn show(&mut self, text: &dyn Display) {
        if let Some(console) = &mut self.console {
            let _ = writeln!(console.screen, "{text}"); // The queue never fails.
        }
    }

    fn find(&self, name: &str) -> Option<ClientId> {
        Nickname::parse(name).ok().and_then(|name| self.room.find(&name))
    }

    fn show_list(&mut self) {
        let rows = self.arrivals.iter().filter_map(|(&id, (peer, arrived))| {
            let name = self.room.name(id)?.to_string();
            let (stay, lines, backlog) = (arrived.elapsed(), self.room.lines(id), self.audience.backlog(id));
            let row = OperatorRow { id: id.to_string(), name, peer: *peer, stay, lines, backlog };
            Some(format!("\n{row}"))
        });
        let list =
            format!("*** {} here\n{}{}", self.arrivals.len(), OperatorRow::HEADER, rows.collect::<String>());
        self.show(&list);
    }

    /// Sends one client away: it is told so and gets what it is owed, and nothing more is heard of it.
    pub(super) fn kick(&mut self, id: ClientId, reason: Option<Arc<str>>) {
        self.deliver([Delivery { to: Recipients::Only(id), reply: Reply::Kicked(reason.clone()) }]);
        self.leave(id, &Departure::Kicked(reason));
        self.audience.dismiss(id);
        self.audience.stop_listening(id);
    }

    fn ban(&mut self, whom: &str) {
        let address = |id| self.arrivals.get(&id).map(|(peer, _)| IpNet::from(peer.ip()));
        let Some(net) = parse_net(whom).map(canonical).or_else(|| self.find(whom).and_then(address)) else {
            self.show(&format!("!!! \"{whom}\" is no address, no network and no one here."));
            return;
        };
        self.admission.ban(net);
        info!("the operator banned {net}");
        let from_there = self.arrivals.iter().filter(|(_, (peer, _))| net.contains(&peer.ip()));
        let from_there: Vec<_> = from_there.map(|(&id, _)| id).collect();
        self.show(&format!(
            "*** {net} is banned; {} sent away. /unban {net} lets them in again.",
            from_there.len()
        ));
        for id in from_there {
            self.kick(id, Some(BANNED.into()));
        }
    }
}
