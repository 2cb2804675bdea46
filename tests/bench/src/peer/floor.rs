//! The floor: a bare relay. One thread, one `recv`, then as many `send`s as there are clients, of
//! the very bytes that were read. No lines, no names, no limits. A chat server that sends each line
//! as it comes cannot cost less.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, listen, recv, send, sockopt};

/// The epoll number of the listener; a client's is its index.
const LISTENER: u64 = u64::MAX;

struct Client {
    socket: OwnedFd,
    /// Bytes that the kernel has not taken yet.
    unsent: Vec<u8>,
}

impl Client {
    /// Sends as much as the kernel accepts and keeps the rest. The next `recv` tells whether
    /// the client is still there.
    fn relay(&mut self, bytes: &[u8]) {
        if self.unsent.is_empty() {
            let sent = send(&self.socket, bytes, SendFlags::NOSIGNAL).unwrap_or(0);
            self.unsent.extend(&bytes[sent..]);
        } else {
            self.unsent.extend(bytes);
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let sent = send(&self.socket, &self.unsent, SendFlags::NOSIGNAL).unwrap_or(0);
        self.unsent.drain(..sent);
    }
}

struct Relay {
    epoll: OwnedFd,
    clients: Vec<Option<Client>>,
    buffer: Vec<u8>,
}

impl Relay {
    fn admit(&mut self, listener: &TcpListener) -> Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(socket) = accept_with(listener, flags) {
            sockopt::set_tcp_nodelay(&socket, true)?;
            let index = EventData::new_u64(self.clients.len() as u64);
            // Edge-triggered for the sake of OUT, which is true nearly always and news only after a stall.
            let interest = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
            epoll::add(&self.epoll, &socket, index, interest)?;
            let unsent = Vec::new();
            self.clients.push(Some(Client { socket, unsent }));
        }
        Ok(())
    }

    /// Sends the rest that this client could not be sent before, and sends everyone
    /// the bytes that it has said.
    fn serve(&mut self, index: usize) {
        if let Some(client) = &mut self.clients[index] {
            client.flush();
        }
        while let Some(client) = &self.clients[index] {
            match recv(&client.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Err(Errno::AGAIN) => return,
                Ok((0, _)) | Err(_) => self.clients[index] = None,
                Ok((count, _)) => {
                    for client in self.clients.iter_mut().flatten() {
                        client.relay(&self.buffer[..count]);
                    }
                    // Less than there was room for: that was all, and another recv would only say so.
                    if count < self.buffer.len() {
                        return;
                    }
                }
            }
        }
    }
}

pub fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    // The standard library asks for 128; a burst of connects is to be let in at once.
    listen(&listener, 4096)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut relay = Relay { epoll, clients: Vec::new(), buffer: vec![0; 64 * 1024] };
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(256);
    loop {
        ready.clear();
        epoll::wait(&relay.epoll, spare_capacity(&mut ready), None)?;
        for event in &ready {
            match event.data.u64() {
                LISTENER => relay.admit(&listener)?,
                index => relay.serve(index as usize),
            }
        }
    }
}
