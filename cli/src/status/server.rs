//! The status of a server's lock.

use std::fmt::{self, Display, Formatter};
use std::time::SystemTime;

use serde::Serialize;

use super::{Details, State, Status};
use crate::output::printable;
use crate::time;

/// A lock that a server has, as it describes it.
#[derive(Debug, Serialize)]
pub(crate) struct ServerLock {
    pub(crate) id: String,
    pub(crate) who: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) token: Option<u64>,
    pub(crate) lifetime_seconds: Option<f64>,
    /// How many slots its set has, for a slot.
    #[serde(skip)]
    pub(crate) slots: Option<u32>,
    #[serde(skip)]
    pub(crate) created_at: SystemTime,
    #[serde(skip)]
    pub(crate) updated_at: SystemTime,
    #[serde(skip)]
    pub(crate) expires_at: SystemTime,
}

impl Status {
    /// The lock with this URL, if the server has it. Its dates are the server's, and are compared with
    /// this machine's clock.
    pub(crate) fn of_server(url: String, held: Option<ServerLock>) -> Status {
        let state = if held.is_some() { State::Held } else { State::Free };
        let holder = held.as_ref().map(Details::of_server);
        Status { holder, server: held, ..Status::new(url, state, None) }
    }
}

impl Details {
    fn of_server(lock: &ServerLock) -> Details {
        let now = SystemTime::now();
        let ago = |date| time::signed_seconds(now, date).max(0.0);
        Details {
            host: None,
            pid: None,
            user: None,
            command: None,
            since: time::date(lock.created_at),
            held_seconds: Some(ago(lock.created_at)),
            is_nobodys: false,
            alive: None,
            slots: lock.slots,
            claim: None,
            expires_at: time::date(lock.expires_at),
            expires_in_seconds: Some(time::signed_seconds(lock.expires_at, now)),
            refreshed_at: time::date(lock.updated_at),
            idle_seconds: Some(ago(lock.updated_at)),
        }
    }
}

/// What takes the place of the process that holds a lock file.
impl Display for ServerLock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let who = self.who.as_deref().unwrap_or("(gave no name)");
        writeln!(f, "  holder:     {}", printable(who))?;
        if let Some(note) = &self.note {
            writeln!(f, "  note:       {}", printable(note))?;
        }
        if let Some(address) = &self.address {
            writeln!(f, "  address:    {}", printable(address))?;
        }
        if let Some(token) = self.token {
            writeln!(f, "  token:      {token}")?;
        }
        writeln!(f, "  id:         {}", self.id)
    }
}
