//! The table of the operator's orders: a line from the console becomes an [`Order`] once.

use crate::chat::command::{Table, row, split_word, text};
use std::sync::Arc;

/// A line from the operator, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Say(Arc<str>),
    List,
    Kick(Arc<str>, Option<Arc<str>>),
    Ban(Arc<str>),
    Unban(Arc<str>),
    Bans,
    Stop,
    Help,
}

/// For the operator.
pub(crate) static ORDERS: Table<Order> = Table {
    say: Order::Say,
    said: "said to everyone, as the server",
    rows: &[
        row(&["list", "who", "names"], "", "who is here, with all details", |_| Ok(Order::List)),
        row(&["kick"], "NAME [REASON]", "send NAME away, or #7: see /list", |rest| {
            let (name, reason) = split_word(rest);
            Ok(Order::Kick(text(name)?, text(reason).ok()))
        }),
        row(&["ban"], "NAME|ADDRESS|NET", "send all from there away, and let none in", |rest| {
            text(split_word(rest).0).map(Order::Ban)
        }),
        row(&["unban"], "ADDRESS|NET", "let them in again", |rest| {
            text(split_word(rest).0).map(Order::Unban)
        }),
        row(&["bans"], "", "who is banned", |_| Ok(Order::Bans)),
        row(&["stop"], "", "stop the server", |_| Ok(Order::Stop)),
        row(&["quit", "exit"], "", "how to end the server or this console", |_| {
            let how = "/stop stops the server. Ctrl-D closes this console, and the server goes on.";
            Err(Some(how.to_owned()))
        }),
        row(&["help"], "", "these commands", |_| Ok(Order::Help)),
    ],
    operators: &[],
};
