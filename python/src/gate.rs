//! The gate of a handle: one thread or task at a time acquires and holds the lock through it, and
//! the others wait for that one, as for a `threading.Lock`.
//!
//! They wait here, and not for the lock file: the gate stays closed until its user unlocks, even
//! if the lock was lost meanwhile. Otherwise that unlock would release another thread's lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::sync::Notify;

/// A thread, or a task of a thread's event loop.
pub(crate) struct User {
    thread: ThreadId,
    task: Option<Py<PyAny>>,
}

impl User {
    pub(crate) fn this_thread() -> User {
        User { thread: thread::current().id(), task: None }
    }

    pub(crate) fn task(task: Py<PyAny>) -> User {
        User { task: Some(task), ..User::this_thread() }
    }

    /// Whether the other would wait for itself. Where a thread waits, its tasks do not run.
    fn would_wait_for(&self, other: &User) -> bool {
        let are_two_tasks = match (&self.task, &other.task) {
            (Some(one), Some(other)) => !one.is(other),
            _ => false,
        };
        self.thread == other.thread && !are_two_tasks
    }
}

/// Why a user does not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// It would wait for itself.
    ByItself,
    ByAnother,
}

#[derive(Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    opened: Condvar,
    opened_for_tasks: Notify,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// The one inside; `None` if the gate is open, or about to be.
    user: Option<User>,
    /// How many threads wait.
    waiting: usize,
}

impl State {
    fn enter(&mut self, user: &mut Option<User>) -> Result<(), Closed> {
        if !self.is_closed {
            (self.is_closed, self.user) = (true, user.take());
            return Ok(());
        }
        match (&self.user, &*user) {
            (Some(inside), Some(user)) if user.would_wait_for(inside) => Err(Closed::ByItself),
            _ => Err(Closed::ByAnother),
        }
    }
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters if the gate is open.
    pub(crate) fn try_enter(&self, user: User) -> Result<(), Closed> {
        self.state().enter(&mut Some(user))
    }

    /// Enters once the gate is open. `pause` is called before each wait: it returns how long to wait
    /// at most, or `None` to give up. Blocks.
    pub(crate) fn enter_while(
        &self,
        user: User,
        mut pause: impl FnMut() -> Option<Duration>,
    ) -> Result<(), Closed> {
        let mut user = Some(user);
        loop {
            let entered = self.state().enter(&mut user);
            if entered != Err(Closed::ByAnother) {
                return entered;
            }
            let Some(pause) = pause() else { return entered };
            let mut state = self.state();
            if state.is_closed {
                state.waiting += 1;
                let woken = self.opened.wait_timeout(state, pause);
                woken.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
            }
        }
    }

    /// Enters once the gate is open. Blocks nothing.
    pub(crate) async fn enter(&self, user: User) -> Result<(), Closed> {
        let mut user = Some(user);
        loop {
            let opened = self.opened_for_tasks.notified(); // counts from here
            let entered = self.state().enter(&mut user);
            if entered != Err(Closed::ByAnother) {
                return entered;
            }
            opened.await;
        }
    }

    /// Announces that its user is about to leave: it may wait for that too.
    pub(crate) fn begin_to_leave(&self) {
        let gone = self.state().user.take();
        drop(gone); // which may run code of the program's
    }

    /// Opens the gate.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        let gone = state.user.take();
        state.is_closed = false;
        if state.waiting > 0 {
            self.opened.notify_one();
        }
        drop(state);
        self.opened_for_tasks.notify_waiters();
        drop(gone);
    }
}
