//! `linklock serve`: serves the locks of a directory over HTTP.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use linklock_relukko::{Server, ServerError};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use tracing::level_filters::LevelFilter;

use crate::events::{Event, Events};
use crate::exit::{self, Failure};
use crate::log;
use crate::mount_table::{self, Mount};
use crate::output::say;
use crate::time;

const PORT: u16 = 3000;

/// Serve a directory's locks over HTTP, as Relukko does
///
/// For hosts that don't share the directory. A lock held over HTTP is a lock file, which linklock
/// run, the library and Python's flufl.lock respect, and vice versa: a lock with a plain name
/// (letters, digits, and most signs but /, \, | and ~) is the file of that name. Several servers
/// may serve one directory. Locks stay held when a server stops or is killed.
///
/// An API key is required, in RELUKKO_API_KEY or in a file. Without TLS, keys travel unencrypted:
/// the server listens on the loopback interface only, unless --bind says otherwise. On SIGHUP it
/// reads the files of keys and the certificate again.
///
/// Requests under /v1/ are Relukko's. Those under /v2/ have lifetimes, secrets, fencing tokens,
/// waiting in line, slots, pages and events. /openapi.json describes both. A web page at / shows the
/// locks, and /metrics has metrics for Prometheus.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The directory of the lock files
    #[arg(short, long)]
    dir: PathBuf,

    /// Where to listen: ADDRESS or ADDRESS:PORT; the port is 3000 by default
    #[arg(short, long, value_name = "ADDRESS", value_parser = address, env = "RELUKKO_BIND_ADDR", default_value = "127.0.0.1:3000")]
    bind: SocketAddr,

    /// A file with API keys, one per line, each alone (for all rights) or as
    /// "name=NAME rights=read|own|all [locks=N] key=KEY"; may be given several times
    #[arg(long, value_name = "FILE")]
    api_key_file: Vec<PathBuf>,

    /// Trust the proxy at this address to tell its clients' addresses in X-Forwarded-For; may be
    /// given several times
    #[arg(long, value_name = "ADDRESS")]
    trust_proxy: Vec<IpAddr>,

    /// A PEM file with the certificate chain, to speak TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// A PEM file with the certificate's private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// How many connections may be open at once
    #[arg(long, value_name = "NUMBER", default_value_t = 4096)]
    max_connections: usize,

    /// How many WebSockets may be open at once
    #[arg(long, value_name = "NUMBER", default_value_t = 2048)]
    max_websockets: usize,

    /// How long until a new lock expires, unless its holder extends it
    #[arg(long, value_name = "DURATION", value_parser = time::parse, default_value = "10m")]
    lifetime: Duration,

    /// The longest lifetime that a client may ask for through /v2/
    #[arg(long, value_name = "DURATION", value_parser = time::parse, default_value = "1d")]
    max_lifetime: Duration,

    /// How long an expired lock stays held, so that a late holder can still extend it
    #[arg(long, value_name = "DURATION", value_parser = time::parse, default_value = "3m")]
    grace: Duration,

    /// How often to look for locks that have expired
    #[arg(long, value_name = "DURATION", value_parser = time::parse, default_value = "15s")]
    sweep: Duration,

    /// How long a request may wait for a directory that hangs, until it is answered with 503
    #[arg(long, value_name = "DURATION", value_parser = time::parse, default_value = "30s")]
    directory_timeout: Duration,

    /// The log level on stderr
    #[arg(long, value_name = "LEVEL", env = log::LEVEL, hide_env_values = true, default_value_t = LevelFilter::INFO)]
    log_level: LevelFilter,

    /// The log format
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

/// The format of a log line
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// Text for people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = || text.parse::<IpAddr>().map(|ip| (ip, PORT).into());
    text.parse()
        .or_else(|_| bare())
        .map_err(|_| "expected ADDRESS or ADDRESS:PORT, for example 0.0.0.0:3000".to_owned())
}

pub(crate) fn serve(args: &Args) -> Result<u8, Failure> {
    start_log(args);
    let events = Events::watch().map_err(Failure::to("watch for signals"))?;
    allow_many_files();
    let mut options = Server::options(&args.dir)
        .bind(args.bind)
        .max_connections(args.max_connections)
        .max_websockets(args.max_websockets)
        .directory_timeout(args.directory_timeout)
        .lifetime(args.lifetime)
        .max_lifetime(args.max_lifetime)
        .grace(args.grace)
        .sweep_interval(args.sweep);
    if let Some(key) = std::env::var_os("RELUKKO_API_KEY").filter(|key| !key.is_empty()) {
        let Some(key) = key.to_str() else {
            return Err(Failure::new(exit::USAGE, "RELUKKO_API_KEY is not valid UTF-8"));
        };
        options = options.api_key(key);
    }
    for file in &args.api_key_file {
        options = options.api_key_file(file)?;
    }
    for proxy in &args.trust_proxy {
        options = options.trust_proxy(*proxy);
    }
    if let (Some(chain), Some(key)) = (&args.tls_cert, &args.tls_key) {
        options = options.tls(chain, key);
    }
    let server = options.start()?;
    if let Some(advice) = mount_table::of(&args.dir).ok().flatten().and_then(|it| advice(&it)) {
        say(advice);
    }
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    say(format_args!("serving {} at {scheme}://{}", args.dir.display(), server.address()));
    loop {
        match events.next(Duration::from_secs(3600)) {
            Some(Event::Signal(Signal::SIGHUP)) => reload(&server),
            Some(event) if event.ends().is_some() => break,
            _ => {}
        }
    }
    server.stop();
    Ok(0)
}

/// What a second server of the directory, on another machine, would need: an NFS client remembers names
/// that others have changed.
fn advice(mount: &Mount) -> Option<String> {
    let is_cached = mount.options.split(',').all(|option| option != "lookupcache=none");
    (mount.kind.starts_with("nfs") && is_cached).then(|| {
        format!(
            "{} is on NFS: if servers on other machines serve this directory too, mount it with \
             lookupcache=none",
            mount.point.display()
        )
    })
}

fn reload(server: &Server) {
    match server.reload() {
        Ok(()) => say(format_args!("read the keys and the certificate again")),
        Err(error) => say(format_args!("still using the old keys and certificate: {error}")),
    }
}

fn start_log(args: &Args) {
    let lines = log::lines().with_max_level(args.log_level);
    match args.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Raises the limit of file descriptors: each connection takes one, and the usual soft limit is
/// meant for programs with few.
fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most); // on failure the limit stays unchanged
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        let code = match &error {
            ServerError::NoKey | ServerError::File { .. } => exit::USAGE,
            ServerError::Directory { .. } => exit::CANNOT_CREATE,
            _ => exit::SYSTEM,
        };
        match error {
            ServerError::NoKey => {
                Failure::new(code, "no API key: set RELUKKO_API_KEY or pass --api-key-file FILE")
            }
            error => Failure::new(code, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_an_nfs_client_remembers_are_advised_against() {
        let advice = |kind_and_options: &str| {
            let line = format!("36 35 98:0 / /mnt rw - {kind_and_options}");
            advice(&mount_table::parse(&line).unwrap())
        };
        let text = advice("nfs4 srv:/x rw,vers=4.2,hard").unwrap();
        assert!(text.starts_with("/mnt is on NFS") && text.ends_with("lookupcache=none"), "{text}");
        assert!(advice("nfs srv:/x rw,lookupcache=pos").is_some());
        assert_eq!(advice("nfs srv:/x rw,lookupcache=none,vers=3"), None);
        assert_eq!(advice("ext4 /dev/sda1 rw"), None);
    }
}
