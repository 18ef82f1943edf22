//! The server's TLS, by rustls.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::options::{ServerError, Tls};

pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServerError> {
    let chain = CertificateDer::pem_file_iter(&tls.chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)
        .map_err(ServerError::file(&tls.chain))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(io::Error::other)
        .map_err(ServerError::file(&tls.key))?;
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)
            .map_err(ServerError::file(&tls.chain))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
