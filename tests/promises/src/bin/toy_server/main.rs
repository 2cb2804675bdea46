//! A small chat server that keeps every promise, with a flag for each fault. The tests run it to show that
//! each check says `kept` of a server that keeps the promise, and `broken` of one that differs in nothing but
//! the fault.
//!
//! A thread reads for each client and another one writes. The room is under one lock, and a queue stands
//! between the room and each writer. It is meant to be broken, not to be copied: the steps of the guide show
//! how a chat grows.

mod client;
mod fault;
mod lines;
mod looks;
mod room;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::exit;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use fault::Fault;
use looks::Looks;
use room::Room;

#[derive(Parser)]
struct Options {
    address: SocketAddr,
    /// The fault that it has
    #[arg(long)]
    fault: Option<Fault>,
    /// Take lines at any speed
    #[arg(long)]
    unpaced: bool,
    /// Ask for a name before anything else
    #[arg(long)]
    name_first: bool,
    /// What stands around its lines
    #[arg(long, default_value = "plain")]
    looks: Looks,
    /// What its commands begin with
    #[arg(long, default_value_t = '/')]
    sign: char,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let room =
        Arc::new(Room::new(options.fault, options.unpaced, options.name_first, options.sign, options.looks));
    let at_the_end = Arc::clone(&room);
    ctrlc::set_handler(move || end(&at_the_end))?;
    let listener = TcpListener::bind(options.address)?;
    println!("{}", listener.local_addr()?);
    if room.has(Fault::PoolOfTen) {
        return serve_ten_at_a_time(&room, &listener);
    }
    loop {
        match listener.accept() {
            Ok(_) if !room.takes_place() => (),
            Ok((socket, _)) => {
                let room = Arc::clone(&room);
                // Without memory for a thread, the client's connection is closed, and the others go on.
                let _ = thread::Builder::new().spawn(move || {
                    client::serve(&room, socket);
                    room.frees_place();
                });
            }
            Err(error) if room.has(Fault::AcceptQuits) => return Err(error.into()),
            Err(_) if room.has(Fault::AcceptSpins) => (),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Ten threads take one client after the other from a queue.
fn serve_ten_at_a_time(room: &Arc<Room>, listener: &TcpListener) -> Result<()> {
    let (sender, waiting) = sync_channel::<TcpStream>(1000);
    let waiting: Arc<Mutex<Receiver<TcpStream>>> = Arc::new(Mutex::new(waiting));
    for _ in 0..10 {
        let (room, waiting) = (Arc::clone(room), Arc::clone(&waiting));
        thread::spawn(move || {
            loop {
                let next = waiting.lock().expect("no holder panics").recv();
                let Ok(socket) = next else { break };
                client::serve(&room, socket);
            }
        });
    }
    loop {
        sender.send(listener.accept()?.0)?;
    }
}

/// At SIGTERM: a last line for everyone, and the time to write it.
fn end(room: &Room) {
    if room.has(Fault::IgnoresSigterm) {
        return;
    }
    if !room.has(Fault::NoGoodbye) {
        room.says_goodbye();
        thread::sleep(Duration::from_millis(300));
    }
    exit(0);
}
