//! TLS from PEM files, as Kafka's `ssl.keystore.type=PEM` has them.
//! Enters: files' names or texts. Leaves: what a connection is accepted with; or why there is none, in words.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config::{ClientCertificates, TlsFiles};

/// Ready to accept connections.
#[derive(Clone)]
pub struct TlsSettings(TlsAcceptor);

/// Why there is no TLS, in words for the one who configured it.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

impl TlsSettings {
    /// Reads the files, which are small.
    pub fn load(files: &TlsFiles) -> Result<TlsSettings, TlsError> {
        let chain = certificates(&files.keystore)?;
        let key_file = files.key.as_ref().unwrap_or(&files.keystore);
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|error| about(key_file, format_args!("no unencrypted private key in PEM: {error}")))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?;
        let builder = match verifier(files, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| about(&files.keystore, error))?;
        Ok(TlsSettings(TlsAcceptor::from(Arc::new(config))))
    }

    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

fn verifier(
    files: &TlsFiles,
    provider: Arc<tokio_rustls::rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    if files.client_certificates == ClientCertificates::None {
        return Ok(None);
    }
    let Some(truststore) = &files.truststore else {
        return Err(TlsError(
            "client certificates are asked for, and ssl.truststore.location is not set".to_owned(),
        ));
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(truststore)? {
        roots.add(certificate).map_err(|error| about(truststore, error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match files.client_certificates {
        ClientCertificates::Requested => builder.allow_unauthenticated(),
        _ => builder,
    };
    builder.build().map(Some).map_err(|error| about(truststore, error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match read {
        Ok(list) if list.is_empty() => Err(about(file, "no certificate in PEM")),
        Ok(list) => Ok(list),
        Err(error) => Err(about(file, format_args!("no certificate in PEM: {error}"))),
    }
}

fn about(file: &Path, what: impl fmt::Display) -> TlsError {
    TlsError(format!("{}: {what}", file.display()))
}
