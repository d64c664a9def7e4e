//! Asks a server that runs, over HTTP, as its pages do.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::de::DeserializeOwned;

use super::{ConfigArgs, Exit};
use crate::serve::page_url;
use crate::settings::{local_token_file, url_file};

/// Which server, and as whom.
#[derive(Args, Debug, Default)]
pub(super) struct Target {
    /// The server; without it the one that the configuration describes, on this host.
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// A file with the secret of an API token. Without it, a server on this host is asked as whoever may
    /// read its state folder.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// The certificate that the server must show, as PEM, where nobody known has signed it.
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
}

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a file may take.
const FILE: Duration = Duration::from_hours(1);

/// Takes one certificate, whoever signed it and whatever it is called, and no other.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// TLS that takes only the first certificate of this PEM text.
    fn of(pem: &[u8]) -> Result<ClientConfig, String> {
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|error| format!("certificate: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pinned = Arc::new(Self { certificate, provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = config.dangerous().with_custom_certificate_verifier(pinned);
        Ok(config.with_no_client_auth())
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General("the server shows another certificate".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What is said first when nobody answers.
pub(super) const NO_ANSWER: &str = "no answer from";

/// A server that can be asked.
pub(super) struct Server {
    client: reqwest::Client,
    url: String,
    token: Option<String>,
}

impl Target {
    /// The server, not yet asked.
    ///
    /// # Errors
    /// After the reason was printed.
    pub(super) fn server(&self) -> Result<Server, Exit> {
        // Our own certificate is known by its file, not by who signed it.
        let mut own = match &self.certificate {
            Some(file) => Some(std::fs::read(file).map_err(|error| {
                eprintln!("entracte: {}: {error}", file.display());
                Exit::Usage
            })?),
            None => None,
        };
        let (url, token_file) = match (&self.url, &self.token_file) {
            (Some(url), file) => (url.trim_end_matches('/').to_owned(), file.clone()),
            (None, file) => {
                let plan = self.config.load_or_explain()?;
                // A server that runs tells where; the configuration may have changed since it started.
                let told = std::fs::read_to_string(url_file(&plan.state_dir)).ok();
                let configured = || plan.http.map(|address| page_url(&plan, address));
                let Some(url) = told.or_else(configured) else {
                    eprintln!("entracte: http.enabled is false: the server cannot be asked");
                    return Err(Exit::Usage);
                };
                let file = file.clone().unwrap_or_else(|| local_token_file(&plan.state_dir));
                if let Some(tls) = plan.tls.as_ref().filter(|_| url.starts_with("https:")) {
                    let made = || crate::certificates::own_files(&plan.state_dir).0;
                    let file = tls.files.as_ref().map_or_else(made, |(file, _)| file.clone());
                    own = own.or_else(|| std::fs::read(file).ok());
                }
                (url, Some(file))
            }
        };
        let token = token_file.and_then(|file| match std::fs::read_to_string(&file) {
            Ok(text) => Some(text.trim().to_owned()),
            // Where there is none, the server's refusal says what is missing.
            Err(error) => {
                tracing::debug!(%error, file = %file.display(), "no token");
                None
            }
        });
        // For an address that begins with https; a second one in one process changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder().no_proxy().timeout(ANSWER);
        if let Some(pem) = own {
            let pinned = Pinned::of(&pem).map_err(|why| {
                eprintln!("entracte: {why}");
                Exit::Usage
            })?;
            builder = builder.tls_backend_preconfigured(pinned);
        }
        let client = builder.build().map_err(|error| {
            eprintln!("entracte: {error}");
            Exit::Failed
        })?;
        Ok(Server { client, url, token })
    }
}

impl Server {
    /// What the server answers at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let url = format!("{}{path}", self.url);
        self.answer(self.client.get(&url), &url).await
    }

    /// Orders something.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let url = format!("{}{path}", self.url);
        self.answer(self.client.post(&url), &url).await
    }

    /// Orders something, by a JSON object.
    pub(super) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, String> {
        let url = format!("{}{path}", self.url);
        let request = self.client.post(&url).header("content-type", "application/json");
        self.answer(request.body(body.to_string()), &url).await
    }

    /// A file, as it comes, however long it takes.
    pub(super) async fn fetch(&self, path: &str, out: &mut dyn Write) -> Result<(), String> {
        let url = format!("{}{path}", self.url);
        let request = self.client.get(&url).timeout(FILE);
        let mut answer = self.sent(request, &url).await?;
        while let Some(block) = answer.chunk().await.map_err(|error| error.to_string())? {
            out.write_all(&block).map_err(|error| error.to_string())?;
        }
        out.flush().map_err(|error| error.to_string())
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
        url: &str,
    ) -> Result<T, String> {
        serde_json::from_slice(&self.read(request, url).await?)
            .map_err(|_| format!("{url} answers something else than was asked for"))
    }

    async fn read(&self, request: reqwest::RequestBuilder, url: &str) -> Result<Vec<u8>, String> {
        let answer = self.sent(request, url).await?;
        Ok(answer.bytes().await.map_err(|error| error.to_string())?.into())
    }

    async fn sent(
        &self,
        request: reqwest::RequestBuilder,
        url: &str,
    ) -> Result<reqwest::Response, String> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = request.send().await.map_err(|error| {
            // What of TLS, or of the connection, is the innermost reason.
            let mut inner: &dyn std::error::Error = &error;
            while let Some(source) = inner.source() {
                inner = source;
            }
            format!("{NO_ANSWER} {url} ({inner}): does the server run?")
        })?;
        let status = answer.status();
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(format!(
                "{url} does not know us: run this as the server's user or root, or give --token-file"
            ));
        }
        if !status.is_success() {
            let bytes = answer.bytes().await.map_err(|error| error.to_string())?;
            let told = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
            let why = told.and_then(|told| Some(told.get("error")?.as_str()?.to_owned()));
            return Err(format!("{url} answers {status}: {}", why.unwrap_or_default()));
        }
        Ok(answer)
    }
}
