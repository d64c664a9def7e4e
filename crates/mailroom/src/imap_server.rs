//! IMAP on the message store: RFC 9051 (IMAP4rev2), and RFC 3501 for those who know no more; with CONDSTORE (RFC 7162),
//! QUOTA (RFC 2087), URLAUTH (RFC 4467, 5524), WITHIN (RFC 5032) and what rev2 took in.
//!
//! A mailbox of the store is an account here, with its five folders; a message's file name has its flags, its catalog the UIDs.
//! - `session`: a connection, from greeting to goodbye; who logged in.
//! - `selected`: the folder that is open, as the client knows it, and what became of it since.
//! - `fetching`, `searching`, `changing`: what is done with messages.
//! - `folders`: names, and what is told of a folder that is not open.
//! - `urls`: URLs that others may read.

mod changing;
mod fetching;
mod folders;
mod searching;
mod selected;
mod session;
mod urls;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;

use crate::mailroom::Mailroom;

/// Whether a connection begins with TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Begin {
    /// With TLS. RFC 8314 §3.2.
    Tls,
    /// Without; it may be asked for with STARTTLS.
    Plain,
}

/// Serves those who connect, until it is dropped.
pub async fn serve(listener: TcpListener, room: Arc<Mailroom>, begin: Begin) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Too many open files, mostly; it passes.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        match room.count(peer.ip()) {
            Some(counted) => {
                tokio::spawn(session::run(stream, peer, (Arc::clone(&room), counted), begin));
            }
            None => {
                tokio::spawn(session::refuse(stream));
            }
        }
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is a shell, which has a clock")]
pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
