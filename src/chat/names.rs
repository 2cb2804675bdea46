//! The owner of each name, and which names are kept for those who had them a moment ago.
//!
//! Without the second, a name would go to the next one who asks, and with it the private line that is still
//! being typed to its owner. So for a minute only the address that had a name may have it again. Nobody waits
//! for that minute: when the name is asked for, its age decides.

use super::nickname::{Nickname, fold};
use super::{ClientId, Now, Problem};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// How long a name is kept for the address that had it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// How many names are kept at most for one address, so that renaming again and again uses up no names, and in
/// all.
const KEPT_FOR_ONE: usize = 4;
const KEPT_FOR_ALL: usize = 4096;

/// No client comes from there.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// All names in use, and those that are kept.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By the [key](sorted_by) of the name.
    holders: BTreeMap<String, Holder>,
    /// Until when a name is kept, and for whom. The newest come first.
    kept: VecDeque<(Duration, Holder)>,
}

#[derive(Debug)]
struct Holder {
    id: ClientId,
    name: Nickname,
    /// Where it is connected from.
    origin: IpAddr,
}

impl Names {
    /// A client from `origin` has this name from now on.
    pub(crate) fn add(&mut self, id: ClientId, name: Nickname, origin: IpAddr) {
        self.holders.insert(sorted_by(&name.folded), Holder { id, name, origin });
    }

    /// Nobody has this name any more. But for a guest's, it is kept for a while, in the place of the oldest
    /// of that address, or of all, where there are too many.
    pub(crate) fn remove(&mut self, name: &Nickname, now: Now) {
        let Some(holder) = self.holders.remove(&sorted_by(&name.folded)).filter(|_| !name.is_a_guests) else {
            return;
        };
        let origin = holder.origin;
        let mut of_this_address = 0;
        self.kept.push_front((now.uptime + KEPT_FOR, holder));
        self.kept.retain(|(_, kept)| {
            of_this_address += usize::from(kept.origin == origin);
            kept.origin != origin || of_this_address <= KEPT_FOR_ONE
        });
        self.kept.truncate(KEPT_FOR_ALL);
    }

    /// The last one who had this name was sent away: for a while nobody gets it.
    pub(crate) fn keep_out(&mut self, name: &Nickname) {
        if let Some((_, kept)) = self.kept.iter_mut().find(|(_, kept)| kept.name == *name) {
            kept.origin = NOWHERE;
        }
    }

    /// The holder of the old name takes the new one, unless that would be confused with the name of another.
    pub(crate) fn change(&mut self, old: &Nickname, new: &Nickname, now: Now) -> Result<(), Problem> {
        let Some(&Holder { id, origin, .. }) = self.holders.get(&sorted_by(&old.folded)) else {
            return Ok(());
        };
        if new.is_a_guests && !new.looks_like(&Nickname::guest(id)) {
            return Err(format!("{new} is for the guest with that number. Please pick another name."));
        }
        let mut others = self.holders.values().filter(|holder| holder.id != id);
        if let Some(holder) = others.find(|holder| holder.name.looks_like(new)) {
            let hint = if holder.origin == origin { OLD_CONNECTION } else { "" };
            return Err(format!("{} taken. Please pick another name.{hint}", confused(new, &holder.name)));
        }
        let mut kept = self.kept.iter().filter(|(until, kept)| *until > now.uptime && kept.origin != origin);
        if let Some((until, kept)) = kept.find(|(_, kept)| kept.name.looks_like(new)) {
            let which = confused(new, &kept.name);
            let whose = if kept.origin == NOWHERE { "out" } else { "for the address it was used from" };
            let seconds = (*until - now.uptime).as_secs_f64().ceil();
            return Err(format!("{which} kept {whose} for another {seconds} s. Please pick another name."));
        }
        self.remove(old, now);
        self.add(id, new.clone(), origin);
        Ok(())
    }

    /// The client that has exactly this name, but for its case: a private line must not reach a look-alike.
    pub(crate) fn find(&self, name: &str) -> Option<ClientId> {
        // Any longer word is no name, and to fold it would only take time.
        let name = (name.len() < 1024).then(|| sorted_by(&fold(name)))?;
        self.holders.get(&name).map(|holder| holder.id)
    }

    /// All names in use, sorted as people sort them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Nickname> {
        self.holders.values().map(|holder| &holder.name)
    }
}

/// A key that sorts names as people do, each number in them by its value: guest2 comes before guest10. Before
/// a number stands its length without zeros in front, and behind it the count of these, so that no two names
/// have one key.
fn sorted_by(folded: &str) -> String {
    let length = |digits: &str| char::from(u8::try_from(digits.len()).unwrap_or(u8::MAX));
    let (mut key, mut rest) = (String::new(), folded);
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| at + end);
        let number = rest[at..end].trim_start_matches('0');
        let zeros = &rest[at..end - number.len()];
        key += &format!("{}{}{number}{}", &rest[..at], length(number), length(zeros));
        rest = &rest[end..];
    }
    key + rest
}

/// A laptop that woke up elsewhere, or a cable that was pulled, leaves a connection behind that the server
/// still takes for alive.
const OLD_CONNECTION: &str =
    " If it is an old connection of yours: it goes by itself within two minutes, or ask the operator.";

/// The beginning of a sentence about a name that cannot be had because of another.
fn confused(new: &Nickname, other: &Nickname) -> String {
    if new.folded == other.folded {
        return format!("{new} is");
    }
    format!("{new} looks like {other}, and that name is")
}

#[cfg(test)]
mod tests;
