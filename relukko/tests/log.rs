//! What the server logs. One test, since there is one subscriber for the whole process.

mod common;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{ask, client, options, wait_until};
use tempfile::tempdir;
use tracing::field::{Field, Visit};
use tracing::{Event, Id, Level, Metadata, Subscriber, span};

/// The events from INFO up, each in a line.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn about<'a>(lines: &'a [String], lock: &str) -> Vec<&'a String> {
        lines.iter().filter(|line| line.contains(&format!("lock=\"{lock}\""))).collect()
    }
}

/// Ordinary deletes and expiries are no alarms; each is one line that names its cause.
#[test]
fn only_what_happened_is_logged() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let dir = tempdir().unwrap();
    let quick = || options(dir.path()).sweep_interval(Duration::from_millis(50));
    let servers = [
        quick().lifetime(Duration::from_secs(1)).grace(Duration::ZERO).start().unwrap(),
        quick().start().unwrap(),
    ];
    let [short, long] = [client(&servers[0]), client(&servers[1])];
    long.try_lock("deleted", None).unwrap().unlock().unwrap();
    std::mem::forget(short.try_lock("expired", None).unwrap());
    let elsewhere = long.try_lock("deleted elsewhere", None).unwrap();
    short.delete(elsewhere.id()).unwrap();
    assert!(elsewhere.unlock().unwrap_err().is_lost());
    wait_until("it has expired", || {
        ask(servers[0].address(), "GET", "/v1/locks", "").json().as_array().unwrap().is_empty()
    });
    wait_until("all is logged", || {
        let lines = log.lines();
        ["deleted", "expired", "deleted elsewhere"]
            .iter()
            .all(|it| Log::about(&lines, it).len() > 1)
    });
    for server in servers {
        server.stop();
    }
    let lines = log.lines();
    let alarms: Vec<_> = lines.iter().filter(|line| !line.starts_with("INFO")).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    let mut deleted = Log::about(&lines, "deleted");
    // The other server may have seen it meanwhile.
    deleted.retain(|line| !line.contains("ended by another program or server"));
    assert_eq!(deleted.len(), 2, "{deleted:#?}");
    assert!(
        deleted[1].contains("message=deleted") && deleted[1].contains("peer=127.0.0.1"),
        "{deleted:?}"
    );
    let expired = Log::about(&lines, "expired");
    assert!(expired.iter().any(|line| line.contains("message=expired")), "{expired:?}");
}
