//! A chat server for a LAN that needs only netcat, made to be read: std threads and crossbeam channels.
//!
//! This page is the map. The files at the top of `src` are the story: threads and channels, and one line of
//! text that travels through them. [`chat`] has the rules of the chat, without any thread or socket. Read the
//! other files only where the tour names them: [`guard`] keeps clients from hurting each other, [`operator`]
//! is for the person at the server, `config` has the choices, and `guide` has pages to read.
//!
//! # Threads
//!
//! ```text
//! socket
//!   │ accept
//!   ▼
//! acceptor ──spawns──▶ client's thread, one for each client
//!                        │ blocking read, parse, pace
//!                        ▼ Event
//!                      one bounded channel
//!                        │
//!                        ▼
//!                      dispatcher: owns the room, and the
//!                        │         write half of every socket
//!                        ▼ bytes, a send that never waits
//!                      every socket
//! ```
//!
//! | thread | owns | waits for |
//! |---|---|---|
//! | acceptor (the one that calls [`Server::run`]) | the listeners | connections, the stopper: `poll`; for 100 ms when the system has run out of something |
//! | a client's, one for each | the bytes that it has read; its place among `--max-clients` | its client: `read`; its pace; its turn in the room; a slot; space in the event channel; at the end, for its client to hang up |
//! | dispatcher | the room, every connection's write half | events, the operator's lines, time to retry or to announce: `select!` |
//! | console | the keyboard (standard input) | the operator's next line; space in its channel |
//! | one for each log and screen | the far end of a queue | a terminal, a disk |
//! | signals (the `ctrlc` crate's) | a [`Stopper`] | SIGINT, SIGTERM, SIGHUP |
//! | one for each other core, once a room is large | a chunk of the connections, for the length of a flush | the next flush |
//!
//! The room and the outboxes belong to one thread. So two clients cannot take one name at the same time, two
//! lines cannot get mixed up in one socket, and all clients see all lines in the same order. No lock does
//! this: no other thread can reach them, but for those to which a flush lends connections, each to one. In
//! Rust this is no convention, because code of another thread that touches the dispatcher's room does not
//! compile. A few things are shared, and have locks or counters of their own: a client's socket (one thread
//! reads, the other writes), the places, bans and paces of the guard, and the log.
//!
//! One person has three types, because three parts of the program know different things of it. A
//! [`Client`](client::Client) is its thread: what it sends. A
//! [`Connection`](audience::connection::Connection) is its half in the dispatcher: what it gets. A
//! [`Member`](chat::room::Member) is the person in the room: a name. One [`ClientId`](chat::ClientId) belongs
//! to all three.
//!
//! # Channels
//!
//! | channel | capacity | from | to | when it is full | its end means |
//! |---|---|---|---|---|---|
//! | events | 1,024 | every client's thread, the acceptor | dispatcher | the client's thread waits, and so its client does: back-pressure | the acceptor and every client's thread have ended |
//! | slots ([`credit`]), one channel for each address | 8 | its clients' threads | whoever drops the event | its clients' threads wait, for their lines are under way | – |
//! | "done with you" ([`credit`]), one for each client | 0, nothing is ever sent | dispatcher | the client's thread | – | the dispatcher is done with this client |
//! | operator's lines | 16 | console | dispatcher | the console waits | the operator's input has ended |
//! | queue of the log, the log file, the screen | 4,096 lines, 4 MiB | any thread | its writer | lines are lost, and counted | – |
//! | "all is written", one for each such queue | 0, nothing is ever sent | its writer | the thread that ends the program; the dispatcher for the screen | – | everything before it is written |
//!
//! Nothing deadlocks: clients' threads wait for the dispatcher, and the dispatcher waits for no client. It
//! waits for the next event, for time to pass, for its flush threads, and for locks that other threads hold
//! while they format a log line or look up a number; none of those waits for a client either. Where the pace
//! does not keep backlogs small (`--rate 0`, a large `--burst`, a small `--max-backlog`), it gives readers
//! that are behind up to 20 ms a turn. It never blocks until a socket, a terminal or a disk takes bytes. At
//! the end it waits for the screen, two seconds at most, and for the clients' threads, and each of these
//! waits for its client a second at most.
//!
//! # The tour: the way of a line
//!
//! Read the files in this order. Each begins with what it is for.
//!
//! 1. [`server`] starts everything, and stops it.
//! 2. **In.** alice's `nc` connects. The [`acceptor`] lets her in, with a [permit](guard::admission::Permit),
//!    and starts a thread for her.
//! 3. **A line.** That thread is her [`client`]. She types `hello`: it reads the bytes
//!    ([`guard::line_reader`]), understands them ([`chat::command`], [`chat::text`]), and waits if she is too
//!    fast ([`guard::pace`]).
//! 4. **Across.** With a slot ([`credit`]) an [`event`] goes into the one channel to the dispatcher. Without
//!    a pace (`--rate 0`), lines that have arrived together go in one.
//! 5. **The one owner.** The [`dispatcher`] takes the event and asks the [room](chat::room) for the answer: a
//!    [`Delivery`](chat::room::Delivery) of the line `<alice> hello` to everyone.
//! 6. **Out.** The [`audience`] keeps that line once, for all. At the end of the dispatcher's turn each
//!    client's [`outbox`] sends all that it has not sent yet, mostly with one system call, and without
//!    waiting.
//! 7. **A slow reader** has a backlog, up to `--max-backlog` (256 KiB). `Connection::flush` finds it beyond
//!    that, and `Dispatcher::flush` disconnects it with a reset and, in a room of up to 200, tells the others
//!    why.
//! 8. **A flooder** waits, in [`client`] and nowhere else. After 200 lines its thread lets 20 a second
//!    through. While it waits it does not read, so TCP slows the client down; the client is told once, and
//!    loses nothing. Many flooders wait for the room: it is told no more than a slow reader reads. And few
//!    lines of one address are under way to the dispatcher at one time, so the others' lines do not wait
//!    behind a thousand.
//! 9. **The end.** An [`Ending`](ending::Ending) says why a connection ends. It comes with the client's last
//!    event, or from the dispatcher when that throws the client out. The table in [`ending`] says what
//!    happens then, and `dispatcher/shutdown.rs` how the whole room ends.
//!
//! With `--log-level trace` the log shows the steps of that way. alice and bob are in the room, and alice
//! says hello (only trace lines name their thread):
//!
//! ```text
//! [TRACE] (client-1) client 1: on its way to the dispatcher
//! [TRACE] (dispatcher) client 1: taken
//! [INFO] alice: hello
//! [TRACE] (dispatcher) said to everyone, 14 bytes in this turn
//! [TRACE] (dispatcher) client 1: sent, 0 bytes are left
//! [TRACE] (dispatcher) client 2: sent, 0 bytes are left
//! ```
//!
//! # The house
//!
//! A file or folder uses only what stands below its own line; a check sees to that.
//!
//! ```text
//! server
//! acceptor    dispatcher
//! client      operator
//! audience
//! event       outbox
//! ending
//! credit
//! chat        guard
//! config
//! ```
//!
//! Pages to read are in [guide]: for the person who runs the server, and for the one who learns from it. [The
//! lesson](guide::lesson) leads to this design in seven small programs, and [another
//! page](guide::to_the_program) from the last of them to this one. [Side by side](guide::side_by_side) sets
//! the server next to the same one in Java, Clojure and tokio. The [exercises](guide::exercises) ask for
//! changes. To embed the server, see [`Server`]; `main.rs` is an example.

