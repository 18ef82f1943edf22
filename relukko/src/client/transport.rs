//! What the client's logic needs from its environment: a server to talk to, waiting, and background
//! work.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::Message;

use super::endpoint::Endpoint;
use super::error::ClientError;
use super::request::Request;
use super::response::Response;
use super::subscription::Subscription;

/// A way to talk to a server, and to wait.
pub(super) trait Transport: Clone + Send + Sync + 'static {
    type Wake: Wake;
    type Socket: Socket;
    /// Background work. If it is a task, dropping this ends it at its next wait; a thread must be
    /// notified separately.
    type Task: Send + Sync;

    fn endpoint(&self) -> &Endpoint;

    /// Sends a request once, and reads the response.
    fn exchange(
        &self,
        request: &Request,
        limit: Duration,
    ) -> impl Future<Output = Result<Response, ClientError>> + Send;

    /// Opens a WebSocket.
    fn connect(
        &self,
        subscription: &Subscription,
        line: &Line,
    ) -> impl Future<Output = Result<Self::Socket, SocketError>> + Send;

    fn spawn(
        &self,
        name: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self::Task>;

    fn pause(&self, time: Duration) -> impl Future<Output = ()> + Send {
        async move { Self::Wake::default().wait_past(0, time).await }
    }
}

/// A count of wake-ups that can be waited for.
pub(super) trait Wake: Default + Send + Sync + 'static {
    fn wake(&self);

    fn count(&self) -> u64;

    /// Waits until the count exceeds `count`, for `at_most` at the longest.
    fn wait_past(&self, count: u64, at_most: Duration) -> impl Future<Output = ()> + Send;
}

/// An open WebSocket.
pub(super) trait Socket: Send {
    /// The next message; `None` if none arrives in time.
    fn next(
        &mut self,
        limit: Duration,
    ) -> impl Future<Output = Result<Option<Message>, SocketError>> + Send;

    fn ping(&mut self) -> impl Future<Output = Result<(), SocketError>> + Send;
}

/// Why a WebSocket is unusable.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocketError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
}

impl From<tungstenite::Error> for SocketError {
    fn from(error: tungstenite::Error) -> SocketError {
        SocketError::WebSocket(Box::new(error))
    }
}

/// Wakes waiters, and records when no event will follow.
#[derive(Default)]
pub(super) struct Bell<W> {
    wake: W,
    is_over: AtomicBool,
}

impl<W: Wake> Bell<W> {
    pub(super) fn ring(&self) {
        self.wake.wake();
    }

    pub(super) fn count(&self) -> u64 {
        self.wake.count()
    }

    /// Cancels every wait.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.wake.wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Waits until the bell has rung more than `count` times, for `at_most` at the longest.
    pub(super) async fn wait_past(&self, count: u64, at_most: Duration) {
        self.wake.wait_past(count, at_most).await;
    }

    /// Waits for `time`, unless the wait is cancelled.
    pub(super) async fn pause(&self, time: Duration) {
        let begun = Instant::now();
        loop {
            let count = self.count();
            let left = time.saturating_sub(begun.elapsed());
            if self.is_over() || left.is_zero() {
                return;
            }
            self.wait_past(count, left).await;
        }
    }
}

type HangUp = Box<dyn Fn() + Send + Sync>;

/// A connection that another thread can cut, which ends a read on it.
#[derive(Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    hang_up: Option<HangUp>,
    is_cut: bool,
}

impl Line {
    /// From now on the line controls this connection. A line that was cut stays cut, and cuts the
    /// connection at once.
    pub(super) fn lead_through(&self, hang_up: HangUp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_cut {
            hang_up();
        }
        state.hang_up = Some(hang_up);
    }

    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hang_up = None;
    }

    pub(super) fn cut(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_cut = true;
        if let Some(hang_up) = &state.hang_up {
            hang_up();
        }
    }
}
