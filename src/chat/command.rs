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
    Misaddressed(String, Nickname),
    Reply(Arc<str>),
    List,
    Nick(Nickname),
    Echo(bool),
    Timestamps(bool),
    History,
    Help,
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
    words: Words,
    /// The rest of the line, as in a manual page: `NAME TEXT`.
    arguments: &'static str,
    help: &'static str,
    parse: Parse<T>,
}

type Words = &'static [&'static str];

/// Understands the rest of the line; `None` if that is not what the row's `arguments` say.
type Parse<T> = fn(&str) -> Parsed<T>;

pub(crate) type Parsed<T> = Option<Result<T, Problem>>;

/// All commands, by who may use them, in the order in which `/help` shows them.
pub(crate) struct Table {
    clients: [Spec<Command>; 10],
    operator: [Spec<Order>; 8],
}

static TABLE: Table = Table {
    clients: [
        row(&["list", "who", "names"], "", "who is here, and how many", |_| room(Request::List)),
        row(&["msg", "w"], "NAME TEXT", "write to NAME alone", |rest| {
            let (name, rest) = split_word(rest);
            let text = text(rest)?;
            let is_punctuation = |c: char| !c.is_alphanumeric() && !matches!(c, '-' | '_');
            match (Nickname::parse(name), Nickname::parse(name.trim_matches(is_punctuation))) {
                (Ok(to), _) => room(Request::Msg { to, text }),
                (_, Ok(perhaps)) => room(Request::Misaddressed(name.to_owned(), perhaps)),
                _ => Some(Err(nobody_called(name))),
            }
        }),
        row(&["reply", "r"], "TEXT", "the same, to whoever wrote to you alone last", |rest| {
            room(Request::Reply(text(rest)?))
        }),
        row(&["nick"], "NAME", "be known as NAME", |rest| match Nickname::parse(text(rest)?.trim_end()) {
            Ok(name) => room(Request::Nick(name)),
            Err(why) => Some(Err(format!("/nick: {why}"))),
        }),
        row(&["me"], "TEXT", "say what you do: * alice waves", |rest| room(Request::Me(text(rest)?))),
        row(&["echo"], "on|off", "whether your own lines come back to you", |rest| {
            room(Request::Echo(is_on(rest)?))
        }),
        row(&["timestamps"], "on|off", "whether each line you get begins with its time", |rest| {
            room(Request::Timestamps(is_on(rest)?))
        }),
        row(&["history"], "", "what was said last", |_| room(Request::History)),
        row(&["help"], "", "these commands", |_| room(Request::Help)),
        row(&["quit"], "[TEXT]", "leave, with a last word if you like", |rest| {
            Some(Ok(Command::Quit(text(rest))))
        }),
    ],
    operator: [
        row(&["list", "who", "names"], "", "who is here, with all details", |_| Some(Ok(Order::List))),
        row(&["kick"], "NAME [REASON]", "send NAME away, or #7: see /list", |rest| {
            let (name, reason) = split_word(rest);
            Some(Ok(Order::Kick(text(name)?.to_string(), text(reason))))
        }),
        row(&["ban"], "NAME|ADDRESS|NET", "send all from there away, and let none in", |rest| {
            Some(Ok(Order::Ban(text(split_word(rest).0)?.to_string())))
        }),
        row(&["unban"], "ADDRESS|NET", "let them in again", |rest| {
            Some(Ok(Order::Unban(text(split_word(rest).0)?.to_string())))
        }),
        row(&["bans"], "", "who is banned", |_| Some(Ok(Order::Bans))),
        row(&["stop"], "", "stop the server", |rest| match text(rest) {
            None => Some(Ok(Order::Stop)),
            Some(_) => Some(Err("Nothing may follow, so the server goes on. Usage: /stop".to_owned())),
        }),
        row(&["quit", "exit"], "", "how to end the server or this console", |_| {
            let how = "/stop stops the server. Ctrl-D closes this console, and the server goes on.";
            Some(Err(how.to_owned()))
        }),
        row(&["help"], "", "these commands", |_| Some(Ok(Order::Help))),
    ],
};

