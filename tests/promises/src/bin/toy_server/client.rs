//! One client: its reader, which is the thread that calls [`serve`], and its writer.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::fault::Fault;
use crate::lines::{Input, Lines};
use crate::room::{Outbox, Room};

pub fn serve(room: &Arc<Room>, socket: TcpStream) {
    let socket = Arc::new(socket);
    let name = room.name_first.then(|| asks_for_a_name(&socket));
    if name == Some(None) {
        return;
    }
    let (id, outbox) = room.enter(&socket);
    let writer = {
        let (room, socket) = (Arc::clone(room), Arc::clone(&socket));
        thread::Builder::new().spawn(move || write(&room, &socket, &outbox))
    };
    if let Some(Some(name)) = name {
        room.rename(id, &name);
    }
    if writer.is_ok() {
        read(room, &socket, id);
    }
    room.leave(id, "");
    if let (Ok(writer), false) = (writer, room.has(Fault::ClosesAtQuit)) {
        let _ = writer.join();
        // To close it with something unread would reset the connection.
        let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
        let _ = std::io::copy(&mut (&*socket).take(1 << 20), &mut std::io::sink());
    }
    match room {
        room if room.has(Fault::LeaksDescriptors) => std::mem::forget(socket),
        room if room.has(Fault::LeaksThreads) => drop(thread::spawn(thread::park)),
        _ => (),
    }
}

/// A prompt without a line break, and the line that answers it, if that is a name.
fn asks_for_a_name(mut socket: &TcpStream) -> Option<String> {
    socket.write_all(b"Your name? ").ok()?;
    let (mut name, mut byte) = (String::new(), [0]);
    while name.len() < 40 {
        // Byte by byte, so that what follows is left to the reader of lines.
        socket.read_exact(&mut byte).ok()?;
        match char::from(byte[0]) {
            '\n' => return Some(name),
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ => return None,
        }
    }
    None
}

fn read(room: &Room, socket: &TcpStream, id: u64) {
    let mut lines = Lines::new(socket, room);
    let mut is_first = true;
    loop {
        match lines.next() {
            Input::Line(line) if is_first && is_http(room, &line) => return,
            Input::Line(line) => {
                is_first = false;
                if !obey(room, id, &line) {
                    return;
                }
            }
            Input::EndOfFile if room.has(Fault::ForgetsReceipts) => {
                let _ = socket.shutdown(Shutdown::Both);
                return;
            }
            Input::EndOfFile => return,
            Input::Reset if room.has(Fault::ResetUnsaid) => thread::park(),
            Input::Reset => return,
        }
    }
}

fn is_http(room: &Room, line: &str) -> bool {
    let is_request = line.contains(" HTTP/1.");
    match room {
        room if room.has(Fault::HearsHttp) => false,
        room if room.has(Fault::HearsPost) => is_request && line.starts_with("GET"),
        _ => is_request,
    }
}

/// Does what the line says; false when the client wants to leave.
fn obey(room: &Room, id: u64, line: &str) -> bool {
    let safe: String = if room.has(Fault::ForwardsEscapes) { line.into() } else { printable(line) };
    let (word, rest) = safe.split_once(' ').unwrap_or((&safe, ""));
    let word = word.strip_prefix(room.sign).map(|word| format!("/{word}"));
    match (word.as_deref().unwrap_or("talk"), rest) {
        _ if safe.is_empty() => (),
        ("/nick", name) if name.chars().all(char::is_alphanumeric) => room.rename(id, name),
        ("/nick", _) => (),
        ("/list", _) => room.list(id),
        ("/msg", rest) => {
            let (to, text) = rest.split_once(' ').unwrap_or((rest, ""));
            room.say_privately(id, to, text);
        }
        ("/quit", "") => return false,
        ("/quit", _) if room.has(Fault::EscapesInLastWords) => {
            room.leave(id, line);
            return false;
        }
        ("/quit", words) => {
            room.leave(id, &format!(" ({words})"));
            return false;
        }
        _ => room.say(id, &safe),
    }
    true
}

fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Writes what waits for the client, and closes its half when nothing more can come.
fn write(room: &Room, socket: &TcpStream, outbox: &Outbox) {
    let mut held = None;
    for line in &outbox.lines {
        outbox.waiting.fetch_sub(1, Ordering::Relaxed);
        if room.has(Fault::ForgetsReceipts) {
            thread::sleep(Duration::from_millis(1));
        }
        // Only where another line waits is there something to swap with.
        if room.has(Fault::SwapsLines) && held.is_none() && outbox.waiting.load(Ordering::Relaxed) > 0 {
            held = Some(line);
            continue;
        }
        let text = format!("{line}\n{}", held.take().map(|line| line + "\n").unwrap_or_default());
        let text = room.looks.dress(&text);
        if { socket }.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
}
