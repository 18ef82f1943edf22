//! A Python that has flufl.lock: `LINKLOCK_PYTHON`, or one that pip installs it for the first time.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip;

const VERSION: &str = "10.0.0";

/// The Python. Where none is available, the test is skipped, or fails in CI.
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match PYTHON.get_or_init(find) {
        Ok(python) => Some(python),
        Err(why) => {
            skip("the real flufl.lock", why);
            None
        }
    }
}

/// The same, if it has the Python package linklock too, which only `LINKLOCK_PYTHON` may.
#[allow(dead_code)] // not every test program meets the package
pub(crate) fn python_with_package() -> Option<&'static Path> {
    let python = python()?;
    match run(Command::new(python).args(["-c", "import linklock.flufl"])) {
        Ok(_) => Some(python),
        Err(why) => {
            skip("the Python package linklock", why.lines().last().unwrap_or_default());
            None
        }
    }
}

fn find() -> Result<PathBuf, String> {
    let python = match env::var_os("LINKLOCK_PYTHON") {
        Some(python) => python.into(),
        None => install()?,
    };
    check(&python).map(|()| python)
}

/// Makes a virtual environment with flufl.lock in it, unless there is one from an earlier run.
fn install() -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = target.join(format!("flufl.lock-{VERSION}"));
    let python = home.join("bin/python");
    if check(&python).is_ok() {
        return Ok(python);
    }
    // Made under another name, and renamed once it is complete: another run may be making it too.
    let made = tempfile::tempdir_in(target).map_err(|error| error.to_string())?;
    run(Command::new("python3").args(["-m", "venv"]).arg(made.path()))?;
    run(Command::new(made.path().join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .arg(format!("flufl.lock=={VERSION}")))?;
    if fs::rename(made.path(), &home).is_err() && check(&python).is_err() {
        // The existing one is broken, as after an upgrade of Python.
        let _ = fs::remove_dir_all(&home);
        fs::rename(made.path(), &home).map_err(|error| format!("{}: {error}", home.display()))?;
    }
    Ok(python)
}

/// Whether this Python has the flufl.lock that these tests need.
fn check(python: &Path) -> Result<(), String> {
    let script = "import flufl.lock, importlib.metadata as m; print(m.version('flufl.lock'))";
    let version = run(Command::new(python).args([OsStr::new("-c"), script.as_ref()]))?;
    if version.trim() == VERSION {
        return Ok(());
    }
    Err(format!("{} has flufl.lock {}, not {VERSION}", python.display(), version.trim()))
}

fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}: {}", output.status, said.trim()))
}
