//! A subscriber that records everything.
//!
//! There is one for the whole process, since locks are kept alive on another thread; the tests,
//! which run concurrently, recognise their own events by the path.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use linklock::Lock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::guide;

/// Each time the subscriber gets an event of a lock with this name, it acquires another lock.
pub(crate) const REENTRANT: &str = "reentrant.lock";

/// A span or an event.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) level: Level,
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) fields: BTreeMap<&'static str, Value>,
    /// The span in which it happened.
    pub(crate) within: Option<u64>,
    is_closed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(f64),
}

#[derive(Debug, Default)]
struct All {
    spans: Vec<Told>,
    events: Vec<Told>,
}

static ALL: Mutex<All> = Mutex::new(All { spans: Vec::new(), events: Vec::new() });
static CALLS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

struct Capture;

fn all() -> MutexGuard<'static, All> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the subscriber was called; also readable in a forked child.
pub(crate) fn calls() -> usize {
    CALLS.load(Ordering::Relaxed)
}

/// Records everything from now on.
pub(crate) fn listen() {
    static LISTENS: OnceLock<()> = OnceLock::new();
    LISTENS.get_or_init(|| tracing::subscriber::set_global_default(Capture).unwrap());
}

/// The events of the locks in a directory, each of which is checked against the guide.
pub(crate) fn events(dir: &Path) -> Vec<Told> {
    let events: Vec<_> = all().events.iter().filter(|told| told.is_in(dir)).cloned().collect();
    for event in &events {
        guide::assert_documented(event);
        event.assert_printable();
    }
    events
}

/// The spans of the locks in a directory.
pub(crate) fn spans(dir: &Path) -> Vec<Told> {
    let spans: Vec<_> = all().spans.iter().filter(|told| told.is_in(dir)).cloned().collect();
    for span in &spans {
        assert_eq!((span.name, span.level), ("linklock.acquire", Level::DEBUG));
        span.assert_printable();
        assert!(span.is_closed, "{span:?}");
    }
    spans
}

/// The levels and the names of the events, in their order.
pub(crate) fn names(events: &[Told]) -> Vec<String> {
    events.iter().map(|told| format!("{} {}", told.level, told.short())).collect()
}

impl Told {
    fn new(metadata: &'static Metadata<'static>) -> Told {
        assert_eq!(metadata.target(), "linklock", "{metadata:?}");
        Told {
            level: *metadata.level(),
            name: metadata.name(),
            text: String::new(),
            fields: BTreeMap::new(),
            within: ENTERED.with_borrow(|entered| entered.last().copied()),
            is_closed: false,
        }
    }

    /// Its name, without the common prefix.
    pub(crate) fn short(&self) -> &'static str {
        self.name.strip_prefix("linklock.").unwrap()
    }

    fn is_in(&self, dir: &Path) -> bool {
        match self.fields.get("path") {
            Some(Value::Text(path)) => Path::new(path).starts_with(dir),
            _ => false,
        }
    }

    #[track_caller]
    pub(crate) fn string(&self, field: &str) -> &str {
        match self.fields.get(field) {
            Some(Value::Text(text)) => text,
            _ => panic!("no text {field}: {self:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn number(&self, field: &str) -> f64 {
        match self.fields.get(field) {
            Some(Value::Number(number)) => *number,
            _ => panic!("no number {field}: {self:?}"),
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    fn assert_printable(&self) {
        let texts = self.fields.values().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            Value::Number(_) => None,
        });
        for text in texts.chain([&self.text]) {
            assert!(!text.contains(char::is_control), "{self:?}");
        }
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), Value::Text(value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.insert(field.name(), Value::Number(value));
    }

    #[allow(clippy::cast_precision_loss)] // pids and small tokens
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record_f64(field, value as f64);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        assert_eq!(field.name(), "message", "everything else has a type");
        self.text = format!("{value:?}");
    }
}

impl Subscriber for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "linklock"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let mut told = Told::new(span.metadata());
        span.record(&mut told);
        let spans = &mut all().spans;
        spans.push(told);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        values.record(&mut all().spans[index(span)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let mut told = Told::new(event.metadata());
        event.record(&mut told);
        if let Some(Value::Text(path)) = told.fields.get("path") {
            if path.ends_with(REENTRANT) {
                // Would call this subscriber again and again.
                drop(Lock::new(path.replace(REENTRANT, "log.lock")).unwrap().lock().unwrap());
            }
        }
        all().events.push(told);
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        let left = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(left, Some(span.into_u64()));
    }

    fn try_close(&self, span: Id) -> bool {
        all().spans[index(&span)].is_closed = true;
        true
    }
}

fn index(span: &Id) -> usize {
    usize::try_from(span.into_u64()).unwrap() - 1
}