// The tour documents private items: cargo doc --document-private-items.
#![allow(rustdoc::private_intra_doc_links)]

// The story
mod acceptor;
mod audience;
mod client;
mod credit;
mod dispatcher;
mod ending;
mod event;
mod outbox;
mod server;
// The rules
mod chat;
// Off the tour
mod config;
mod guard;
pub mod operator;
// In a folder of its own, because it is no part of the house: `make fuzz`
#[cfg(test)]
#[path = "fuzz/tests.rs"]
mod fuzz;

/// Pages to read. They are the files in `src/guide`.
pub mod guide {
    // Each page is a module without code. A page links to others as `[Security][security]`, and its last
    // lines say which file that is in the repository. Here the same words are links within this
    // documentation, because the first target counts. The files of the benchmark are found from where `make
    // doc` writes its pages.
    #[doc(hidden)]
    macro_rules! pages {
        ($($page:ident)*) => {$(
            #[doc = "[lesson]: crate::guide::lesson"]
            #[doc = "[to_the_program]: crate::guide::to_the_program"]
            #[doc = "[teaching]: crate::guide::teaching"]
            #[doc = "[promises]: crate::guide::promises"]
            #[doc = "[field]: crate::guide::field"]
            #[doc = "[running]: crate::guide::running"]
            #[doc = "[service]: crate::guide::service"]
            #[doc = "[survives]: crate::guide::survives"]
            #[doc = "[siege]: crate::guide::siege"]
            #[doc = "[security]: crate::guide::security"]
            #[doc = "[how_fast]: crate::guide::how_fast"]
            #[doc = "[when_not]: crate::guide::when_not"]
            #[doc = "[side_by_side]: crate::guide::side_by_side"]
            #[doc = "[exercises]: crate::guide::exercises"]
            #[doc = "[results]: ../../../../../tests/bench/results/results.md"]
            #[doc = "[siege-results]: ../../../../../tests/bench/results/siege.md"]
            #[doc = "[growth]: ../../../../../tests/bench/results/growth.svg"]
            #[doc = "[step_1]: ../../../../../src/guide/steps/step_1_echo.rs"]
            #[doc = "[step_2]: ../../../../../src/guide/steps/step_2_shared_map.rs"]
            #[doc = "[step_3]: ../../../../../src/guide/steps/step_3_dispatcher.rs"]
            #[doc = "[step_4]: ../../../../../src/guide/steps/step_4_commands.rs"]
            #[doc = "[step_5]: ../../../../../src/guide/steps/step_5_bounded.rs"]
            #[doc = "[step_6]: ../../../../../src/guide/steps/step_6_sender.rs"]
            #[doc = "[step_7]: ../../../../../src/guide/steps/step_7_core.rs"]
            #[doc = ""]
            #[doc = include_str!(concat!("guide/", stringify!($page), ".md"))]
            pub mod $page {}
        )*};
    }
    pages! { lesson to_the_program teaching promises field running scripts service survives siege security how_it_works how_fast when_not side_by_side exercises }
}

pub use config::{Allow, Config, DEFAULT_PORT, Listen};
pub use operator::stopper::Stopper;
pub use server::Server;
