//! Everything that one may type. A line of text becomes a [`Command`], or an [`Order`] of the operator, once.
//!
//! [`TABLE`] is the only list of them: the parser looks words up in it, and both `/help`s print it. A client's line
//! is parsed in the client's own thread, so the dispatcher gets what is meant and not text.

use super::{Problem, nickname::Nickname};
use std::sync::Arc;

/// What a line from a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// The client's thread ends, and the room hears of a leave.
    Quit(Option<Arc<str>>),
    /// Everything else is for the [room](super::room).
    Room(Request),
}

/// What a client asks of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Say(Arc<str>),
    Me(Arc<str>),
    Msg { to: Nickname, text: Arc<str> },
    Reply(Arc<str>),
    List,
    Nick(Nickname),
    Echo(bool),
    Timestamps(bool),
    History,
    Help,
}

/// What a line from the operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Say(Arc<str>),
    List,
    Kick(String, Option<Arc<str>>),
    Ban(String),
    Unban(String),
    Bans,
    Stop,
    Help,
}

/// A row of the [`TABLE`]: a command of those that give `T`.
pub(crate) struct Spec<T> {
    /// The word after the slash, then its synonyms.
    words: &'static [&'static str],
    /// What follows the word, as in a manual page: `NAME TEXT`.
    arguments: &'static str,
    help: &'static str,
    parse: fn(&Spec<T>, &str) -> Result<T, Problem>,
}

/// All commands, by who may use them, in the order in which `/help` shows them.
pub(crate) struct Table {
    clients: [Spec<Command>; 10],
    operator: [Spec<Order>; 8],
}

static TABLE: Table = Table {
    clients: [
        row(&["list", "who", "names"], "", "who is here, and how many", |_, _| room(Request::List)),
        row(&["msg", "w"], "NAME TEXT", "write to NAME alone", |spec, rest| {
            let (name, text) = split_word(rest);
            let text = required(spec, text)?;
            let to = Nickname::parse(name).map_err(|_| nobody_called(name))?;
            room(Request::Msg { to, text })
        }),
        row(&["reply", "r"], "TEXT", "the same, to whoever wrote to you alone last", |spec, rest| {
            room(Request::Reply(required(spec, rest)?))
        }),
        row(&["nick"], "NAME", "be known as NAME", |spec, rest| {
            let name = Nickname::parse(required(spec, rest)?.trim_end());
            room(Request::Nick(name.map_err(|why| format!("/nick: {why}"))?))
        }),
        row(&["me"], "TEXT", "say what you do: * alice waves", |spec, rest| {
            room(Request::Me(required(spec, rest)?))
        }),
        row(&["echo"], "on|off", "whether your own lines come back to you", |spec, rest| {
            room(Request::Echo(on_or_off(spec, rest)?))
        }),
        row(&["timestamps"], "on|off", "whether each line you get begins with its time", |spec, rest| {
            room(Request::Timestamps(on_or_off(spec, rest)?))
        }),
        row(&["history"], "", "what was said last", |_, _| room(Request::History)),
        row(&["help"], "", "these commands", |_, _| room(Request::Help)),
        row(&["quit"], "[TEXT]", "leave, with a last word if you like", |_, rest| {
            Ok(Command::Quit(some_text(rest)))
        }),
    ],
    operator: [
        row(&["list", "who", "names"], "", "who is here, with all details", |_, _| Ok(Order::List)),
        row(&["kick"], "NAME [REASON]", "send a client away", |spec, rest| {
            let (name, reason) = split_word(rest);
            Ok(Order::Kick(required(spec, name)?.to_string(), some_text(reason)))
        }),
        row(&["ban"], "NAME|ADDRESS|NET", "send all from there away, and let none in", |spec, rest| {
            Ok(Order::Ban(required(spec, split_word(rest).0)?.to_string()))
        }),
        row(&["unban"], "ADDRESS|NET", "let them in again", |spec, rest| {
            Ok(Order::Unban(required(spec, split_word(rest).0)?.to_string()))
        }),
        row(&["bans"], "", "who is banned", |_, _| Ok(Order::Bans)),
        row(&["stop"], "", "stop the server", |spec, rest| match some_text(rest) {
            None => Ok(Order::Stop),
            Some(_) => Err(format!("Nothing may follow, so the server goes on. Usage: {}", spec.usage())),
        }),
        row(&["quit", "exit"], "", "how to end the server or this console", |_, _| {
            Err("/stop stops the server. Ctrl-D closes this console, and the server goes on.".to_owned())
        }),
        row(&["help"], "", "these commands", |_, _| Ok(Order::Help)),
    ],
};

