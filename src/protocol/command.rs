//! Everything that a client may send. One line of text becomes one [`Command`], once, in the client's thread.
//!
//! [`COMMANDS`] is the only list of commands there is: the parser looks words up in it and `/help` prints it.
//!
//! Next on the tour: [`nickname`](crate::protocol::nickname).

use super::nickname::{Nickname, NicknameError};
use std::sync::Arc;

/// One line from a client, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Any text: say it to everyone.
    Say(Arc<str>),
    /// `/me TEXT`
    Me(Arc<str>),
    /// `/msg NAME TEXT`
    Msg {
        /// Whom to write to.
        to: Nickname,
        /// What to write.
        text: Arc<str>,
    },
    /// `/reply TEXT`
    Reply(Arc<str>),
    /// `/list`
    List,
    /// `/nick NAME`
    Nick(Nickname),
    /// `/echo on|off`
    Echo(bool),
    /// `/timestamps on|off`
    Timestamps(bool),
    /// `/history`
    History,
    /// `/help`
    Help,
    /// `/quit [TEXT]`
    Quit(Option<Arc<str>>),
}

/// Why a line is not a [`Command`]. The sentences for it are in [`reply`](super::reply).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No command has this word. It may have been one of these.
    Unknown(String, Vec<&'static str>),
    /// The command exists, but not with these arguments.
    Usage(&'static CommandSpec),
    /// What follows `/nick` cannot be a name.
    BadName(NicknameError),
    /// What follows `/msg` cannot be a name, so nobody can have it.
    NobodyCalled(String),
}

/// A row of [`COMMANDS`].
#[derive(Debug)]
pub struct CommandSpec {
    /// The word after the slash, then its synonyms.
    pub words: &'static [&'static str],
    /// What follows the word, as in a manual page: `NAME TEXT`.
    pub arguments: &'static str,
    /// What it does, for `/help`.
    pub help: &'static str,
    parse: fn(&'static CommandSpec, &str) -> Result<Command, CommandError>,
}

impl PartialEq for CommandSpec {
    fn eq(&self, other: &CommandSpec) -> bool {
        self.words == other.words
    }
}

impl Eq for CommandSpec {}

/// All commands, in the order in which `/help` shows them.
pub static COMMANDS: [CommandSpec; 10] = [
    CommandSpec {
        words: &["list", "who", "names"],
        arguments: "",
        help: "who is here, and how many",
        parse: |_, _| Ok(Command::List),
    },
    CommandSpec {
        words: &["msg", "w"],
        arguments: "NAME TEXT",
        help: "write to NAME alone",
        parse: |spec, rest| {
            let (name, text) = split_word(rest);
            let text = required(spec, text)?;
            let to = Nickname::parse(name).map_err(|_| CommandError::NobodyCalled(name.to_owned()))?;
            Ok(Command::Msg { to, text })
        },
    },
    CommandSpec {
        words: &["reply", "r"],
        arguments: "TEXT",
        help: "the same, to whoever wrote to you alone last",
        parse: |spec, rest| required(spec, rest).map(Command::Reply),
    },
    CommandSpec {
        words: &["nick"],
        arguments: "NAME",
        help: "be known as NAME",
        parse: |spec, rest| {
            let name = required(spec, rest)?;
            Nickname::parse(name.trim_end()).map(Command::Nick).map_err(CommandError::BadName)
        },
    },
    CommandSpec {
        words: &["me"],
        arguments: "TEXT",
        help: "say what you do: * alice waves",
        parse: |spec, rest| required(spec, rest).map(Command::Me),
    },
    CommandSpec {
        words: &["echo"],
        arguments: "on|off",
        help: "whether your own lines come back to you",
        parse: |spec, rest| on_or_off(spec, rest).map(Command::Echo),
    },
    CommandSpec {
        words: &["timestamps"],
        arguments: "on|off",
        help: "whether each line you get begins with its time",
        parse: |spec, rest| on_or_off(spec, rest).map(Command::Timestamps),
    },
    CommandSpec {
        words: &["history"],
        arguments: "",
        help: "what was said last",
        parse: |_, _| Ok(Command::History),
    },
    CommandSpec { words: &["help"], arguments: "", help: "these commands", parse: |_, _| Ok(Command::Help) },
    CommandSpec {
        words: &["quit"],
        arguments: "[TEXT]",
        help: "leave, with a last word if you like",
        parse: |_, rest| Ok(Command::Quit(some_text(rest))),
    },
];

impl Command {
    /// Understands one line, which has no line break any more; `None` if it is blank and so nothing to act on.
    ///
    /// ```
    /// use chat_server::protocol::command::Command;
    ///
    /// assert_eq!(Command::parse("hello"), Some(Ok(Command::Say("hello".into()))));
    /// assert_eq!(Command::parse("//etc"), Some(Ok(Command::Say("/etc".into()))));
    /// assert_eq!(Command::parse("/LIST"), Some(Ok(Command::List)));
    /// assert_eq!(Command::parse("   "), None);
    /// ```
    ///
    /// # Errors
    /// Says what is wrong with a line that begins with a slash and is no command.
    pub fn parse(line: &str) -> Option<Result<Command, CommandError>> {
        if line.trim().is_empty() {
            return None;
        }
        Some(match line.strip_prefix('/') {
            None => Ok(Command::Say(line.into())),
            Some(text) if text.starts_with('/') => Ok(Command::Say(text.into())),
            Some(command) => {
                let (word, rest) = split_word(command);
                match COMMANDS.iter().find(|spec| spec.is_called(word)) {
                    Some(spec) => (spec.parse)(spec, rest),
                    None => Err(CommandError::Unknown(word.to_owned(), candidates(word))),
                }
            }
        })
    }
}

impl CommandSpec {
    fn is_called(&self, word: &str) -> bool {
        self.words.iter().any(|known| known.eq_ignore_ascii_case(word))
    }
}

/// The command words that `word` begins, or else those that are a slip of a finger away from it.
fn candidates(word: &str) -> Vec<&'static str> {
    let word = word.to_lowercase();
    let like = |alike: &dyn Fn(&str) -> bool| {
        let words = COMMANDS.iter().flat_map(|spec| spec.words).copied();
        words.filter(|known| !word.is_empty() && alike(known)).collect::<Vec<_>>()
    };
    let begun = like(&|known| known.starts_with(&word));
    if begun.is_empty() {
        like(&|known| known.len() > 2 && strsim::osa_distance(known, &word) == 1)
    } else {
        begun
    }
}

