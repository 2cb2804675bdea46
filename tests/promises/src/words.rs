//! The words of a server for its commands: given on the command line, or found by trying those that many chat
//! servers have.

use clap::Args;

/// The words that the person at the shell has given.
#[derive(Args, Clone, Debug, Default)]
pub struct Given {
    /// The command for a name, such as '/name {}'
    #[arg(long, value_name = "WORDS")]
    nick: Option<String>,
    /// The command that lists who is here, such as /users
    #[arg(long, value_name = "WORD")]
    list: Option<String>,
    /// The command for a private line, such as '/tell {name} {text}'
    #[arg(long, value_name = "WORDS")]
    msg: Option<String>,
    /// The command that leaves, such as /bye
    #[arg(long, value_name = "WORD")]
    quit: Option<String>,
}

/// What to type for each command.
#[derive(Clone, Debug)]
pub struct Words {
    pub nick: String,
    pub list: String,
    pub msg: String,
    pub quit: String,
}

/// chat-server's own words, which the checks also try where a server has none.
impl Default for Words {
    fn default() -> Words {
        let first = |words: &[&str]| words[0].to_owned();
        Words { nick: first(&NICK), list: first(&LIST), msg: first(&MSG), quit: first(&QUIT) }
    }
}

const NICK: [&str; 4] = ["/nick {}", "/name {}", "/rename {}", "/user {}"];
const LIST: [&str; 4] = ["/list", "/users", "/who", "/names"];
const MSG: [&str; 6] = [
    "/msg {name} {text}",
    "/tell {name} {text}",
    "/w {name} {text}",
    "/whisper {name} {text}",
    "/pm {name} {text}",
    "@{name} {text}",
];
const QUIT: [&str; 3] = ["/quit", "/exit", "/bye"];

impl Given {
    pub fn nick(&self) -> Vec<String> {
        candidates(self.nick.as_ref(), &NICK)
    }

    pub fn list(&self) -> Vec<String> {
        candidates(self.list.as_ref(), &LIST)
    }

    pub fn msg(&self) -> Vec<String> {
        candidates(self.msg.as_ref(), &MSG)
    }

    pub fn quit(&self) -> Vec<String> {
        candidates(self.quit.as_ref(), &QUIT)
    }
}

/// A word that is given is the only one to try.
fn candidates(given: Option<&String>, usual: &[&str]) -> Vec<String> {
    match given {
        Some(word) => vec![word.clone()],
        None => usual.iter().map(|word| (*word).to_owned()).collect(),
    }
}

impl Words {
    pub fn nick(&self, name: &str) -> String {
        with_name(&self.nick, name)
    }

    pub fn msg(&self, name: &str, text: &str) -> String {
        with_text(&self.msg, name, text)
    }
}

pub fn with_name(words: &str, name: &str) -> String {
    words.replace("{}", name).replace("{name}", name)
}

pub fn with_text(words: &str, name: &str, text: &str) -> String {
    words.replace("{name}", name).replace("{text}", text)
}
