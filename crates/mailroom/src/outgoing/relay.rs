use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::time::timeout;

use crate::retrieval::Security;

/// How slowly a message may be sent.
const BYTES_A_SECOND: u64 = 10_000;
/// How long a relay may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// A mail server that takes messages for others. RFC 5321, RFC 6409.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relay {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How connections to it are secured.
    pub security: Security,
    /// Who logs in; none where nobody does.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// A file with certificates to be trusted, besides those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Why a relay did not take a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RelayFault {
    /// None is set.
    None,
    /// The message cannot be read; why.
    Unreadable(String),
    /// An address is none.
    Address(String),
    /// It refuses for good; what it says. RFC 5321 §4.2.1, 5yz.
    Refused(String),
    /// Not now; what it says.
    NotNow(String),
    /// It cannot be reached, or what is set about it cannot be used; why.
    Away(String),
}

impl RelayFault {
    /// Whether trying again is of no use.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Refused(_))
    }
}

impl fmt::Display for RelayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("mail.relays is empty"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::Address(why) => write!(f, "not an address: {why}"),
            Self::Refused(why) => write!(f, "the relay refuses it: {why}"),
            Self::NotNow(why) => write!(f, "not taken yet: {why}"),
            Self::Away(why) => write!(f, "the relay cannot be used: {why}"),
        }
    }
}

impl std::error::Error for RelayFault {}

/// Whether a refusal is about the receiver or the message: it will be the same tomorrow. What is about us, such as a log-in or a policy, may change. RFC 3463
/// §3; without such a code, RFC 5321 §4.2.3.
fn is_about_the_message(code: &str, why: &str) -> bool {
    let enhanced = why.split([' ', ':', '(', ')']).find_map(|word| {
        let mut parts = word.split('.');
        let (class, subject) = (parts.next()?, parts.next()?);
        let is_detail = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (class == "5" && is_detail(subject) && parts.next().is_some_and(is_detail))
            .then_some(subject)
    });
    match enhanced {
        Some(subject) => ["1", "2", "3", "6"].contains(&subject),
        None => ["550", "551", "552", "553"].contains(&code),
    }
}

/// What the library says, without what it says twice; and what can be done about it.
fn told(why: &str) -> String {
    let mut rest = why;
    while let Some(shorter) = rest.strip_prefix("Connection error: ") {
        rest = shorter;
    }
    let hint = if rest.contains("UnknownIssuer") {
        "; its certificate can be trusted by mail.relays.ca_file"
    } else if rest.contains("No compatible authentication mechanism") {
        "; many offer to log in with TLS only: mail.relays.security"
    } else {
        ""
    };
    format!("{rest}{hint}")
}

impl Relay {
    /// Sends a message.
    ///
    /// # Errors
    /// [`RelayFault`].
    pub(super) async fn send(
        &self,
        from: Option<&str>,
        to: &str,
        message: &[u8],
    ) -> Result<(), RelayFault> {
        let address = |text: &str| {
            text.parse::<Address>().map_err(|error| RelayFault::Address(format!("{text}: {error}")))
        };
        let envelope = Envelope::new(from.map(address).transpose()?, vec![address(to)?])
            .map_err(|error| RelayFault::Address(error.to_string()))?;
        let transport = self.transport().await.map_err(RelayFault::Away)?;
        // The library ends the last line itself.
        let message = message.strip_suffix(b"\r\n").unwrap_or(message);
        // The library bounds the connecting only.
        let patience = ANSWER + Duration::from_secs(message.len() as u64 / BYTES_A_SECOND);
        let Ok(sent) = timeout(patience, transport.send_raw(&envelope, message)).await else {
            let why = format!("{}:{}: no answer within {patience:?}", self.host, self.port);
            return Err(RelayFault::Away(why));
        };
        match sent {
            Ok(_) => Ok(()),
            Err(error) => {
                let why = format!("{}:{}: {}", self.host, self.port, told(&error.to_string()));
                let code = error.status().map(|code| code.to_string()).unwrap_or_default();
                Err(if error.is_permanent() && is_about_the_message(&code, &why) {
                    RelayFault::Refused(why)
                } else if error.is_permanent() || error.is_transient() || error.is_client() {
                    RelayFault::NotNow(why)
                } else {
                    RelayFault::Away(why)
                })
            }
        }
    }

    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let relay = self.clone();
        let read = tokio::task::spawn_blocking(move || relay.secrets()).await;
        let (tls, credentials) = read.map_err(|error| error.to_string())??;
        let host = self.host.trim_matches(['[', ']']);
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(self.port)
            .tls(tls)
            .timeout(Some(ANSWER));
        if let Some(credentials) = credentials {
            builder = builder.credentials(credentials);
        }
        Ok(builder.build())
    }

    /// What is read from files.
    fn secrets(&self) -> Result<(Tls, Option<Credentials>), String> {
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let credentials = match (&self.user, &self.password_file) {
            (Some(user), Some(path)) => {
                let password = read(path)?.lines().next().unwrap_or_default().to_owned();
                Some(Credentials::new(user.clone(), password))
            }
            (Some(_), None) => return Err("mail.relays.password_file is not set".to_owned()),
            (None, _) => None,
        };
        if self.security == Security::None {
            return Ok((Tls::None, credentials));
        }
        let host = self.host.trim_matches(['[', ']']).to_owned();
        let mut parameters = TlsParameters::builder(host);
        if let Some(path) = &self.ca_file {
            let pem = read(path)?;
            let certificate =
                Certificate::from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
            parameters = parameters.add_root_certificate(certificate);
        }
        let parameters = parameters.build_rustls().map_err(|error| error.to_string())?;
        let tls = if self.security == Security::Tls {
            Tls::Wrapper(parameters)
        } else {
            Tls::Required(parameters)
        };
        Ok((tls, credentials))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With time that does not pass: whoever waits for ever would never return.
    #[tokio::test(start_paused = true)]
    async fn a_relay_that_says_nothing_is_left_after_its_time() {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            host: "127.0.0.1".to_owned(),
            port: mute.local_addr().unwrap().port(),
            security: Security::None,
            user: None,
            password_file: None,
            ca_file: None,
        };
        let begun = tokio::time::Instant::now();
        let sent = relay.send(None, "anna@office.example", b"Subject: x\r\n\r\n").await;
        assert!(matches!(sent, Err(RelayFault::Away(_))), "{sent:?}");
        assert!(begun.elapsed() <= ANSWER * 2, "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_about_us_is_tried_again() {
        for (code, why, expected) in [
            ("550", "h:25: permanent error (550): 5.1.1 nobody here", true),
            ("552", "h:25: permanent error (552): 5.3.4 too large", true),
            ("550", "h:25: permanent error (550): no such user", true),
            ("550", "h:25: permanent error (550): 5.7.1 relaying denied", false),
            ("554", "h:25: permanent error (554): no service here", false),
            ("535", "h:25: permanent error (535): 5.7.8 wrong", false),
            ("550", "10.5.1.2:25: permanent error (550): 5.7.1 no", false),
        ] {
            assert_eq!(is_about_the_message(code, why), expected, "{why}");
        }
    }
}
