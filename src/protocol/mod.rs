//! The language of the wire: what a client may send, what the server may say, and what a name is.
//!
//! This module knows no socket and no thread, and a time only as a value that is handed in, so everything in it is tested
//! without any.

pub mod clock;
pub mod command;
pub mod nickname;
pub mod operator;
pub mod reply;
pub mod text;

use std::fmt;
use std::ops::RangeFrom;

/// Which client, for as long as the server runs: never used twice, and never a number to calculate with.
///
/// It is also where a guest's first name comes from: client 7 starts as `guest7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// All ids there are, in the order in which clients come: 1, 2, 3, …
    pub fn sequence() -> ClientIds {
        ClientIds(1..)
    }
}

/// Gives every client its own [`ClientId`].
#[derive(Clone, Debug)]
pub struct ClientIds(RangeFrom<u64>);

impl Iterator for ClientIds {
    type Item = ClientId;

    fn next(&mut self) -> Option<ClientId> {
        self.0.next().map(ClientId)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
