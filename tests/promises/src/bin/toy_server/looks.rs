//! What servers put around their lines. It is a matter of taste, and no promise may depend on it.

use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Looks {
    Plain,
    /// The time in front of each line.
    Times,
    /// Each line in a colour.
    Colours,
    /// A bell in front of each line.
    Bells,
    /// A prompt without a line break behind each line.
    Prompts,
    /// `alice says: hello`.
    Says,
    /// An address in front of each line.
    Addresses,
    /// Lines end with a carriage return, too.
    Returns,
}

impl Looks {
    /// One line, or two, as the client gets them.
    pub fn dress(self, lines: &str) -> String {
        lines.lines().map(|line| self.of(line)).collect()
    }

    fn of(self, line: &str) -> String {
        match self {
            Looks::Plain => format!("{line}\n"),
            Looks::Times => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                format!("[{:02}:{:02}:{:02}] {line}\n", now / 3600 % 24, now / 60 % 60, now % 60)
            }
            Looks::Colours => format!("\x1b[1;32m{}\x1b[0m\n", line.replacen('>', "\x1b[0m>", 1)),
            Looks::Bells => format!("\x07{line}\n"),
            Looks::Prompts => format!("{line}\n> "),
            Looks::Says => match line.strip_prefix('<').and_then(|line| line.split_once("> ")) {
                Some((name, text)) => format!("{name} says: {text}\n"),
                None => format!("{line}\n"),
            },
            Looks::Addresses => format!("127.0.0.1:4711 {line}\n"),
            Looks::Returns => format!("{line}\r\n"),
        }
    }
}
