//! One MRCPv2 connection, shared by any number of channels. RFC 6787 §4.2.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mrcp::{ChannelId, Framer, Limits, Message, Method, Request, RequestId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::phone::{Tap, tap};

/// Messages of one channel that may wait to be looked at.
const WAITING_MAX: usize = 1_024;

type Inbox = mpsc::Sender<(Instant, Message)>;

/// A connection to the server's MRCPv2 port.
#[derive(Debug)]
pub struct Link {
    writer: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    channels: Arc<Mutex<BTreeMap<ChannelId, Inbox>>>,
    ends: (SocketAddr, SocketAddr),
    tap: Option<Tap>,
    reader: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// One resource of one call, over a [`Link`].
#[derive(Debug)]
pub struct Channel {
    /// The channel identifier of the 200's session description.
    pub id: ChannelId,
    next: u32,
    inbox: mpsc::Receiver<(Instant, Message)>,
    channels: Arc<Mutex<BTreeMap<ChannelId, Inbox>>>,
    writer: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    ends: (SocketAddr, SocketAddr),
    tap: Option<Tap>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Link {
    /// Connects; `tap` gets a copy of every byte.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(server: SocketAddr, tap: Option<Tap>) -> io::Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let ends = (stream.local_addr()?, stream.peer_addr()?);
        let (mut reader, writer) = stream.into_split();
        let channels: Arc<Mutex<BTreeMap<ChannelId, Inbox>>> = Arc::default();
        let (routes, copy) = (Arc::clone(&channels), tap.clone());
        let reader = tokio::spawn(async move {
            let mut framer = Framer::new(Limits::default());
            let mut buffer = vec![0; 16_384];
            while let Ok(length @ 1..) = reader.read(&mut buffer).await {
                let bytes = buffer.get(..length).unwrap_or_default();
                self::tap(copy.as_ref(), |tap| {
                    tap.tcp(crate::clock::wall(), ends.1, ends.0, bytes)
                });
                framer.push(bytes);
                for framed in framer.by_ref() {
                    let mrcp::Framed::Message(message) = framed else { continue };
                    let inbox = routes
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .get(message.channel())
                        .cloned();
                    if let Some(inbox) = inbox {
                        // A channel that is not looked at loses its own messages only.
                        let _ = inbox.try_send((crate::clock::instant(), message));
                    }
                }
            }
        });
        Ok(Self { writer: Arc::new(tokio::sync::Mutex::new(writer)), channels, ends, tap, reader })
    }

    /// A channel over this connection.
    pub fn channel(&self, id: ChannelId) -> Channel {
        let (sender, inbox) = mpsc::channel(WAITING_MAX);
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        Channel {
            id,
            next: 1,
            inbox,
            channels: Arc::clone(&self.channels),
            writer: Arc::clone(&self.writer),
            ends: self.ends,
            tap: self.tap.clone(),
        }
    }
}

impl Channel {
    /// Sends a request with the next id.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(
        &mut self,
        method: Method,
        headers: mrcp::Headers,
        body: Vec<u8>,
    ) -> io::Result<RequestId> {
        let id = RequestId::from_number(self.next);
        self.next += 1;
        let request = Request { method, id, channel: self.id.clone(), headers, body };
        let bytes = request.to_bytes();
        tap(self.tap.as_ref(), |tap| {
            tap.tcp(crate::clock::wall(), self.ends.0, self.ends.1, &bytes)
        });
        self.writer.lock().await.write_all(&bytes).await?;
        Ok(id)
    }

    /// The next message for this channel, and when it was here; `None` when the link is gone.
    pub async fn next(&mut self) -> Option<(Instant, Message)> {
        self.inbox.recv().await
    }
}
