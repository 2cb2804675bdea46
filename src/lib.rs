//! A chat server for a LAN that needs only netcat, made to be read: std threads and crossbeam channels.
//!
//! This page is the start of a tour. It follows one line of text from alice's keyboard to everybody's screen; each
//! stop links to the file where it happens; each file's first lines are that step, and name the next. Who reads only
//! those has understood the server. Readers of Java or Clojure find the six words of Rust that they need at the top of
//! the [side-by-side page](side_by_side), which sets this server next to the same one in Java, Clojure and tokio.
//! Afterwards, the [exercises] ask for changes to it.
//!
//! # The way of a line
//!
//! ```text
//!             accept                 bounded channel              non-blocking send
//!  socket ──▶ acceptor ──spawns──▶ client thread ──Event──▶ dispatcher ──bytes──▶ every socket
//!                                  (one per client)          (one)
//!                                  blocking read,            owns the room and every
//!                                  parse, pace               socket's write half
//! ```
//!
//! 1. **In.** alice's `nc` connects. The [`acceptor`] asks [`admission`] for a permit, gives her a
//!    [`ClientId`](protocol::ClientId), and starts a thread for her.
//! 2. **Listening.** That thread is a [`client`]. It sends [`Event::Joined`](event::Event::Joined), and then it waits in
//!    `read`. Nobody else reads from her socket.
//! 3. **Bytes to a line.** She types `hello`. Her bytes pass [`foreign`] (is this a chat client at all?) and
//!    [`telnet`] (which takes out what is not text), and [`line_reader`] cuts them into lines and makes them
//!    [printable](protocol::text).
//! 4. **A line to a command.** [`Command::parse`](protocol::command::Command::parse) understands it, once:
//!    `Say("hello")`. [`pace`] says whether she must wait first.
//! 5. **Across.** [`Event::Line`](event::Event::Line) goes into the one channel of [`event`]s. It is bounded: when the
//!    dispatcher is busy, her thread waits here, then her socket fills, then her `nc`. That is back-pressure.
//! 6. **The one owner.** The [`dispatcher`] takes the event, and asks the [`room`] what comes of it: a
//!    [`Delivery`](room::Delivery) of the [`Reply`](protocol::reply::Reply) `<alice> hello` to everyone. The room knows
//!    no network; names are kept in its [`roster`].
//! 7. **Out.** The [`audience`] renders that reply once, for all. At the end of the dispatcher's turn each client's
//!    [`outbox`] sends what it has not sent yet, with one system call and without waiting.
//! 8. **Who does not read** has a backlog, up to a limit. Then it is disconnected, and the others are told why.
//!
//! 9. **Leaving** is the last event, and has its own words: the client's thread says why in a
//!    [`Departure`](event::Departure); the room gives back who has [`Departed`](room::Departed) and what to say of it; a
//!    [`Reason`](protocol::reply::Reason) is as much of it as concerns the others; and the table in [`audience`] says how the
//!    connection ends.
//!
//! With `--log-level trace` the log shows the steps of that way, with the thread that takes each of them. alice and bob
//! are in the room, and alice says hello (only trace lines name their thread):
//!
//! ```text
//! [TRACE] (client-1) client 1: a line of 5 bytes
//! [TRACE] (client-1) client 1: on its way to the dispatcher
//! [TRACE] (dispatcher) client 1: taken
//! [INFO] alice: hello
//! [TRACE] (dispatcher) said to everyone, 14 bytes in this turn
//! [TRACE] (dispatcher) client 1: sent, 0 bytes are left
//! [TRACE] (dispatcher) client 2: sent, 0 bytes are left
//! ```
//!
//! # Who owns what, and why there is no lock
//!
//! | thread | owns | waits in |
//! |---|---|---|
//! | acceptor (the one that calls [`Server::run`]) | the listeners | `poll` |
//! | a client's, one for each | what it has read and not sent on; its place ([`Permit`](admission::Permit)) | `read`, and `send` on a full channel |
//! | dispatcher | the [`Room`](room::Room), the [`Audience`](audience::Audience) with every outbox | `select!` |
//! | one for each log, and two for the [`console`] | a queue's far end | `write`, `read` |
//!
//! The room and the outboxes belong to one thread, so two clients cannot take one name at the same time, two lines
//! cannot get mixed up in one socket, and all see all lines in the same order: not because of a lock, but because there
//! is nobody else. In Rust that is no convention: the [`Dispatcher`](dispatcher::Dispatcher) is moved into its thread, and
//! code of another thread that touches its room does not compile. What two threads do share is a socket, of which one
//! reads and the other writes, the places and bans in [`admission`], which locks guard for a few instructions, and a few counters of the
//! [log](line_queue)'s.
//!
//! The channels form no cycle (clients to dispatcher, and nothing back but bytes into sockets), so there is no deadlock
//! to think about.
//!
//! # The floors
//!
//! A file uses only what is on floors below its own; a test sees to that.
//!
//! ```text
//! server
//! acceptor    dispatcher
//! client      audience
//! room        event       admission   console     cli
//! roster      line_reader listener    logging
//! protocol
//! foreign     telnet      outbox      pace        line_queue  stopper     invitation  config
//! ```
//!
//! # Embedding it
//!
//! See [`Server`]; `main.rs` is an example of it, with a command line ([`cli`]), a [log](logging), the operator's
//! [console] and an [invitation] around it.

pub mod acceptor;
pub mod admission;
pub mod audience;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod dispatcher;
pub mod event;
pub mod foreign;
pub mod invitation;
pub mod line_queue;
pub mod line_reader;
pub mod listener;
pub mod logging;
pub mod outbox;
pub mod pace;
pub mod protocol;
pub mod room;
pub mod roster;
pub mod server;
pub mod stopper;
pub mod telnet;

#[doc = include_str!("guide/lesson.md")]
pub mod lesson {}

#[doc = include_str!("side_by_side.md")]
pub mod side_by_side {}

#[doc = include_str!("exercises.md")]
pub mod exercises {}

pub use config::Config;
pub use server::Server;
