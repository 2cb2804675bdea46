//! Who has which name. A name belongs to one client, and so do all that look like it.
//!
//! Next on the tour: [`reply`](crate::protocol::reply), what it answers.

use crate::protocol::ClientId;
use crate::protocol::nickname::Nickname;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many names are compared with one that nobody has, so that asking for such names cannot keep the dispatcher busy.
const MOST_COMPARED: usize = 500;

/// The names in use.
#[derive(Debug, Default)]
pub struct Roster {
    /// In alphabetical order, by [`Nickname::folded`].
    names: BTreeMap<Arc<str>, (Nickname, ClientId)>,
    /// By each of their [`Nickname::keys`].
    look_alikes: HashMap<Arc<str>, ClientId>,
}

impl Roster {
    /// Gives `name` to `id`, for which it must be [free](Roster::is_free_for).
    pub fn enter(&mut self, name: Nickname, id: ClientId) {
        debug_assert!(self.is_free_for(&name, id), "{name} is taken");
        self.look_alikes.extend(name.keys().iter().map(|key| (key.clone(), id)));
        self.names.insert(name.folded().clone(), (name, id));
    }

    /// Makes `name` free for others.
    pub fn strike(&mut self, name: &Nickname) {
        self.names.remove(name.folded());
        for key in name.keys() {
            self.look_alikes.remove(key);
        }
    }

    /// Has nobody else this name or one that could be taken for it?
    pub fn is_free_for(&self, name: &Nickname, id: ClientId) -> bool {
        name.keys().iter().all(|key| self.look_alikes.get(key).is_none_or(|owner| *owner == id))
    }

    /// Who has exactly this name, but for its case. A private line must not reach somebody who only looks like the one
    /// it is for.
    pub fn find(&self, name: &Nickname) -> Option<ClientId> {
        self.names.get(name.folded()).map(|(_, id)| *id)
    }

    /// The name that `name` may have been meant to be: one or two slips of a finger away from it (in a word of less
    /// than four letters, one).
    pub fn nearest(&self, name: &Nickname) -> Option<&Nickname> {
        let slips = if name.folded().chars().count() < 4 { 1 } else { 2 };
        let distances = self
            .names()
            .take(MOST_COMPARED)
            .map(|known| (strsim::osa_distance(known.folded(), name.folded()), known));
        distances
            .filter(|(distance, _)| *distance <= slips)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, known)| known)
    }

    /// All names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &Nickname> {
        self.names.values().map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_look_alikes_belong_to_one() {
        let mut ids = ClientId::sequence();
        let (one, two) = (ids.next().unwrap(), ids.next().unwrap());
        let name = |text| Nickname::parse(text).unwrap();
        let mut roster = Roster::default();
        roster.enter(name("alice"), one);
        roster.enter(name("Bob"), two);
        for taken in ["ALICE", "a1ice", "aIice"] {
            assert!(
                roster.is_free_for(&name(taken), one) && !roster.is_free_for(&name(taken), two),
                "{taken}"
            );
        }
        assert_eq!(roster.find(&name("ALICE")), Some(one));
        assert_eq!(roster.find(&name("a1ice")), None);
        assert_eq!(roster.names().map(ToString::to_string).collect::<Vec<_>>(), ["alice", "Bob"]);
        roster.strike(&name("alice"));
        assert!(roster.is_free_for(&name("a1ice"), two));
        assert_eq!(roster.find(&name("alice")), None);
    }
}
