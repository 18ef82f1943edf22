//! The WebSocket on which the server reports locks that have ended. It reconnects whenever it
//! breaks, with pauses, until the listener is dropped.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tungstenite::Message;

use super::session::Session;
use super::subscription::{Backoff, Subscription};
use super::transport::{Bell, Line, Socket, SocketError, Transport};

/// Background work that listens, and rings a bell.
pub(super) struct Listener<T: Transport> {
    shared: Arc<Shared<T>>,
    _task: T::Task,
}

struct Shared<T: Transport> {
    transport: T,
    subscription: Subscription,
    /// Rung when there is a reason to request the lock.
    bell: Arc<Bell<T::Wake>>,
    /// Ended when the listener is dropped.
    end: Bell<T::Wake>,
    line: Line,
    is_connected: AtomicBool,
}

impl<T: Transport> Listener<T> {
    /// `None` if no WebSocket is possible: behind a proxy, or if the options exclude it.
    pub(super) fn start(
        session: &Session<T>,
        lock_name: &str,
        bell: &Arc<Bell<T::Wake>>,
    ) -> Option<Listener<T>> {
        let transport = session.transport.clone();
        let pings = session.options.websocket?;
        let subscription = Subscription::new(transport.endpoint(), lock_name, pings)?;
        let shared = Arc::new(Shared {
            transport: transport.clone(),
            subscription,
            bell: bell.clone(),
            end: Bell::default(),
            line: Line::default(),
            is_connected: AtomicBool::new(false),
        });
        let own = shared.clone();
        let task = transport.spawn("relukko-listener", async move { own.run().await }).ok()?;
        Some(Listener { shared, _task: task })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::SeqCst)
    }
}

impl<T: Transport> Drop for Listener<T> {
    fn drop(&mut self) {
        self.shared.end.end();
        self.shared.line.cut();
    }
}

impl<T: Transport> Shared<T> {
    async fn run(&self) {
        let mut backoff = Backoff::new();
        while !self.end.is_over() {
            let begun = Instant::now();
            // The cause does not matter: the waiter polls in the meantime.
            let _ = self.listen().await;
            self.is_connected.store(false, Ordering::SeqCst);
            self.line.close();
            self.end.pause(backoff.after(begun.elapsed())).await;
        }
    }

    /// Connects and listens until the connection breaks.
    async fn listen(&self) -> Result<(), SocketError> {
        let mut socket = self.transport.connect(&self.subscription, &self.line).await?;
        self.is_connected.store(true, Ordering::SeqCst);
        self.bell.ring(); // reports sent before were missed
        let pings = self.subscription.pings;
        let mut is_pinged = false;
        loop {
            let limit = if is_pinged { pings.timeout } else { pings.interval };
            match socket.next(limit).await? {
                Some(Message::Close(_)) => return Ok(()),
                Some(message) => {
                    is_pinged = false;
                    if matches!(&message, Message::Text(text) if self.subscription.concerns(text)) {
                        self.bell.ring();
                    }
                }
                None if is_pinged => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                None => {
                    socket.ping().await?;
                    is_pinged = true;
                }
            }
        }
    }
}
