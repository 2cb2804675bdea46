//! The armour: it keeps clients from hurting the server and each other, whatever they send and however they
//! vanish. The line reader and the listening sockets live here too, because most of their code is for that.
//!
//! The story calls it in a few places: the acceptor asks [`admission`] before it starts a thread, a client's
//! thread reads through a [`line_reader`] and keeps to a [`pace`], and the sockets are made by [`listener`].
//! Without this folder the server would have to trust its clients.

pub(crate) mod admission;
pub(crate) mod foreign;
pub(crate) mod limits;
pub(crate) mod line_reader;
pub(crate) mod listener;
pub(crate) mod pace;
pub(crate) mod sock_diag;
mod telnet;
pub(crate) mod turned_away;
