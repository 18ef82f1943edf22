//! A lock as `/v2/` shows it.

use std::time::SystemTime;

use serde::Serialize;

use super::store::Record;
use crate::info::LockId;

#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    id: LockId,
    name: &'a str,
    who: Option<&'a str>,
    note: Option<&'a str>,
    ip: Option<&'a str>,
    /// The fencing token; locks that were not created through `/v2/` have none.
    token: Option<u64>,
    /// In seconds: how long it lasts from each refresh.
    lifetime: Option<f64>,
    #[serde(with = "crate::timestamp")]
    expires_at: SystemTime,
    #[serde(with = "crate::timestamp")]
    created_at: SystemTime,
    #[serde(with = "crate::timestamp")]
    updated_at: SystemTime,
}

impl Shown<'_> {
    pub(crate) fn of(record: &Record) -> Shown<'_> {
        let (info, tenure) = (&record.info, record.tenure.as_ref());
        Shown {
            id: info.id,
            name: &info.lock_name,
            who: info.creator.as_deref(),
            note: tenure.and_then(|tenure| tenure.note.as_deref()),
            ip: info.ip.as_deref(),
            token: tenure.and_then(|tenure| tenure.token),
            lifetime: tenure.map(|tenure| tenure.lifetime),
            expires_at: info.expires_at,
            created_at: info.created_at,
            updated_at: info.updated_at,
        }
    }
}
