//! The program's arguments, and one clear sentence when they make no sense.

use crate::config::Config;
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};
use log::LevelFilter;
use std::env;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  chat-server                        everyone on the LAN can come in
  chat-server --listen 127.0.0.1:0   only this machine, on a free port
  chat-server --log-file chat.log    keep a log as well

Every option can also be set by its environment variable. The command line
overrides it, and an empty variable counts as unset.";

/// A chat server for a LAN that needs only netcat: start it, and everybody else types `nc HOST 12345`.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, after_help = EXAMPLES, max_term_width = super::COLUMNS)]
pub struct Arguments {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take a comment for the text of the help")]
    pub config: Config,

    /// Take part from stdin even where that is no terminal; on a terminal this is so anyway
    #[arg(long, env = "CHAT_CONSOLE", value_parser = yes_or_no)]
    pub console: bool,

    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", env = "CHAT_LOG_LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,

    /// Log to this file too, at its end
    #[arg(long, value_name = "PATH", env = "CHAT_LOG_FILE")]
    pub log_file: Option<PathBuf>,

    /// Which of them were set by their variables.
    #[arg(skip)]
    pub variables: Variables,
}

/// The flags that were set by their variables, each with its variable.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// A sentence about flags, in which each is called as the person set it: `CHAT_LISTEN=[::]:80`.
    #[must_use]
    pub fn blame(&self, sentence: String) -> String {
        self.0.iter().fold(sentence, |sentence, (flag, variable)| {
            sentence.replace(&format!("{flag} "), &format!("{variable}=")).replace(flag, variable)
        })
    }
}

impl Arguments {
    /// Understands the command line and the environment. Prints help or version, and exits, if that is asked for.
    ///
    /// # Errors
    /// A sentence that says what makes no sense.
    pub fn read() -> Result<Arguments, String> {
        let all = Arguments::command().mut_args(|flag| {
            let numbers_too = flag.get_action().takes_values(); // Each flag has its own sentence about -1.
            let flag = flag.allow_negative_numbers(numbers_too);
            if is_empty(&flag) { unset(flag) } else { flag }
        });
        // First without the environment: what is wrong there was typed, and what is wrong only later is in a variable.
        match all.clone().mut_args(unset).try_get_matches() {
            Err(error) if error.use_stderr() => return Err(sentence(&error)),
            _ => {} // Help is better with the variables in it.
        }
        let matches = all.clone().try_get_matches().map_err(|error| sentence_for_a_variable(&all, &error))?;
        let mut arguments = Arguments::from_arg_matches(&matches).map_err(|error| sentence(&error))?;
        let set =
            |flag: &&Arg| matches.value_source(flag.get_id().as_str()) == Some(ValueSource::EnvVariable);
        arguments.variables = Variables(all.get_arguments().filter(set).filter_map(names).collect());
        Ok(arguments)
    }
}

fn unset(flag: Arg) -> Arg {
    flag.env(None::<&'static str>)
}

fn is_empty(flag: &Arg) -> bool {
    let value = flag.get_env().and_then(env::var_os);
    value.is_some_and(|value| value.to_string_lossy().trim().is_empty())
}

/// The flag and its variable.
fn names(flag: &Arg) -> Option<(String, String)> {
    Some((format!("--{}", flag.get_long()?), flag.get_env()?.to_str()?.to_owned()))
}

/// One sentence, in place of clap's paragraphs.
fn sentence(error: &clap::Error) -> String {
    if !error.use_stderr() {
        error.exit(); // Help or version.
    }
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let complaint = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let complaint = complaint.collect::<Vec<_>>().join("; ");
    format!("{}; see chat-server --help", complaint.trim_start_matches("error: "))
}

fn sentence_for_a_variable(all: &Command, error: &clap::Error) -> String {
    let sentence = sentence(error);
    let named = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let mut variables = all.get_arguments().filter_map(names);
    if error.kind() == ErrorKind::InvalidUtf8 {
        let unreadable =
            variables.find(|(_, variable)| env::var_os(variable).is_some_and(|it| it.to_str().is_none()));
        return unreadable.map_or(sentence, |(_, variable)| format!("{variable} is not in UTF-8"));
    }
    let its_own = variables.find(|(flag, _)| named.split(' ').next() == Some(flag));
    its_own.map_or(sentence.clone(), |(_, variable)| sentence.replace(&format!("'{named}'"), &variable))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.trim().parse().map_err(|_| "one of off, error, warn, info, debug and trace is needed".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "y" | "true" | "t" | "on" | "1" => Ok(true),
        "no" | "n" | "false" | "f" | "off" | "0" => Ok(false),
        _ => Err("yes or no is needed (or true and false, on and off, 1 and 0)".to_owned()),
    }
}
