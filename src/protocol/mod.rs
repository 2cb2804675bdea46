//! The language of the wire: what a client may send, what the server may say, and what a name is.
//!
//! This module knows no socket, no thread and no clock, so everything in it is tested without any.

pub mod clock;
pub mod command;
pub mod nickname;
pub mod operator;
pub mod reply;
pub mod text;

use std::fmt;

/// Which client, for as long as the server runs: never used twice, and never a number to calculate with.
///
/// It is also where a guest's first name comes from: client 7 starts as `guest7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// All ids there are, in the order in which clients come: 1, 2, 3, …
    pub fn sequence() -> impl Iterator<Item = ClientId> {
        (1..).map(ClientId)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
