//! Everything that one may type. A line of text becomes a [`Command`], or an [`Order`] of the operator, once.
//!
//! [`TABLE`] is the only list of them: the parser looks words up in it, and both `/help`s print it. A client's line
//! is parsed in the client's own thread, so the dispatcher gets its meaning and not text.

use super::{Problem, nickname::Nickname};
use std::sync::Arc;

/// A line from a client, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// The client's thread ends, and the room is told of a leave.
    Quit(Option<Arc<str>>),
    /// Everything else is for the [room](super::room).
    Room(Request),
}

/// A client's request to the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Say(Arc<str>),
    Me(Arc<str>),
    Msg {
        to: Nickname,
        text: Arc<str>,
    },
    /// `/msg` to a word that cannot be a name, but perhaps has one in it.
    Misaddressed {
        to: String,
        perhaps: Nickname,
    },
    Reply(Arc<str>),
    List,
    Nick(Nickname),
    Echo(bool),
    Timestamps(bool),
    History,
    Help,
    /// No request of the client: its thread tells it that its lines are being slowed.
    Slowed(String),
}

impl Request {
    /// The cost of the answer, beyond the line that asks for it, in tokens of the client's pace: by its size and work. A new
    /// name is dear as well, or a client that the operator wants to send away could change it faster than anyone types.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Request::List | Request::History => 20,
            Request::Help | Request::Nick(_) => 8,
            _ => 0,
        }
    }
}

/// A line from the operator, understood.
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
    /// The rest of the line, as in a manual page: `NAME TEXT`.
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
            let is_punctuation = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_');
            match (Nickname::parse(name), Nickname::parse(name.trim_matches(is_punctuation))) {
                (Ok(to), _) => room(Request::Msg { to, text }),
                (_, Ok(perhaps)) => room(Request::Misaddressed { to: name.to_owned(), perhaps }),
                _ => Err(nobody_called(name)),
            }
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
        row(&["kick"], "NAME [REASON]", "send NAME away, or #7: see /list", |spec, rest| {
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
    /// Understands one printable line; `None` if nothing in it is visible. `seen` is the same line as a person sees it,
    /// without invisible characters.
    ///
    /// A private line must not become public by a slip of the finger. So nobody gets a line that begins with a slash and
    /// a letter and is no command, nor one that only looks like a command on the screen: with a blank or an invisible
    /// character in front, say.
    pub(crate) fn parse(line: &str, seen: &str) -> Option<Result<Command, Problem>> {
        understand(line, seen, &TABLE.clients, |text| Command::Room(Request::Say(text)))
    }
}

impl Order {
    /// The same for a line from the operator.
    pub(crate) fn parse(line: &str, seen: &str) -> Option<Result<Order, Problem>> {
        understand(line, seen, &TABLE.operator, Order::Say)
    }
}

fn understand<T>(
    line: &str,
    seen: &str,
    specs: &[Spec<T>],
    say: fn(Arc<str>) -> T,
) -> Option<Result<T, Problem>> {
    if seen.trim().is_empty() {
        return None;
    }
    let text = match line.strip_prefix('/') {
        Some(command) if command.is_empty() || command == "?" || command.starts_with(char::is_alphabetic) => {
            let (word, rest) = split_word(command);
            let called = specs.iter().find(|spec| spec.words.iter().any(|w| w.eq_ignore_ascii_case(word)));
            return Some(called.map_or_else(|| Err(unknown(word, specs)), |spec| (spec.parse)(spec, rest)));
        }
        Some(text) if text.starts_with('/') && !text[1..].starts_with(char::is_whitespace) => text,
        _ => match disguised(seen, specs) {
            Some(word) => {
                return Some(Err(format!(
                    "That looks like /{word}, but does not begin with exactly that, so nobody got that. \
                     To say it to everyone, begin it with //{word}."
                )));
            }
            None => line,
        },
    };
    Some(Ok(say(text.into())))
}

/// The command word with which a line seems to begin.
fn disguised<T>(seen: &str, specs: &[Spec<T>]) -> Option<&'static str> {
    let command =
        seen.trim_start().strip_prefix(['/', '\u{2044}', '\u{2215}', '\u{2571}', '\u{29f8}'])?.trim_start();
    let known = specs.iter().flat_map(|spec| spec.words).chain(MISTAKEN.iter().flat_map(|(_, words)| *words));
    let word = split_word(command).0.to_lowercase();
    let is_private = command.replace(' ', "").to_lowercase().starts_with("msg"); // `/m sg alice …`
    known.copied().find(|known| *known == word).or(is_private.then_some("msg"))
}

/// Words that other chat programs use, and ours.
const MISTAKEN: [(&str, &[&str]); 5] = [
    ("quit", &["exit", "bye", "leave", "part", "q", "logout"]),
    ("msg", &["tell", "whisper", "pm", "dm", "query", "private", "privmsg"]),
    ("list", &["users", "people"]),
    ("nick", &["nickname", "name", "rename"]),
    ("help", &["?", "h", "commands"]),
];

fn unknown<T>(word: &str, specs: &[Spec<T>]) -> Problem {
    let lower = word.to_lowercase();
    let is_orders = TABLE.operator.iter().any(|spec| spec.words.contains(&lower.as_str()));
    let mistaken = MISTAKEN.iter().find(|(_, words)| words.contains(&lower.as_str())).map(|(ours, _)| *ours);
    let words = specs.iter().flat_map(|spec| spec.words).copied();
    let nearest = match mistaken.filter(|ours| words.clone().any(|word| word == *ours)) {
        Some(ours) => vec![ours],
        None => candidates(&lower, words),
    };
    if is_orders && mistaken.is_none() {
        format!("Only the operator can use /{word}.")
    } else if nearest.is_empty() {
        format!(
            "There is no command /{word}. /help lists them; to say a line that begins with a slash, type //{word}"
        )
    } else {
        format!("There is no command /{word}. Did you mean /{}?", nearest.join(" or /"))
    }
}

/// The command words that `word` begins, or else those that are one slip of a finger away from it.
fn candidates(word: &str, words: impl Iterator<Item = &'static str> + Clone) -> Vec<&'static str> {
    let begun: Vec<_> = words.clone().filter(|known| !word.is_empty() && known.starts_with(word)).collect();
    if begun.is_empty() {
        words.filter(|known| known.len() > 2 && strsim::osa_distance(known, word) == 1).collect()
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

/// The answer to `/help`: the rows of the [`TABLE`] that the asker may use.
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
mod tests;
