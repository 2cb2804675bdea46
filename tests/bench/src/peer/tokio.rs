//! The peer in async Rust, as tokio's own documentation would write it: a task per client that selects between the
//! lines it reads and an unbounded channel of lines for it, and a map of the channels' senders under a mutex.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_util::codec::{Framed, LinesCodec};

/// Where to send what each client is to see.
type Room = Arc<Mutex<HashMap<SocketAddr, mpsc::UnboundedSender<String>>>>;

/// `announce`: everyone hears of it when somebody joins or leaves; otherwise only the newcomer does.
#[tokio::main]
pub async fn serve(address: &str, announce: bool) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let room = Room::default();
    for number in 1_u64.. {
        let (stream, address) = listener.accept().await?;
        let room = Arc::clone(&room);
        tokio::spawn(async move {
            let name = format!("guest{number}");
            // An error is the client's connection breaking, and it is gone either way.
            let _ = converse(&room, stream, address, &name, announce).await;
            room.lock().await.remove(&address);
            if announce {
                broadcast(&room, &format!("*** {name} left")).await;
            }
        });
    }
    Ok(())
}

async fn converse(
    room: &Room,
    stream: TcpStream,
    address: SocketAddr,
    name: &str,
    announce: bool,
) -> Result<()> {
    let mut lines = Framed::new(stream, LinesCodec::new());
    let (sender, mut inbox) = mpsc::unbounded_channel();
    room.lock().await.insert(address, sender);
    let joined = format!("*** {name} joined");
    if announce {
        broadcast(room, &joined).await;
    } else {
        lines.send(&joined).await?;
    }
    loop {
        tokio::select! {
            Some(line) = inbox.recv() => lines.send(line).await?,
            said = lines.next() => match said {
                Some(said) => broadcast(room, &format!("<{name}> {}", said?)).await,
                None => return Ok(()),
            },
        }
    }
}

/// Everyone in the room gets the line, whoever said it too.
async fn broadcast(room: &Room, line: &str) {
    for sender in room.lock().await.values() {
        // It fails only for a client that is about to be removed.
        let _ = sender.send(line.to_owned());
    }
}
