//! Servers that answer `ICY 200 OK`: SHOUTcast before version 2, and encoders that serve themselves.
//! HTTP clients rightly refuse that, so this asks again by hand.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fetch::{Body, FetchError, Fetcher};

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1_024;

/// An answer that began with `ICY 200`.
#[derive(Debug)]
pub(crate) struct Shoutcast {
    stream: TcpStream,
    /// Body bytes that came with the head.
    first: Bytes,
    headers: Vec<(String, String)>,
}

impl Shoutcast {
    /// Asks for `url`; an error when the server does not speak like this either.
    pub(crate) async fn get(
        fetcher: &Fetcher,
        url: &Url,
        user_agent: &str,
        patience: Duration,
    ) -> Result<Self, FetchError> {
        let addresses = fetcher.addresses(url).await?;
        let asked = timeout(patience, ask(&addresses, url, user_agent)).await;
        asked.map_err(|_| FetchError::Timeout)?
    }

    /// A header of the answer, whatever its case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Body for Shoutcast {
    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        if !self.first.is_empty() {
            return Ok(Some(std::mem::take(&mut self.first)));
        }
        let mut bytes = BytesMut::with_capacity(4_096);
        let count = self.stream.read_buf(&mut bytes).await.map_err(|why| why.to_string())?;
        Ok((count > 0).then(|| bytes.freeze()))
    }
}

async fn ask(
    addresses: &[std::net::SocketAddr],
    url: &Url,
    user_agent: &str,
) -> Result<Shoutcast, FetchError> {
    let unreachable = |why: std::io::Error| FetchError::Unreachable(why.to_string());
    let mut stream = TcpStream::connect(addresses).await.map_err(unreachable)?;
    let target = url
        .query()
        .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let request = format!(
        "GET {target} HTTP/1.0\r\nHost: {host}{port}\r\nUser-Agent: {user_agent}\r\n\
         Accept: */*\r\nIcy-MetaData: 1\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let mut bytes = BytesMut::new();
    let body_at = loop {
        if stream.read_buf(&mut bytes).await.map_err(unreachable)? == 0 {
            return Err(FetchError::NotHttp("the answer has no end of head".to_owned()));
        }
        match head_end(&bytes) {
            Some(end) => break end,
            None if bytes.len() > HEAD_BYTES_MAX => {
                return Err(FetchError::NotHttp("the head of the answer is too long".to_owned()));
            }
            None => {}
        }
    };
    let head = bytes.split_to(body_at);
    let headers = read_head(&head)
        .ok_or_else(|| FetchError::NotHttp("the answer is neither HTTP nor ICY".to_owned()))?;
    Ok(Shoutcast { stream, first: bytes.freeze(), headers })
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
    crlf.or_else(|| bytes.windows(2).position(|end| end == b"\n\n").map(|at| at + 2))
}

/// The headers below an `ICY 200` line.
pub(crate) fn read_head(head: &[u8]) -> Option<Vec<(String, String)>> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let status = lines.next()?.strip_prefix("ICY ")?;
    if !status.trim_start().starts_with("200") {
        return None;
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    Some(lines.filter_map(header).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_old_server_is_read() {
        let head = b"ICY 200 OK\r\nicy-notice1:<BR>\r\nContent-Type: audio/mpeg\r\n\
                     icy-metaint:8192\r\n\r\n";
        assert_eq!(head_end(head), Some(head.len()));
        let headers = read_head(head).unwrap();
        assert!(headers.contains(&("icy-metaint".to_owned(), "8192".to_owned())));
        assert_eq!(read_head(b"ICY 401 Service Unavailable\r\n\r\n"), None);
        assert_eq!(read_head(b"HTTP/1.0 200 OK\r\n\r\n"), None);
        assert_eq!(head_end(b"ICY 200 OK\r\n"), None);
    }
}
