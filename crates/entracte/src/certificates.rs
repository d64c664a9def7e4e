//! The certificate that pages are served with: the administrator's own, or one that the server makes for
//! itself. It is read again with the settings, without a restart.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Plan, TlsPlan};
use crate::serve::StartError;

/// The certificate in use.
pub struct Certificates(RwLock<Arc<CertifiedKey>>);

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificates {
    /// The certificate that the settings name; one of our own is made if there is none yet.
    ///
    /// # Errors
    /// When it cannot be read or made, or does not fit its key.
    pub fn load(plan: &Plan, tls: &TlsPlan, host: &str) -> Result<Arc<Self>, StartError> {
        Ok(Arc::new(Self(RwLock::new(Self::read(plan, tls, Some(host))?))))
    }

    /// What the settings name now, to be [installed](Self::install). With the name of the host, a certificate
    /// is made for it where there is none of our own yet.
    ///
    /// # Errors
    /// When it cannot be read or made, or does not fit its key.
    pub fn read(
        plan: &Plan,
        tls: &TlsPlan,
        make_for: Option<&str>,
    ) -> Result<Arc<CertifiedKey>, StartError> {
        read(plan, tls, make_for).map(Arc::new)
    }

    /// Goes on with this one; connections that are there keep theirs.
    pub fn install(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// How connections are served with it.
    ///
    /// # Errors
    /// When the library has no protocol version, which it has.
    pub fn server(self: &Arc<Self>) -> Result<Arc<ServerConfig>, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| StartError::new("http.tls", error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Self>::clone(self));
        Ok(Arc::new(config))
    }
}

/// Where the certificate and the key are that the server made for itself.
#[must_use]
pub fn own_files(state_dir: &Path) -> (PathBuf, PathBuf) {
    let folder = state_dir.join("http");
    (folder.join("certificate.pem"), folder.join("key.pem"))
}

fn read(plan: &Plan, tls: &TlsPlan, make_for: Option<&str>) -> Result<CertifiedKey, StartError> {
    let (certificate, key) = match &tls.files {
        Some(files) => files.clone(),
        None => {
            let files = own_files(&plan.state_dir);
            if let Some(host) = make_for.filter(|_| !files.0.exists() || !files.1.exists()) {
                make(plan, &files, host).map_err(|error| StartError::new("http.tls", error))?;
            }
            files
        }
    };
    let named = |key, path: &Path, error: &dyn fmt::Display| {
        StartError::new(key, format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| named("http.certificate", &certificate, &error))?;
    if chain.is_empty() {
        return Err(named("http.certificate", &certificate, &"holds no certificate"));
    }
    let secret =
        PrivateKeyDer::from_pem_file(&key).map_err(|error| named("http.key", &key, &error))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, secret, &provider)
        .map_err(|error| named("http.key", &key, &error))
}

/// A certificate for the names that this host is asked by; browsers will ask whether to trust it.
fn make(plan: &Plan, (certificate, key): &(PathBuf, PathBuf), host: &str) -> io::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.push(host.to_owned());
    let listens = plan.http.map(|address| address.ip()).into_iter();
    let others = listens.chain(plan.general.reachable.iter());
    names.extend(others.filter(|ip: &IpAddr| !ip.is_unspecified()).map(|ip| ip.to_string()));
    names.sort();
    names.dedup();
    let mut params = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("Entracte on {host}"));
    let pair = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let made = params.self_signed(&pair).map_err(io::Error::other)?;
    if let Some(folder) = certificate.parent() {
        crate::settings::make_private(folder)?;
    }
    crate::settings::write_atomically(key, pair.serialize_pem().as_bytes())?;
    crate::settings::write_atomically(certificate, made.pem().as_bytes())?;
    let fingerprint = web::hex(&web::sha256(made.der()));
    tracing::info!(file = %certificate.display(), sha256_fingerprint = fingerprint, "a certificate was made for the pages");
    Ok(())
}
