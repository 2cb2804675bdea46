//! What the person at the server's keyboard may type, and what they see.

use super::command::split_word;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// One line from the operator, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Any text: say it to everyone.
    Say(Arc<str>),
    /// `/list`
    List,
    /// `/kick NAME [REASON]`
    Kick(String, Option<Arc<str>>),
    /// `/ban NAME|ADDRESS|NET`
    Ban(String),
    /// `/unban ADDRESS|NET`
    Unban(String),
    /// `/bans`
    Bans,
    /// `/stop`
    Stop,
    /// `/help`
    Help,
}

/// Each command as it is typed, and what it does.
const COMMANDS: [(&str, &str); 7] = [
    ("/list", "who is here: number, name, address, time connected, lines said, backlog"),
    ("/kick NAME [REASON]", "send somebody away"),
    ("/ban NAME|ADDRESS|NET", "send away all from there, and let none in until the server stops"),
    ("/unban ADDRESS|NET", "let them in again"),
    ("/bans", "who is banned"),
    ("/stop", "stop the server"),
    ("/help", "these commands"),
];

impl OperatorCommand {
    /// Understands one line; `None` if it is blank.
    ///
    /// # Errors
    /// A sentence about what is wrong.
    pub fn parse(line: &str) -> Option<Result<OperatorCommand, String>> {
        if line.trim().is_empty() {
            return None;
        }
        let Some(command) = line.strip_prefix('/') else {
            return Some(Ok(OperatorCommand::Say(line.into())));
        };
        if command.starts_with('/') {
            return Some(Ok(OperatorCommand::Say(command.into())));
        }
        let (word, rest) = split_word(command);
        let (argument, more) = split_word(rest);
        let needed = || (!argument.is_empty()).then(|| argument.to_owned());
        let word = word.to_lowercase();
        let understood = match word.as_str() {
            "list" | "who" | "names" => Some(OperatorCommand::List),
            "kick" => {
                needed().map(|name| OperatorCommand::Kick(name, (!more.is_empty()).then(|| more.into())))
            }
            "ban" => needed().map(OperatorCommand::Ban),
            "unban" => needed().map(OperatorCommand::Unban),
            "bans" => Some(OperatorCommand::Bans),
            "stop" | "quit" => Some(OperatorCommand::Stop),
            "help" => Some(OperatorCommand::Help),
            _ => {
                return Some(Err(format!("There is no command /{word}. /help lists them.")));
            }
        };
        let usage =
            COMMANDS.iter().map(|(usage, _)| *usage).find(|usage| usage.starts_with(&format!("/{word} ")));
        Some(understood.ok_or_else(|| format!("Usage: {}", usage.unwrap_or_default())))
    }
}

/// The answer to `/help`.
#[derive(Debug)]
pub struct OperatorHelp;

impl Display for OperatorHelp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("*** Any text is said to everyone, as the server. Beyond that:")?;
        COMMANDS.iter().try_for_each(|(usage, help)| write!(f, "\n***   {usage:<22} {help}"))
    }
}

/// One line of the answer to `/list`.
#[derive(Debug)]
pub struct OperatorRow {
    /// The client's number.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// For how long it has been here.
    pub stay: Duration,
    /// How many lines it has said.
    pub lines: u64,
    /// How many bytes wait for it.
    pub backlog: usize,
}

impl OperatorRow {
    /// What stands above the columns.
    pub const HEADER: &str =
        "***     id name                 address                         here   lines  backlog";
}

impl Display for OperatorRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let OperatorRow { id, name, peer, stay, lines, backlog } = self;
        let (hours, minutes, seconds) =
            (stay.as_secs() / 3600, stay.as_secs() / 60 % 60, stay.as_secs() % 60);
        let (peer, stay) = (peer.to_string(), format!("{hours}:{minutes:02}:{seconds:02}"));
        write!(f, "*** {id:>6} {name:<20} {peer:<26} {stay:>9} {lines:>7} {backlog:>8}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_help_is_understood() {
        for (usage, _) in COMMANDS {
            assert!(OperatorCommand::parse(usage).unwrap().is_ok(), "{usage}");
        }
        assert!(OperatorHelp.to_string().lines().all(|line| line.starts_with("*** ")));
    }

    #[test]
    fn lines_are_said_and_commands_are_understood_or_explained() {
        let parse = |line| OperatorCommand::parse(line).unwrap();
        assert_eq!(parse("hello"), Ok(OperatorCommand::Say("hello".into())));
        assert_eq!(parse("//x"), Ok(OperatorCommand::Say("/x".into())));
        assert_eq!(
            parse("/KICK bob too loud"),
            Ok(OperatorCommand::Kick("bob".into(), Some("too loud".into())))
        );
        assert_eq!(parse("/BAN"), Err("Usage: /ban NAME|ADDRESS|NET".into()));
        assert_eq!(parse("/dance"), Err("There is no command /dance. /help lists them.".into()));
        assert_eq!(OperatorCommand::parse("  "), None);
    }

    #[test]
    fn a_row_stands_under_its_header() {
        let row = OperatorRow {
            id: "7".into(),
            name: "alice".into(),
            peer: "192.168.1.20:50000".parse().unwrap(),
            stay: Duration::from_secs(3723),
            lines: 12,
            backlog: 0,
        };
        let row = row.to_string();
        assert_eq!(
            row,
            "***      7 alice                192.168.1.20:50000           1:02:03      12        0"
        );
        for (column, value) in [("id", "7"), ("here", "1:02:03"), ("lines", "12"), ("backlog", "0")] {
            let end = OperatorRow::HEADER.find(column).unwrap() + column.len();
            assert!(row[..end].ends_with(value), "{column}");
        }
    }
}
