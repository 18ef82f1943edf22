//! TLS, with one configuration for requests and the WebSocket.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::{KEY, LIMIT, options, skip};
use linklock_relukko::{Client, ClientError};
use tempfile::tempdir;

/// A certificate authority, and a certificate for 127.0.0.1 signed by it.
fn certificates(dir: &Path) -> Option<(PathBuf, PathBuf, PathBuf)> {
    let script = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
            -subj /CN=tests -keyout ca.key -out ca.pem &&
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj /CN=server -keyout key.pem -out server.csr &&
        printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\\nbasicConstraints=CA:FALSE\\n' > extensions &&
        openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial \
            -extfile extensions -out chain.pem";
    let made = Command::new("sh").args(["-c", script]).current_dir(dir).output().ok()?;
    made.status.success().then(|| (dir.join("ca.pem"), dir.join("chain.pem"), dir.join("key.pem")))
}

#[test]
fn requests_and_the_websocket_trust_the_same() {
    let (dir, keys) = (tempdir().unwrap(), tempdir().unwrap());
    let Some((ca, chain, key)) = certificates(keys.path()) else {
        return skip("TLS", "there is no openssl(1)");
    };
    let server = options(dir.path()).tls(&chain, &key).start().unwrap();
    let url = format!("https://{}", server.address());
    let options = || Client::options(&url, KEY).retries(1, Duration::ZERO, 1.0);
    let bundle = std::fs::read(&ca).unwrap();
    for trusting in
        [options().ca_file(&ca), options().ca_dir(keys.path()), options().ca_pem(bundle)]
    {
        let client = trusting.polling(10 * LIMIT).build().unwrap();
        let first = client.try_lock("x", None).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| client.try_lock_for("x", None, LIMIT));
            // Until after the first polls, which are for clients without a WebSocket.
            std::thread::sleep(Duration::from_secs(2));
            first.unlock().unwrap();
            waiting.join().unwrap().unwrap().unlock().unwrap();
        });
    }
    // A client that does not trust it can't use it, nor can one without TLS.
    let error = options().build().unwrap().try_lock("x", None).unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let plain = Client::options(format!("http://{}", server.address()), KEY);
    assert!(plain.retries(1, Duration::ZERO, 1.0).build().unwrap().list().is_err());
}

#[test]
fn an_invalid_certificate_is_an_error_that_names_it() {
    let dir = tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let missing = dir.path().join("missing.pem");
    for path in [&empty, &missing] {
        let error = Client::options("https://x", KEY).ca_file(path).build().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        let error = options(dir.path()).tls(path, path).start().unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    for url in ["", "x", "ftp://x", "http://", "http://x?y"] {
        assert!(matches!(Client::new(url, KEY), Err(ClientError::Invalid { .. })), "{url}");
    }
    let error = Client::new("http://x", "no\nheader").unwrap_err();
    assert!(!error.to_string().contains("no\n"), "{error}");
}

#[test]
fn keys_and_certificates_are_reloaded() {
    let (dir, keys) = (tempdir().unwrap(), tempdir().unwrap());
    let [old, new] = ["old", "new"].map(|name| keys.path().join(name));
    for dir in [&old, &new] {
        std::fs::create_dir(dir).unwrap();
        if certificates(dir).is_none() {
            return skip("TLS", "there is no openssl(1)");
        }
    }
    let install = |from: &Path| {
        for name in ["chain.pem", "key.pem"] {
            std::fs::copy(from.join(name), keys.path().join(name)).unwrap();
        }
    };
    let file = keys.path().join("keys");
    std::fs::write(&file, "first").unwrap();
    install(&old);
    let server = linklock_relukko::Server::options(dir.path()).bind("127.0.0.1:0".parse().unwrap());
    let server = server.api_key_file(&file).unwrap();
    let server = server.tls(keys.path().join("chain.pem"), keys.path().join("key.pem"));
    let server = server.start().unwrap();
    let url = format!("https://{}", server.address());
    let list = |ca: &Path, key: &str| {
        let options = Client::options(&url, key).retries(1, Duration::ZERO, 1.0);
        options.ca_file(ca.join("ca.pem")).build().unwrap().list()
    };
    list(&old, "first").unwrap();
    // An invalid file changes nothing.
    std::fs::write(&file, "# no key").unwrap();
    assert!(server.reload().is_err());
    list(&old, "first").unwrap();
    std::fs::write(&file, "second").unwrap();
    install(&new);
    server.reload().unwrap();
    list(&new, "second").unwrap();
    assert!(matches!(list(&new, "first"), Err(ClientError::Denied { .. })));
    assert!(matches!(list(&old, "second"), Err(ClientError::Unreachable { .. })));
}