const fn row<T>(
    words: &'static [&'static str],
    arguments: &'static str,
    help: &'static str,
    parse: fn(&Spec<T>, &str) -> Result<T, Problem>,
) -> Spec<T> {
    Spec { words, arguments, help, parse }
}

fn room(request: Request) -> Result<Command, Problem> {
    Ok(Command::Room(request))
}

impl Command {
    /// Understands one printable line, which has no line break any more; `None` if it is blank.
    ///
    /// A line that begins with a slash and is no command is a [`Problem`], and nobody gets it: a private line with a
    /// slip of the finger in it must not become public.
    pub(crate) fn parse(line: &str) -> Option<Result<Command, Problem>> {
        understand(line, &TABLE.clients, |text| Command::Room(Request::Say(text)))
    }
}

impl Order {
    /// The same for a line from the operator.
    pub(crate) fn parse(line: &str) -> Option<Result<Order, Problem>> {
        understand(line, &TABLE.operator, Order::Say)
    }
}

fn understand<T>(line: &str, specs: &[Spec<T>], say: fn(Arc<str>) -> T) -> Option<Result<T, Problem>> {
    if line.trim().is_empty() {
        return None;
    }
    let text = match line.strip_prefix('/') {
        None => line,
        Some(text) if text.starts_with('/') => text,
        Some(command) => {
            let (word, rest) = split_word(command);
            let called = specs.iter().find(|spec| spec.words.iter().any(|w| w.eq_ignore_ascii_case(word)));
            return Some(called.map_or_else(|| Err(unknown(word, specs)), |spec| (spec.parse)(spec, rest)));
        }
    };
    Some(Ok(say(text.into())))
}

fn unknown<T>(word: &str, specs: &[Spec<T>]) -> Problem {
    let nearest = candidates(word, specs.iter().flat_map(|spec| spec.words).copied());
    if nearest.is_empty() {
        return format!(
            "There is no command /{word}. /help lists them; to say a line that begins with a slash, type //{word}"
        );
    }
    format!("There is no command /{word}. Did you mean /{}?", nearest.join(" or /"))
}

/// The command words that `word` begins, or else those that are one slip of a finger away from it.
fn candidates(word: &str, words: impl Iterator<Item = &'static str> + Clone) -> Vec<&'static str> {
    let word = word.to_lowercase();
    let begun: Vec<_> = words.clone().filter(|known| !word.is_empty() && known.starts_with(&word)).collect();
    if begun.is_empty() {
        words.filter(|known| known.len() > 2 && strsim::osa_distance(known, &word) == 1).collect()
    } else {
        begun
    }
}

pub(crate) fn nobody_called(name: &str) -> Problem {
    format!("No one here is called \"{name}\". /list shows who is here.")
}

/// `"bob  hello there"` is `("bob", "hello there")`.
fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn some_text(rest: &str) -> Option<Arc<str>> {
    (!rest.trim().is_empty()).then(|| rest.into())
}

fn required<T>(spec: &Spec<T>, rest: &str) -> Result<Arc<str>, Problem> {
    some_text(rest).ok_or_else(|| spec.usage_problem())
}

fn on_or_off<T>(spec: &Spec<T>, rest: &str) -> Result<bool, Problem> {
    match rest.trim().to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(spec.usage_problem()),
    }
}

impl<T> Spec<T> {
    /// The command as it is typed: `/msg NAME TEXT`.
    fn usage(&self) -> String {
        format!("/{} {}", self.words[0], self.arguments).trim_end().to_owned()
    }

    fn usage_problem(&self) -> Problem {
        format!("/{} needs something else after it. Usage: {}", self.words[0], self.usage())
    }
}

/// The answer to `/help`: the rows of the [`TABLE`] that concern whoever asks.
pub(crate) fn help_for_clients() -> String {
    help("said to everyone", &TABLE.clients)
}

pub(crate) fn help_for_the_operator() -> String {
    help("said to everyone, as the server", &TABLE.operator)
}

