//! A lock as `/v2/` shows it.

use std::time::SystemTime;

use serde::Serialize;

use super::store::{Record, split_slot};
use crate::info::{Access, LockId};

#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    id: LockId,
    name: &'a str,
    /// For a slot: the name of its set, its number, and how many slots the set has.
    set: Option<&'a str>,
    slot: Option<u32>,
    slots: Option<u32>,
    access: Option<Access>,
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
        let slot = record.slots.and_then(|_| split_slot(&info.lock_name));
        Shown {
            id: info.id,
            name: &info.lock_name,
            set: slot.map(|(set, _)| set),
            slot: slot.map(|(_, number)| number),
            slots: record.slots,
            access: record.access,
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
