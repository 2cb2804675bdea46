//! The table of the operator's orders: a line from the console becomes an [`Order`] once.

use crate::chat::command::{Parsed, Table, row, split_word, text};
use std::sync::Arc;

/// A line from the operator, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Say(Arc<str>),
    List,
    Kick(Arc<str>, Option<Arc<str>>),
    Msg(Arc<str>, Arc<str>),
    Ban(Arc<str>, Option<Arc<str>>),
    Unban(Arc<str>),
    Bans,
    Forget(Arc<str>),
    Addresses,
    Stop,
    Help,
}

/// For the operator.
pub(crate) static ORDERS: Table<Order> = Table {
    say: Order::Say,
    said: "said to everyone, as the server",
    rows: &[
        row(&["list", "who", "names"], "", "all about who is here", |_| Ok(Order::List)),
        row(&["msg", "w"], "NAME TEXT", "write to NAME alone", |rest| {
            let (name, rest) = split_word(rest);
            Ok(Order::Msg(name.into(), text(rest)?))
        }),
        row(&["kick"], "NAME [REASON]", "send NAME, or #7 of /list, away", |rest| {
            let (name, reason) = split_word(rest);
            Ok(Order::Kick(text(name)?, text(reason).ok()))
        }),
        row(&["ban"], "NAME|ADDRESS|NET [REASON]", "send all from there away, let none in", |rest| {
            let (whom, reason) = split_word(rest);
            Ok(Order::Ban(text(whom)?, text(reason).ok()))
        }),
        row(&["unban"], "ADDRESS|NET", "let them in again", |rest| one_word(rest).map(Order::Unban)),
        row(&["bans"], "", "who is banned", |_| Ok(Order::Bans)),
        row(&["forget"], "NAME", "take NAME's lines out of the history", |rest| {
            one_word(rest).map(Order::Forget)
        }),
        row(&["addresses"], "", "how others connect, looked up again", |_| Ok(Order::Addresses)),
        row(&["stop"], "", "stop the server", |_| Ok(Order::Stop)),
        row(&["quit", "exit"], "", "how to end server or console", |_| {
            let how = "/stop stops the server. Ctrl-D closes this console, and the server goes on.";
            Err(Some(how.to_owned()))
        }),
        row(&["help"], "", "these commands", |_| Ok(Order::Help)),
    ],
    operators: &[],
};

/// One word, and nothing after it.
fn one_word(rest: &str) -> Parsed<Arc<str>> {
    if split_word(rest).1.is_empty() { text(rest.trim_end()) } else { Err(None) }
}
