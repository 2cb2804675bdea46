//! A chat server for a LAN that needs only netcat: std threads and crossbeam channels.

pub mod acceptor;
pub mod admission;
pub mod audience;
pub mod cli;
pub mod client;
pub mod config;
pub mod console;
pub mod dispatcher;
pub mod event;
pub mod foreign;
pub mod invitation;
pub mod line_queue;
pub mod line_reader;
pub mod listener;
pub mod logging;
pub mod outbox;
pub mod pace;
pub mod protocol;
pub mod room;
pub mod roster;
pub mod server;
pub mod stopper;
pub mod telnet;

pub use config::Config;
pub use server::Server;
