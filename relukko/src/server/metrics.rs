//! Metrics for Prometheus, in its text format (OpenMetrics).

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: String,
    route: String,
}

pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answer, Counter>,
    seconds: Family<Route, Histogram>,
    locks: Gauge,
    sweep: Gauge<f64, AtomicU64>,
    pub(crate) connections: Gauge,
    pub(crate) websockets: Gauge,
    pub(crate) broadcasts: Counter,
    pub(crate) failed_sweeps: Counter<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        let mut registry = Registry::with_prefix("linklock");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let seconds = Family::<Route, Histogram>::new_with_constructor(|| {
            Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0])
        });
        let help = "From a request's head to its answer's";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds.clone());
        let (locks, connections, websockets) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("locks", "Locks held at the last sweep", locks.clone());
        let sweep = Gauge::default();
        let help = "Duration of the last sweep";
        registry.register_with_unit("last_sweep", help, Unit::Seconds, sweep.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("websockets", "Open WebSockets", websockets.clone());
        let (broadcasts, failed_sweeps) = (Counter::default(), Counter::default());
        registry.register("broadcasts", "Messages to the WebSockets", broadcasts.clone());
        registry.register("failed_sweeps", "Sweeps that an error ended", failed_sweeps.clone());
        Metrics {
            registry,
            requests,
            seconds,
            locks,
            sweep,
            connections,
            websockets,
            broadcasts,
            failed_sweeps,
        }
    }

    pub(crate) fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let answer = Answer { method: method.clone(), route: route.clone(), status };
        self.requests.get_or_create(&answer).inc();
        self.seconds.get_or_create(&Route { method, route }).observe(took.as_secs_f64());
    }

    /// Records how many locks the last sweep found held, and how long the sweep took.
    pub(crate) fn swept(&self, locks: usize, took: Duration) {
        self.sweep.set(took.as_secs_f64());
        self.locks.set(i64::try_from(locks).unwrap_or(i64::MAX));
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String never fails");
        text
    }
}

/// Counts something for as long as this exists.
pub(crate) struct Present(Gauge);

impl Present {
    pub(crate) fn in_(gauge: &Gauge) -> Present {
        gauge.inc();
        Present(gauge.clone())
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.dec();
    }
}
