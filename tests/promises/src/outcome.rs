//! The result of one check, and the words for it.

use serde::Serialize;

/// `Ok` means kept, with a remark where there is one (a figure, say); all else is a [`Finding`].
pub type Outcome = Result<String, Finding>;

/// Why a promise does not count as kept. Each holds a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The server did something else, which the sentence tells.
    Broken(String),
    /// The server has no such feature.
    NotOffered(String),
    /// The check could not be made here.
    NotRun(String),
}

/// The four results, as the table and the JSON name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    #[serde(rename = "kept")]
    Kept,
    #[serde(rename = "broken")]
    Broken,
    #[serde(rename = "not offered")]
    NotOffered,
    #[serde(rename = "not run")]
    NotRun,
}

impl Verdict {
    pub const ALL: [Verdict; 4] = [Self::Kept, Self::Broken, Self::NotOffered, Self::NotRun];

    pub fn symbol(self) -> char {
        match self {
            Self::Kept => '✔',
            Self::Broken => '✘',
            Self::NotOffered => '–',
            Self::NotRun => '·',
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::NotOffered => "not offered",
            Self::NotRun => "not run",
        }
    }
}

/// One cell of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub server: String,
    pub promise: &'static str,
    pub result: Verdict,
    pub seen: String,
    /// What happened, where the promise is broken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub transcript: Vec<String>,
}

impl Cell {
    pub fn new(server: &str, promise: &'static str, outcome: Outcome, transcript: Vec<String>) -> Cell {
        let (result, seen) = match outcome {
            Ok(remark) => (Verdict::Kept, remark),
            Err(Finding::Broken(seen)) => (Verdict::Broken, seen),
            Err(Finding::NotOffered(why)) => (Verdict::NotOffered, why),
            Err(Finding::NotRun(why)) => (Verdict::NotRun, why),
        };
        let transcript = if result == Verdict::Broken { transcript } else { Vec::new() };
        Cell { server: server.to_owned(), promise, result, seen, transcript }
    }
}

/// The shortest way to say that a promise is broken: `return broken!("…")`.
macro_rules! broken {
    ($($text:tt)*) => { Err($crate::outcome::Finding::Broken(format!($($text)*))) };
}
pub(crate) use broken;
