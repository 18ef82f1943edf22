//! The certificates to trust and to present, loaded once for both HTTP and the WebSocket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use super::error::ClientError;

/// As in PyRelukko, the first of these that is set counts: a file, or a directory of files.
const BUNDLES: [&str; 2] = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

#[derive(Clone, Debug, Default)]
pub(super) struct TlsOptions {
    pub(super) ca_files: Vec<PathBuf>,
    pub(super) ca_dirs: Vec<PathBuf>,
    pub(super) ca_pem: Vec<Vec<u8>>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
}

/// The same certificates, for the blocking client's HTTP and for everything else.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) ureq: TlsConfig,
    pub(super) rustls: Arc<ClientConfig>,
}

impl TlsOptions {
    pub(super) fn load(&self) -> Result<Tls, ClientError> {
        let roots = self.roots()?;
        let identity = self.identity.as_ref().map(Identity::load).transpose()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let rustls = rustls_config(&roots, identity.as_ref(), provider.clone())
            .map_err(|error| invalid(format!("invalid TLS options: {error}")))?;
        let roots: Vec<_> =
            roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let ureq = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(identity.map(|identity| identity.http))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        Ok(Tls { ureq, rustls: Arc::new(rustls) })
    }

    /// The given certificates, else those named by the environment, else the system's.
    fn roots(&self) -> Result<Vec<CertificateDer<'static>>, ClientError> {
        let mut roots = Vec::new();
        for file in &self.ca_files {
            roots.extend(load_file(file)?);
        }
        for dir in &self.ca_dirs {
            roots.extend(load_dir(dir)?);
        }
        for pem in &self.ca_pem {
            let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            roots.extend(
                certificates
                    .map_err(|error| invalid(format!("invalid CA certificate: {error}")))?,
            );
        }
        if roots.is_empty() {
            let bundle = BUNDLES.iter().filter_map(std::env::var_os).find(|path| !path.is_empty());
            roots = match bundle.map(PathBuf::from) {
                Some(dir) if dir.is_dir() => load_dir(&dir)?,
                Some(file) => load_file(&file)?,
                None => rustls_native_certs::load_native_certs().certs,
            };
        }
        Ok(roots)
    }
}

fn load_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = certificates.map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it contains no certificate"));
    }
    Ok(certificates)
}

/// All certificates in a directory, with any file name; other files are ignored.
fn load_dir(dir: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let listed = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let entries = listed.map_err(|error| unusable(dir, &error))?;
    let files = entries.iter().map(fs::DirEntry::path).filter(|path| path.is_file());
    let certificates: Vec<_> = files.filter_map(|file| load_file(&file).ok()).flatten().collect();
    if certificates.is_empty() {
        return Err(unusable(dir, &"it contains no certificate"));
    }
    Ok(certificates)
}

/// A certificate with its private key, in each library's format.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    http: ClientCert,
}

impl Identity {
    fn load((chain_file, key_file): &(PathBuf, PathBuf)) -> Result<Identity, ClientError> {
        let chain = load_file(chain_file)?;
        let pem = fs::read(key_file).map_err(|error| unusable(key_file, &error))?;
        let key =
            PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unusable(key_file, &error))?;
        let http_key = PrivateKey::from_pem(&pem).map_err(|error| unusable(key_file, &error))?;
        let http_chain: Vec<_> =
            chain.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
        Ok(Identity { chain, key, http: ClientCert::new_with_certs(&http_chain, http_key) })
    }
}

fn rustls_config(
    roots: &[CertificateDer<'static>],
    identity: Option<&Identity>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store);
    match identity {
        Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key()),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> ClientError {
    invalid(format!("cannot use {}: {error}", path.display()))
}

fn invalid(reason: String) -> ClientError {
    ClientError::Invalid { reason }
}
