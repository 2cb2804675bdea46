//! Everything that one may type. A line of text becomes a [`Request`] once.
//!
//! [`COMMANDS`] is the only list of them: words are looked up there, and `/help` prints it. The operator has
//! such a [`Table`] too. A line is parsed in the client's own thread, so the dispatcher gets its meaning and
//! not text.

use super::text::{printable, visible};
use super::{Problem, nickname::Nickname};
use std::sync::Arc;
use strsim::osa_distance;

/// A line from a client, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Say(Arc<str>),
    /// Text that begins like a private line without its slash, `msg bob …`: the word, the name, and all of
    /// it.
    SayUnlessHere(&'static str, String, Arc<str>),
    Me(Arc<str>),
    /// To whom, as it was typed, and the text.
    Msg(String, Arc<str>),
    Reply(Arc<str>),
    List,
    Nick(Nickname),
    Echo(bool),
    Timestamps(bool),
    History,
    Help,
    /// Not for the [room](super::room): the client's thread ends, and that is a leave.
    Quit(Option<Arc<str>>),
}

/// A request, or the problem that the client is told about.
pub(crate) type Line = Result<Request, Problem>;

/// What may stand around a text, in bytes: a date, a time, a name, marks and line breaks.
pub(crate) const AROUND: usize =
    "*** 2026-11-25\n[2026-11-25 14:03] [ -> you] \n".len() + Nickname::MAX_BYTES;

/// How many bytes of a line's text are shown to others, or to its author. Not counted is what stands
/// [`AROUND`] it.
pub(crate) fn shown(line: &Line) -> usize {
    match line {
        Ok(
            Request::Say(text)
            | Request::SayUnlessHere(_, _, text)
            | Request::Me(text)
            | Request::Reply(text),
        ) => text.len(),
        Ok(Request::Msg(name, text)) => name.len() + text.len(),
        Ok(Request::Quit(words)) => words.as_ref().map_or(0, |words| words.len()),
        Ok(_) => 0,
        Err(problem) => problem.len(),
    }
}

/// For how many bytes the author of a line pays: for those that are shown of it. An answer that is a list has
/// one price, by its usual size and work. A new name costs as much as eight lines; otherwise a client that
/// the operator wants to send away could change it faster than anyone types.
pub(crate) fn weight(line: &Line) -> usize {
    match line {
        Ok(Request::List | Request::History) => 2560,
        Ok(Request::Help | Request::Nick(_)) => 1024,
        _ => shown(line),
    }
}

/// Whether it is said to others, to all of them or to one.
pub(crate) fn is_said(line: &Line) -> bool {
    use Request::{Me, Msg, Reply, Say, SayUnlessHere};
    matches!(line, Ok(Say(_) | SayUnlessHere(..) | Me(_) | Msg(..) | Reply(_)))
}

/// All that one may type: as a client, or as the operator.
pub(crate) struct Table<T: 'static> {
    /// What a line is that is no command, and what `/help` says of it.
    pub(crate) say: fn(Arc<str>) -> T,
    pub(crate) said: &'static str,
    /// In the order in which `/help` shows them.
    pub(crate) rows: &'static [Row<T>],
    /// The words that only the operator can use.
    pub(crate) operators: Words,
}

pub(crate) struct Row<T> {
    /// The word after the slash, then its synonyms.
    words: Words,
    /// The rest of the line, as in a manual page: `NAME TEXT`.
    arguments: &'static str,
    help: &'static str,
    parse: Parse<T>,
}

pub(crate) type Words = &'static [&'static str];

/// Understands the rest of the line.
pub(crate) type Parse<T> = fn(&str) -> Parsed<T>;

/// `Err(None)`: it is not what the row's `arguments` say.
pub(crate) type Parsed<T> = Result<T, Option<Problem>>;

/// For clients.
pub(crate) static COMMANDS: Table<Request> = Table {
    say: |text| match without_slash(&text) {
        Some((word, name)) => Request::SayUnlessHere(word, name, text),
        None => Request::Say(text),
    },
    said: "said to everyone",
    rows: &[
        row(&["list", "who", "names"], "", "who is here, and how many", |_| Ok(Request::List)),
        row(&["msg", "w"], "NAME TEXT", "write to NAME alone", |rest| {
            let (name, rest) = split_word(rest);
            Ok(Request::Msg(name.to_owned(), text(rest)?))
        }),
        row(&["reply", "r"], "TEXT", "the same, to whoever wrote to you alone last", |rest| {
            text(rest).map(Request::Reply)
        }),
        row(&["nick"], "NAME", "be known as NAME", |rest| {
            let name = Nickname::parse(text(rest)?.trim_end());
            name.map(Request::Nick).map_err(|why| Some(format!("/nick: {why}")))
        }),
        row(&["me"], "TEXT", "say what you do: * alice waves", |rest| text(rest).map(Request::Me)),
        row(&["echo"], "on|off", "whether your own lines come back to you", |rest| {
            is_on(rest).map(Request::Echo)
        }),
        row(&["timestamps"], "on|off", "whether each line you get begins with its time", |rest| {
            is_on(rest).map(Request::Timestamps)
        }),
        row(&["history"], "", "what was said last", |_| Ok(Request::History)),
        row(&["help"], "", "these commands", |_| Ok(Request::Help)),
        row(&["quit"], "[TEXT]", "leave, with a last word if you like", |rest| {
            Ok(Request::Quit(text(rest).ok()))
        }),
    ],
    operators: &["kick", "ban", "unban", "bans", "forget", "addresses", "stop"],
};

