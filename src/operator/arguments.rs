//! The program's arguments, and one clear sentence when they make no sense.

use crate::chat::reply::COLUMNS;
use crate::config::{Config, DEFAULT_PORT};
use clap::error::{ContextKind, ContextValue, ErrorKind::UnknownArgument};
use clap::{Command, CommandFactory, FromArgMatches, Parser};
use log::LevelFilter;
use std::env;
use std::io::{self, ErrorKind};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use strsim::osa_distance;

const EXAMPLES: &str = "\
Examples:
  chat-server                        everyone on the LAN can come in
  chat-server --listen 127.0.0.1:0   only this machine, on a free port
  chat-server --log-file chat.log    keep a log as well

Every option can also be set by its environment variable. The command line
overrides it, and an empty variable counts as unset.";

/// A chat server for a LAN that needs only netcat: start it, and everybody else types `nc HOST 12345`.
#[derive(Debug, Parser)]
#[command(name = "chat-server", version, after_help = EXAMPLES, max_term_width = COLUMNS)]
pub struct Arguments {
    #[command(flatten)]
    #[allow(missing_docs, reason = "clap would take a comment for the text of the help")]
    pub config: Config,

    /// Take part from stdin even where that is no terminal; on a terminal this is so anyway
    #[arg(long, value_parser = yes_or_no)]
    pub console: bool,

    /// How much to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub log_level: LevelFilter,

    /// Log to this file too, at its end
    #[arg(long, value_name = "PATH")]
    pub log_file: Option<PathBuf>,
}

impl Arguments {
    /// Understands the command line and the environment. Prints help or version, and
    /// exits, if that is asked for.
    ///
    /// # Errors
    /// A sentence that says what makes no sense ([`ErrorKind::InvalidInput`]).
    pub fn read() -> io::Result<Arguments> {
        let read = command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
        match read {
            Err(help) if !help.use_stderr() => help.exit(),
            read => read.map_err(|error| io::Error::new(ErrorKind::InvalidInput, sentence(&error))),
        }
    }
}

/// A sentence about flags, in which each is called as the person set it: `CHAT_LISTEN=[::]:80`.
#[must_use]
pub fn blame(sentence: &str) -> String {
    let mut command = command();
    command.build(); // Only then a flag can be shown as clap shows it.
    let mut sentence = sentence.to_owned();
    for flag in command.get_arguments() {
        let (Some(name), Some(variable)) = (flag.get_long(), flag.get_env()) else { continue };
        let word = format!("--{name}");
        let variable = variable.to_string_lossy();
        let is_typed = env::args_os().any(|typed| typed.to_string_lossy().starts_with(&word));
        if !is_typed && env::var_os(&*variable).is_some() {
            sentence = sentence.replace(&format!("'{flag}'"), &variable); // '--listen <ADDR>'
            sentence = sentence.replace(&format!("{word} "), &format!("{variable}="));
            sentence = sentence.replace(&word, &variable);
        }
    }
    sentence
}

/// The flags. Each has a variable too, which counts as unset while it is empty:
/// `CHAT_MAX_LINE` for `--max-line`.
fn command() -> Command {
    Arguments::command().mut_args(|flag| {
        let numbers_too = flag.get_action().takes_values(); // Each flag has its own sentence about -1.
        let flag = flag.allow_negative_numbers(numbers_too);
        let name = flag.get_long().unwrap_or_default().to_uppercase().replace('-', "_");
        let variable = format!("CHAT_{name}");
        let is_empty = env::var(&variable).is_ok_and(|value| value.trim().is_empty());
        if is_empty { flag } else { flag.env(variable) }
    })
}

/// One sentence, in place of clap's paragraphs.
fn sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered.lines().map(str::trim).filter(|line| !line.is_empty());
    let complaint = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let complaint = complaint.collect::<Vec<_>>().join("; ");
    let typed: Vec<_> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let hint = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) if error.kind() == UnknownArgument => listen_instead(word, &typed),
        _ => None,
    };
    let hint = hint.unwrap_or_else(|| "see chat-server --help".to_owned());
    format!("{}; {hint}", complaint.trim_start_matches("error: "))
}

/// Points to `--listen` where other programs have another flag, or none at all.
fn listen_instead(word: &str, typed: &[String]) -> Option<String> {
    let at = typed.iter().position(|typed| typed.starts_with(word))?;
    let attached = typed[at][word.len()..].trim_start_matches('=');
    let value = Some(attached).filter(|value| !value.is_empty()).or(typed.get(at + 1).map(String::as_str));
    let address = match word.trim_start_matches('-') {
        "port" | "p" | "listen-port" => format!("[::]:{}", value.unwrap_or("PORT")),
        "host" | "bind" | "addr" | "address" | "ip" | "b" => match value {
            Some(host) if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]:{DEFAULT_PORT}"),
            Some(address) if address.contains(':') => address.to_owned(),
            host => format!("{}:{DEFAULT_PORT}", host.unwrap_or("HOST")),
        },
        port if port.parse::<u16>().is_ok() => format!("[::]:{port}"),
        port if port.starts_with(':') => format!("[::]{port}"),
        address if address.contains(':') => address.to_owned(),
        _ => return None,
    };
    Some(format!("to listen elsewhere: --listen {address}"))
}

/// A sentence for each variable that looks like one of ours and is none.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let command = command();
    let variable = |name: &str| format!("CHAT_{}", name.to_uppercase().replace('-', "_"));
    let ours: Vec<_> = command.get_arguments().filter_map(|flag| flag.get_long().map(variable)).collect();
    let set = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let set =
        set.filter(|(name, value)| name.starts_with("CHAT_") && !value.is_empty() && !ours.contains(name));
    set.map(|(name, value)| {
        let flag = name["CHAT_".len()..].to_lowercase();
        let word = format!("--{flag}");
        let elsewhere = listen_instead(&word, &[word.clone(), value.to_string_lossy().into_owned()]);
        let near = ours.iter().find(|known| osa_distance(known, &name) <= 2);
        let hint = elsewhere.map(|hint| hint.replace("--listen ", "CHAT_LISTEN="));
        let hint = hint.or(near.map(|known| format!("did you mean {known}?")));
        format!(
            "{name} does nothing here; {}",
            hint.unwrap_or_else(|| "--help has the list of options".to_owned())
        )
    })
    .collect()
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