/// `"bob  hello there"` is `("bob", "hello there")`.
pub(super) fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn some_text(rest: &str) -> Option<Arc<str>> {
    (!rest.trim().is_empty()).then(|| rest.into())
}

fn required(spec: &'static CommandSpec, rest: &str) -> Result<Arc<str>, CommandError> {
    some_text(rest).ok_or(CommandError::Usage(spec))
}

fn on_or_off(spec: &'static CommandSpec, rest: &str) -> Result<bool, CommandError> {
    match rest.trim().to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(CommandError::Usage(spec)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn understood(line: &str) -> Command {
        Command::parse(line).expect("not blank").expect("a command")
    }

    fn refused(line: &str) -> CommandError {
        Command::parse(line).expect("not blank").expect_err("no command")
    }

    #[test]
    fn text_is_said_as_it_was_typed() {
        assert_eq!(understood("hello"), Command::Say("hello".into()));
        assert_eq!(
            understood("    indented /not a command "),
            Command::Say("    indented /not a command ".into())
        );
        assert_eq!(understood("//msg is a command"), Command::Say("/msg is a command".into()));
        assert_eq!(understood("//"), Command::Say("/".into()));
    }

    #[test]
    fn blank_lines_are_nothing() {
        for blank in ["", " ", "\t", "  \t "] {
            assert!(Command::parse(blank).is_none());
        }
    }

    #[test]
    fn every_word_of_every_command_is_known_in_any_case() {
        for spec in &COMMANDS {
            for word in spec.words {
                for word in [word.to_lowercase(), word.to_uppercase()] {
                    let line = format!("/{word} bob on");
                    assert!(!matches!(Command::parse(&line), Some(Err(CommandError::Unknown(..)))), "{line}");
                }
            }
        }
    }

    #[test]
    fn commands_take_their_arguments() {
        let bob = Nickname::parse("bob").unwrap();
        assert_eq!(
            understood("/msg bob  see you "),
            Command::Msg { to: bob.clone(), text: "see you ".into() }
        );
        assert_eq!(understood("/W bob /quit"), Command::Msg { to: bob.clone(), text: "/quit".into() });
        assert_eq!(understood("/r yes"), Command::Reply("yes".into()));
        assert_eq!(understood("/nick bob "), Command::Nick(bob));
        assert_eq!(understood("/me waves"), Command::Me("waves".into()));
        assert_eq!(understood("/echo OFF"), Command::Echo(false));
        assert_eq!(understood("/quit"), Command::Quit(None));
        assert_eq!(understood("/quit bye all"), Command::Quit(Some("bye all".into())));
    }

    #[test]
    fn bad_uses_are_named() {
        for (line, word) in [
            ("/msg", "msg"),
            ("/msg bob", "msg"),
            ("/r  ", "reply"),
            ("/me", "me"),
            ("/nick", "nick"),
            ("/echo x", "echo"),
        ] {
            assert!(matches!(refused(line), CommandError::Usage(spec) if spec.words[0] == word), "{line}");
        }
        assert_eq!(refused("/"), CommandError::Unknown("".into(), vec![]));
        assert_eq!(refused("/dance now"), CommandError::Unknown("dance".into(), vec![]));
        assert_eq!(refused("/h"), CommandError::Unknown("h".into(), vec!["history", "help"]));
        assert_eq!(refused("/hlep"), CommandError::Unknown("hlep".into(), vec!["help"]));
        assert_eq!(refused("/nick a b"), CommandError::BadName(NicknameError::Character(' ')));
        assert_eq!(refused("/msg <bob> hi"), CommandError::NobodyCalled("<bob>".into()));
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange_to_parse(line in ".*") {
            let _ = Command::parse(&line);
        }

        #[test]
        fn what_does_not_begin_with_a_slash_is_said(line in "[^/\\s].*") {
            prop_assert_eq!(understood(&line), Command::Say(line.into()));
        }
    }
}