const fn row<T>(words: Words, arguments: &'static str, help: &'static str, parse: Parse<T>) -> Spec<T> {
    Spec { words, arguments, help, parse }
}

fn room(request: Request) -> Parsed<Command> {
    Some(Ok(Command::Room(request)))
}

impl Command {
    /// Understands one printable line; `None` if nothing in it is visible. `seen` is the same line as a person sees it,
    /// without invisible characters.
    ///
    /// A private line must not become public by a slip of the finger. So nobody gets a line that begins with a slash and
    /// a letter and is no command, nor one that only looks like a command on the screen: with a blank or an invisible
    /// character in front, say.
    pub(crate) fn parse(line: &str, seen: &str) -> Parsed<Command> {
        understand(line, seen, &TABLE.clients, |text| Command::Room(Request::Say(text)))
    }
}

impl Order {
    /// The same for a line from the operator.
    pub(crate) fn parse(line: &str, seen: &str) -> Parsed<Order> {
        understand(line, seen, &TABLE.operator, Order::Say)
    }
}

fn understand<T>(line: &str, seen: &str, specs: &[Spec<T>], say: fn(Arc<str>) -> T) -> Parsed<T> {
    Some(match line.strip_prefix('/') {
        _ if seen.trim().is_empty() => return None,
        Some(command) if command.is_empty() || command == "?" || command.starts_with(char::is_alphabetic) => {
            let (word, rest) = split_word(command);
            match specs.iter().find(|spec| spec.words.iter().any(|w| w.eq_ignore_ascii_case(word))) {
                Some(spec) => (spec.parse)(rest).unwrap_or_else(|| Err(spec.usage_problem())),
                None => Err(unknown(word, specs)),
            }
        }
        Some(text) if text.starts_with('/') && !text[1..].starts_with(char::is_whitespace) => {
            Ok(say(text.into()))
        }
        _ => match disguised(seen, specs) {
            Some(word) => Err(format!(
                "That looks like /{word}, but does not begin with exactly that, so nobody got that. \
                 To say it to everyone, begin it with //{word}."
            )),
            None => Ok(say(line.into())),
        },
    })
}

/// The command word with which a line seems to begin.
fn disguised<T>(seen: &str, specs: &[Spec<T>]) -> Option<&'static str> {
    // In front, a broken character is a blank or a key of another encoding.
    let begins = seen.trim_start_matches(|c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER);
    let command = begins.strip_prefix(['/', '\u{2044}', '\u{2215}', '\u{2571}', '\u{29f8}'])?.trim_start();
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

/// Names the commands that may have been meant: the one that other programs call so, or else those that `word` begins, or
/// else those that are one slip of a finger away from it.
fn unknown<T>(word: &str, specs: &[Spec<T>]) -> Problem {
    let lower = word.to_lowercase();
    let kind = |known: &str| match MISTAKEN.iter().find(|(ours, _)| *ours == known) {
        Some((_, theirs)) if theirs.contains(&lower.as_str()) => 0,
        _ if TABLE.operator.iter().any(|spec| spec.words.contains(&lower.as_str())) => 3,
        _ if !word.is_empty() && known.starts_with(&lower) => 1,
        _ if known.len() > 2 && strsim::osa_distance(known, &lower) == 1 => 2,
        _ => 4,
    };
    let words = specs.iter().flat_map(|spec| spec.words).copied();
    let nearest = words.clone().map(kind).min().unwrap_or(4);
    let meant: Vec<_> = words.filter(|known| kind(known) == nearest).collect();
    match nearest {
        0..3 => format!("There is no command /{word}. Did you mean /{}?", meant.join(" or /")),
        3 => format!("Only the operator can use /{word}."),
        _ => format!(
            "There is no command /{word}. /help lists them; to say a line that begins with a slash, type //{word}"
        ),
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

fn text(rest: &str) -> Option<Arc<str>> {
    (!rest.trim().is_empty()).then(|| rest.into())
}

fn is_on(rest: &str) -> Option<bool> {
    match rest.trim().to_ascii_lowercase().as_str() {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
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