pub(crate) const fn row<T>(
    words: Words,
    arguments: &'static str,
    help: &'static str,
    parse: Parse<T>,
) -> Row<T> {
    Row { words, arguments, help, parse }
}

/// Words that other chat programs use, and ours.
const MISTAKEN: [(&str, &[&str]); 9] = [
    ("quit", &["exit", "bye", "leave", "part", "q", "logout"]),
    ("msg", &["tell", "whisper", "pm", "dm", "query", "private", "privmsg"]),
    ("list", &["users", "people"]),
    ("nick", &["nickname", "name", "rename"]),
    ("help", &["?", "h", "commands"]),
    ("stop", &["shutdown", "halt", "end", "kill"]),
    ("kick", &["remove", "boot", "disconnect"]),
    ("ban", &["block", "deny"]),
    ("unban", &["unblock", "allow", "pardon"]),
];

/// The words for a line to one person, ours and those of other programs.
const PRIVATE: [&str; 11] =
    ["msg", "w", "reply", "r", "tell", "whisper", "pm", "dm", "query", "private", "privmsg"];

/// Those that, before the name of a person who is here, are taken for a command whose slash was forgotten.
/// The others are words of ordinary talk: "tell bob to come".
const PRIVATE_WITHOUT_SLASH: [&str; 3] = ["msg", "w", "whisper"];

/// The longest of these.
const LONGEST_PRIVATE: usize = "whisper".len();

/// How many stray characters in front of a private word are taken for a slip: a wrong key, and the slash.
const MOST_STRAY: usize = 2;

/// What looks like a slash.
const SLASHES: [char; 5] = ['/', '\u{2044}', '\u{2215}', '\u{2571}', '\u{29f8}'];

impl<T> Table<T> {
    /// Understands one line; `None` if nothing in it is visible.
    ///
    /// A private line must not become public by a slip of the finger. So nobody gets a line that begins with
    /// a slash and a letter and is no command; nor one that only looks like a command on the screen, with a
    /// blank or an invisible character in front, say; nor one that begins like a private command with a wrong
    /// key for its slash. A path is text: its first word has a second slash.
    pub(crate) fn parse(&self, line: &str) -> Option<Result<T, Problem>> {
        let seen = visible(line);
        if seen.trim().is_empty() {
            return None;
        }
        let line = printable(line);
        let is_command = |it: &str| {
            it.is_empty()
                || it == "?"
                || (it.starts_with(char::is_alphabetic) && !split_word(it).0.contains('/'))
        };
        let is_text = |it: &str| it.starts_with('/') && !it[1..].starts_with(char::is_whitespace);
        Some(match line.strip_prefix('/') {
            Some(command) if is_command(command) => {
                let (word, rest) = split_word(command);
                self.find(word).ok_or_else(|| self.unknown(word)).and_then(|row| row.understand(rest))
            }
            Some(text) if is_text(text) => Ok((self.say)(text.into())),
            _ => match self.disguised(&seen) {
                Some(word) => Err(looks_like(word)),
                None => Ok((self.say)((*line).into())),
            },
        })
    }

    fn find(&self, word: &str) -> Option<&Row<T>> {
        self.rows.iter().find(|row| row.words.iter().any(|known| known.eq_ignore_ascii_case(word)))
    }

