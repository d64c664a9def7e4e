use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// A peer that takes nothing for so long is gone.
const WRITE_WAIT: Duration = Duration::from_secs(120);
/// How long the handshake of TLS may take.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(20);

/// A connection, with TLS or without.
#[derive(Debug)]
pub(crate) struct Link {
    wire: Wire,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// A handshake failed.
    Gone,
}

impl Link {
    pub(crate) fn new(stream: TcpStream) -> Self {
        // What is written is a whole answer.
        let _ = stream.set_nodelay(true);
        Self { wire: Wire::Plain(stream), buffer: vec![0; READ_BYTES] }
    }

    pub(crate) const fn is_secure(&self) -> bool {
        matches!(self.wire, Wire::Tls(_))
    }

    /// Goes on with TLS.
    pub(crate) async fn secure(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let Wire::Plain(stream) = std::mem::replace(&mut self.wire, Wire::Gone) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let accepted = timeout(HANDSHAKE_WAIT, TlsAcceptor::from(config).accept(stream)).await;
        self.wire = Wire::Tls(Box::new(accepted.map_err(|_| io::ErrorKind::TimedOut)??));
        Ok(())
    }

    /// The next bytes; none when the peer has closed.
    pub(crate) async fn read(&mut self) -> io::Result<&[u8]> {
        let count = match &mut self.wire {
            Wire::Plain(stream) => stream.read(&mut self.buffer).await?,
            Wire::Tls(stream) => stream.read(&mut self.buffer).await?,
            Wire::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        Ok(self.buffer.get(..count).unwrap_or_default())
    }

    /// Writes all of it, and lets it go.
    pub(crate) async fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        // A slow line is no reason to give up, only one that takes nothing.
        for some in out.chunks(READ_BYTES) {
            let write = async {
                match &mut self.wire {
                    Wire::Plain(stream) => stream.write_all(some).await,
                    Wire::Tls(stream) => {
                        stream.write_all(some).await?;
                        stream.flush().await
                    }
                    Wire::Gone => Err(io::ErrorKind::NotConnected.into()),
                }
            };
            timeout(WRITE_WAIT, write).await.map_err(|_| io::ErrorKind::TimedOut)??;
        }
        out.clear();
        // One long answer is no reason to hold as much for ever.
        out.shrink_to(READ_BYTES);
        Ok(())
    }

    /// Says goodbye.
    pub(crate) async fn close(mut self) {
        let close = async {
            match &mut self.wire {
                Wire::Plain(stream) => stream.shutdown().await,
                Wire::Tls(stream) => stream.shutdown().await,
                Wire::Gone => Ok(()),
            }
        };
        // The peer may be gone already.
        let _ = timeout(Duration::from_secs(5), close).await;
    }
}
