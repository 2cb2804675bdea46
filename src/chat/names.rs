//! The owner of each name, and which names are kept for those who had them a moment ago.
//!
//! Without the second, a name would go to the next one who asks, and with it the private line that is still being
//! typed to its owner. So for a minute only the address that had a name may have it again. Nobody waits for that
//! minute: a kept name expires when it is next looked at.

use super::{ClientId, Problem, nickname::Nickname};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a name is kept for the address that had it.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// How many names are kept at most for one address, so that renaming again and again uses up no names, and in all.
const KEPT_FOR_ONE: usize = 16;
const KEPT_FOR_ALL: usize = 1024;

/// All names in use, and those that are kept.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The time, counted from any moment that stays the same.
    pub(crate) now: Duration,
    /// By [`Nickname::folded`], so in alphabetical order.
    holders: BTreeMap<Arc<str>, Holder>,
    /// Whose name looks so: from each of its [`Nickname::keys`] to its folded form.
    look_alikes: HashMap<Arc<str>, Arc<str>>,
    /// Until when a name is kept, and for whom. The oldest come first.
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
        self.look_alikes.extend(name.keys().iter().map(|key| (key.clone(), name.folded().clone())));
        self.holders.insert(name.folded().clone(), Holder { id, name, origin });
    }

    /// Nobody has this name any more. It is kept for a while, but for a guest's.
    pub(crate) fn remove(&mut self, name: &Nickname) {
        name.keys().iter().for_each(|key| drop(self.look_alikes.remove(key)));
        if let Some(holder) = self.holders.remove(name.folded()).filter(|_| !name.is_a_guests()) {
            self.keep(holder);
        }
    }

    /// The holder of the old name takes the new one, unless that would be confused with the name of another.
    pub(crate) fn change(&mut self, old: &Nickname, new: &Nickname) -> Result<(), Problem> {
        let Some(&Holder { id, origin, .. }) = self.holders.get(old.folded()) else { return Ok(()) };
        if new.is_another_guests(id) {
            return Err(format!("{new} is for the guest with that number. Please pick another name."));
        }
        let alike = new.keys().iter().filter_map(|key| self.holders.get(self.look_alikes.get(key)?));
        if let Some(holder) = alike.into_iter().find(|holder| holder.id != id) {
            let hint = if holder.origin == origin { OLD_CONNECTION } else { "" };
            return Err(format!("{} taken. Please pick another name.{hint}", confused(new, &holder.name)));
        }
        let collides = |(until, kept): &&(Duration, Holder)| {
            *until > self.now && kept.origin != origin && kept.name.looks_like(new)
        };
        if let Some((until, kept)) = self.kept.iter().find(collides) {
            let (kept, seconds) = (confused(new, &kept.name), (*until - self.now).as_millis().div_ceil(1000));
            return Err(format!(
                "{kept} kept for the address it was used from for another {seconds} s. Please pick another name."
            ));
        }
        self.remove(old);
        self.add(id, new.clone(), origin);
        Ok(())
    }

    /// Keeps a name, in the place of the oldest where there are too many.
    fn keep(&mut self, holder: Holder) {
        let is_the_same = |old: &Holder| old.origin == holder.origin && old.name == holder.name;
        self.kept.retain(|(until, old)| *until > self.now && !is_the_same(old));
        let of_this_address = |(_, old): &(Duration, Holder)| old.origin == holder.origin;
        if self.kept.iter().filter(|kept| of_this_address(kept)).count() >= KEPT_FOR_ONE {
            self.kept.iter().position(of_this_address).map(|first| self.kept.remove(first));
        } else if self.kept.len() >= KEPT_FOR_ALL {
            self.kept.pop_front();
        }
        self.kept.push_back((self.now + KEPT_FOR, holder));
    }

    /// The client that has exactly this name, but for its case: a private line must not reach a look-alike.
    pub(crate) fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.holders.get(name.folded()).map(|holder| holder.id)
    }

    /// All names in use, in alphabetical order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Nickname> {
        self.holders.values().map(|holder| &holder.name)
    }
}

/// A laptop that woke up elsewhere, or a cable that was pulled, leaves a connection behind that the server still takes
/// for alive.
const OLD_CONNECTION: &str =
    " If it is an old connection of yours: it goes by itself within two minutes, or ask the operator.";

/// The beginning of a sentence about a name that cannot be had because of another.
fn confused(new: &Nickname, other: &Nickname) -> String {
    if new.folded() == other.folded() {
        return format!("{new} is");
    }
    format!("{new} looks like {other}, and that name is")
}

#[cfg(test)]
mod tests;