    /// The command that a word calls, here or in other programs.
    pub(crate) fn meant_by(&self, word: &str) -> Option<&'static str> {
        let theirs =
            |(_, theirs): &&(_, &[&str])| theirs.iter().any(|known| known.eq_ignore_ascii_case(word));
        let ours = self.find(word).map(|row| row.words[0]);
        ours.or_else(|| {
            MISTAKEN.iter().find(theirs).map(|(ours, _)| *ours).filter(|ours| self.find(ours).is_some())
        })
    }

    fn words(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().flat_map(|row| row.words).copied()
    }

    /// The command word with which a line seems to begin.
    fn disguised(&self, seen: &str) -> Option<&'static str> {
        // In front, a broken character is a blank or a key of another encoding.
        let begins = seen.trim_start_matches(|c: char| c.is_whitespace() || c == char::REPLACEMENT_CHARACTER);
        let Some(command) = begins.strip_prefix(SLASHES) else { return with_wrong_key(begins) };
        let command = command.trim_start().to_lowercase();
        let word = split_word(&command).0;
        let theirs = MISTAKEN.iter().flat_map(|(_, theirs)| *theirs).copied();
        let is_private = command.replace(' ', "").starts_with("msg"); // `/m sg alice …`
        let known = self.words().chain(theirs).find(|known| *known == word);
        known.or(is_private.then_some("msg")).or_else(|| with_wrong_key(begins))
    }

    /// Names the commands that may have been meant: the one that other programs call so, or else those that
    /// `word` begins or that are one slip of a finger away from it.
    fn unknown(&self, word: &str) -> Problem {
        let typed = word.to_lowercase();
        let ours =
            MISTAKEN.iter().find(|(_, theirs)| theirs.contains(&typed.as_str())).map(|(ours, _)| *ours);
        if ours.is_none() && self.operators.contains(&typed.as_str()) {
            return format!("Only the operator can use /{word}.");
        }
        let meant = ours.unwrap_or(&typed);
        let is_a_slip = |known: &str| known.len() > 2 && osa_distance(known, meant) == 1;
        let near: Vec<_> =
            self.words().filter(|known| known.starts_with(meant) || is_a_slip(known)).collect();
        if word.is_empty() || near.is_empty() {
            return format!(
                "There is no command /{word}. /help lists them; to say a line that begins with a slash, type //{word}"
            );
        }
        format!("There is no command /{word}. Did you mean /{}?", near.join(" or /"))
    }

    /// The answer to `/help`.
    pub(crate) fn help(&self) -> String {
        let mut help = format!("*** Any text is {}. Beyond that:", self.said);
        let width = self.rows.iter().map(|row| row.usage().len()).max().unwrap_or_default();
        for row in self.rows {
            let synonyms = row.words[1..].join(", /");
            let also = if synonyms.is_empty() { synonyms } else { format!(" (also /{synonyms})") };
            help += &format!("\n***   {:<width$} {}{also}", row.usage(), row.help);
        }
        help + &format!("\n***   {:<width$} say a line that begins with a slash", "//text")
    }
}

/// The private word with which a line begins, but for a stray character: on many keyboards `/` is Shift-7, so
/// `7msg bob …` is a slip. Or with a slash behind it: `/msg/bob …`. Some text must follow, as in every
/// private line; `$r = 1` is code.
fn with_wrong_key(begins: &str) -> Option<&'static str> {
    let is_stray = |c: &char| *c == '7' || !(c.is_alphanumeric() || c.is_whitespace());
    let stray: String = begins.chars().take_while(is_stray).collect();
    if stray.is_empty() {
        return None; // As nearly always, and then the rest is not looked at.
    }
    let (first, rest) = split_word(&begins[stray.len()..]);
    let (word, path) = first.split_once('/').unwrap_or((first, ""));
    let is_slip = stray.chars().count() <= MOST_STRAY && !stray.starts_with("//");
    let has_text = [path, split_word(rest).0].iter().any(|word| word.contains(char::is_alphanumeric));
    let is_time = stray == "7" && word.eq_ignore_ascii_case("pm");
    let word = PRIVATE.into_iter().find(|known| known.eq_ignore_ascii_case(word))?;
    (is_slip && has_text && !is_time).then_some(word)
}

/// Text that may be a private line without its slash: the word with which it begins, and the name after it.
/// Of any other text nothing is looked at but its beginning.
fn without_slash(text: &str) -> Option<(&'static str, String)> {
    let seen = visible(text);
    let begins = seen.trim_start();
    begins.chars().take(LONGEST_PRIVATE + 2).find(|c| c.is_whitespace())?;
    let (first, rest) = split_word(begins);
    let is_slip = |known: &str| {
        first.ends_with(known) && first.chars().count() == known.len() + 1 && !first.starts_with('/')
    };
    let word = PRIVATE_WITHOUT_SLASH.into_iter().find(|known| {
        first.eq_ignore_ascii_case(known) || (known.len() > 1 && is_slip(known)) // `zmsg bob …`
    })?;
    let (name, text) = split_word(rest);
    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && !"-_".contains(c));
    (!text.is_empty()).then(|| (word, name.to_owned()))
}

/// The problem of a line that is held back, because it may be meant for one person alone.
pub(crate) fn looks_like(word: &str) -> Problem {
    format!(
        "That looks like /{word}, but does not begin with exactly that, so nobody got that. \
         To say it to everyone, begin it with another word."
    )
}

impl<T> Row<T> {
    /// The command as it is typed: `/msg NAME TEXT`.
    fn usage(&self) -> String {
        format!("/{} {}", self.words[0], self.arguments).trim_end().to_owned()
    }

    fn understand(&self, rest: &str) -> Result<T, Problem> {
        let takes = if self.arguments.is_empty() { "takes nothing" } else { "needs something else" };
        let misused = || format!("/{} {takes} after it. Usage: {}", self.words[0], self.usage());
        let parsed = (self.parse)(rest).map_err(|why| why.unwrap_or_else(misused))?;
        if self.arguments.is_empty() && !rest.is_empty() { Err(misused()) } else { Ok(parsed) }
    }
}

/// `"bob  hello there"` is `("bob", "hello there")`.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

pub(crate) fn text(rest: &str) -> Parsed<Arc<str>> {
    if rest.trim().is_empty() { Err(None) } else { Ok(rest.into()) }
}

fn is_on(rest: &str) -> Parsed<bool> {
    match rest.trim().to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests;
