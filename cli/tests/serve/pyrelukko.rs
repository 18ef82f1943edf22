//! PyRelukko's own test suite, from its unmodified source, against this server. It needs a Python
//! with the suite's dependencies, in `LINKLOCK_PYTHON`, and the unpacked source in
//! `LINKLOCK_PYRELUKKO`: `.ci/run` gets both.

use std::process::Command;

use tempfile::tempdir;

use crate::common::skip;
use crate::server::{KEY, Server};

#[test]
fn its_own_suite_passes() {
    let variable = |name| std::env::var_os(name);
    let (Some(python), Some(source)) =
        (variable("LINKLOCK_PYTHON"), variable("LINKLOCK_PYRELUKKO"))
    else {
        return skip("PyRelukko's suite", "LINKLOCK_PYTHON or LINKLOCK_PYRELUKKO is not set");
    };
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path());
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(&source)
        .env("PYTHONPATH", std::path::Path::new(&source).join("src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CI_HAS_RELUKKO", "1")
        .env("CI_RELUKKO_BASE_URL", server.url())
        .env("CI_RELUKKO_API_KEY", KEY)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("37 passed"), "{text}");
}