fn help<T>(said: &str, specs: &[Spec<T>]) -> String {
    let mut help = format!("*** Any text is {said}. Beyond that:");
    let width = specs.iter().map(|spec| spec.usage().len()).max().unwrap_or_default();
    for spec in specs {
        let synonyms = spec.words[1..].join(", /");
        let also = if synonyms.is_empty() { synonyms } else { format!(" (also /{synonyms})") };
        help += &format!("\n***   {:<width$} {}{also}", spec.usage(), spec.help);
    }
    help + &format!("\n***   {:<width$} say a line that begins with a slash", "//text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn understood(line: &str) -> Request {
        match Command::parse(line) {
            Some(Ok(Command::Room(request))) => request,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    fn refused(line: &str) -> Problem {
        Command::parse(line).expect("not blank").expect_err("no command")
    }

    #[test]
    fn text_is_said_as_it_was_typed() {
        assert_eq!(understood("hello"), Request::Say("hello".into()));
        let indented = "    indented /not a command ";
        assert_eq!(understood(indented), Request::Say(indented.into()));
        assert_eq!(understood("//msg is a command"), Request::Say("/msg is a command".into()));
        assert_eq!(understood("//"), Request::Say("/".into()));
    }

    #[test]
    fn blank_lines_are_nothing() {
        for blank in ["", " ", "\t", "  \t "] {
            assert!(Command::parse(blank).is_none() && Order::parse(blank).is_none());
        }
    }

    #[test]
    fn every_word_of_every_command_is_known_in_any_case() {
        let parse_both =
            |line: &str| (Command::parse(line).unwrap().err(), Order::parse(line).unwrap().err());
        let is_known = |problem: Option<Problem>| problem.is_none_or(|p| !p.starts_with("There is no"));
        for word in TABLE.clients.iter().flat_map(|spec| spec.words) {
            assert!(is_known(parse_both(&format!("/{word} bob on")).0), "{word}");
            assert!(is_known(parse_both(&format!("/{} bob on", word.to_uppercase())).0), "{word}");
        }
        for word in TABLE.operator.iter().flat_map(|spec| spec.words) {
            assert!(is_known(parse_both(&format!("/{} bob on", word.to_uppercase())).1), "{word}");
        }
    }

    #[test]
    fn commands_take_their_arguments() {
        let bob = Nickname::parse("bob").unwrap();
        let to_bob = |text: &str| Request::Msg { to: bob.clone(), text: text.into() };
        assert_eq!(understood("/msg bob  see you "), to_bob("see you "));
        assert_eq!(understood("/W bob /quit"), to_bob("/quit"));
        assert_eq!(understood("/r yes"), Request::Reply("yes".into()));
        assert_eq!(understood("/nick bob "), Request::Nick(bob.clone()));
        assert_eq!(understood("/me waves"), Request::Me("waves".into()));
        assert_eq!(understood("/echo OFF"), Request::Echo(false));
        assert_eq!(Command::parse("/quit"), Some(Ok(Command::Quit(None))));
        assert_eq!(Command::parse("/quit bye all"), Some(Ok(Command::Quit(Some("bye all".into())))));
        assert_eq!(Order::parse("hello"), Some(Ok(Order::Say("hello".into()))));
        assert_eq!(Order::parse("//x"), Some(Ok(Order::Say("/x".into()))));
        let kick = Order::Kick("bob".into(), Some("too loud".into()));
        assert_eq!(Order::parse("/KICK bob too loud"), Some(Ok(kick)));
    }

    #[test]
    fn a_bad_use_is_answered_with_what_to_type() {
        for (line, usage) in [
            ("/msg", "/msg NAME TEXT"),
            ("/msg bob", "/msg NAME TEXT"),
            ("/r  ", "/reply TEXT"),
            ("/me", "/me TEXT"),
            ("/nick", "/nick NAME"),
            ("/echo x", "/echo on|off"),
        ] {
            assert!(
                refused(line).ends_with(&format!("needs something else after it. Usage: {usage}")),
                "{line}"
            );
        }
        assert!(refused("/").starts_with("There is no command /. /help lists them"));
        assert!(refused("/dance now").starts_with("There is no command /dance. /help lists them"));
        assert_eq!(refused("/h"), "There is no command /h. Did you mean /history or /help?");
        assert_eq!(refused("/hlep"), "There is no command /hlep. Did you mean /help?");
        assert_eq!(refused("/msg <bob> hi"), nobody_called("<bob>"));
        let order = Order::parse("/BAN").unwrap().unwrap_err();
        assert_eq!(order, "/ban needs something else after it. Usage: /ban NAME|ADDRESS|NET");
    }

    #[test]
    fn each_help_has_a_line_for_every_command_of_its_own() {
        let (clients, operator) = (help_for_clients(), help_for_the_operator());
        let has = |help: &str, usage: String| help.contains(&format!("\n***   {usage} "));
        assert!(TABLE.clients.iter().all(|spec| has(&clients, spec.usage())), "{clients}");
        assert!(TABLE.operator.iter().all(|spec| has(&operator, spec.usage())), "{operator}");
        assert!(clients.contains("/list              who is here, and how many (also /who, /names)"));
        for line in clients.lines().chain(operator.lines()) {
            assert!(line.starts_with("*** ") && line.chars().count() <= 80, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange_to_parse(line in ".*") {
            let _ = (Command::parse(&line), Order::parse(&line));
        }

        #[test]
        fn what_does_not_begin_with_a_slash_is_said(line in "[^/\\s].*") {
            prop_assert_eq!(understood(&line), Request::Say(line.into()));
        }
    }
}
