//! A server in a process of its own, on a port that stays its own through restarts.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use linklock_relukko::{Client, ClientOptions};

use crate::common::{linklock, until};

pub(crate) const KEY: &str = "the-key-of-the-tests";

pub(crate) struct Server {
    dir: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

pub(crate) fn command(dir: &Path, address: SocketAddr) -> Command {
    let mut command = linklock();
    command.arg("serve").arg("--dir").arg(dir).args(["--bind", &address.to_string()]);
    command.env("RELUKKO_API_KEY", KEY);
    command
}

/// A port on which no process listens. (Another process could take it first, but hardly will.)
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Server {
    pub(crate) fn start(dir: &Path) -> Server {
        let mut server = Server { dir: dir.into(), address: free_address(), child: None };
        server.restart();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client that tries often, to notice soon that the server is back.
    pub(crate) fn client_options(&self) -> ClientOptions {
        Client::options(self.url(), KEY).retries(200, Duration::from_millis(50), 1.0)
    }

    pub(crate) fn client(&self) -> Client {
        self.client_options().build().unwrap()
    }

    /// With SIGKILL, which leaves it no time.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn restart(&mut self) {
        let quiet = command(&self.dir, self.address).stderr(Stdio::null()).spawn().unwrap();
        self.child = Some(quiet);
        let client =
            Client::options(self.url(), KEY).retries(1, Duration::ZERO, 1.0).build().unwrap();
        until("the server answers", || client.check_health().is_ok());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
