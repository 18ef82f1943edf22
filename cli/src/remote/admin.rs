//! status, list and break, for a server's locks.

use linklock_relukko::ClientError;
use linklock_relukko::v2::{Client, LockInfo, LockUrl};

use super::contend::holder;
use super::{Target, client, failure, refuse, refuse_of_files, text};
use crate::break_lock::Broken;
use crate::exit::Failure;
use crate::output::{self, json};
use crate::status::{ServerLock, Status};
use crate::{break_lock, list, status};

pub(crate) fn status(args: &status::Args) -> Result<u8, Failure> {
    refuse_of_files(&args.options)?;
    refuse(&[(args.breakers, "--breakers")])?;
    let Target { url, client } = Target::of(&args.lock, None)?;
    let found = client.find(url.name()).map_err(failure)?;
    let mut status = Status::of_server(url.to_string(), found.map(server_lock));
    let readers = client.readers(url.name()).map_err(failure)?.into_iter();
    let reader = |lock| Status::of_server(url.to_string(), Some(server_lock(lock)));
    status.readers = readers.map(reader).collect();
    let slots = client.slots(url.name()).map_err(failure)?.into_iter();
    status.slots = slots.map(|slot| of_server(url.server(), slot)).collect();
    output::show(&if args.json { json(&status)? } else { status.to_text(args.breakers) })?;
    Ok(0)
}

pub(crate) fn list(args: &list::Args) -> Result<u8, Failure> {
    refuse_of_files(&args.options)?;
    let server = text(&args.dir)?;
    let client = client(server, None)?.build().map_err(failure)?.v2();
    let found = client.list().map_err(failure)?;
    let found = found.into_iter().map(|lock| of_server(server, lock));
    list::show(found.collect(), args.json)?;
    Ok(0)
}

/// A lock of the server with this URL.
fn of_server(server: &str, lock: LockInfo) -> Status {
    let url = LockUrl::new(server, lock.name.as_str());
    Status::of_server(url.to_string(), Some(server_lock(lock)))
}

/// Without --force a lock is left alone that the server has: one whose lease is over, the server ends.
pub(crate) fn break_lock(args: &break_lock::Args) -> Result<u8, Failure> {
    refuse_of_files(&args.options)?;
    refuse(&[
        (args.if_unchanged_for.is_some(), "--if-unchanged-for"),
        (args.if_dead, "--if-dead"),
    ])?;
    let Target { url, client } = Target::of(&args.lock, None)?;
    let itself = client.find(url.name()).map_err(failure)?;
    let readers = client.readers(url.name()).map_err(failure)?;
    let slots = client.slots(url.name()).map_err(failure)?;
    let break_one = |lock| break_one(args, &url, &client, &lock);
    let itself = itself.map_or(Ok(None), break_one);
    let others = readers.into_iter().chain(slots).map(break_one);
    break_lock::report(args, url.to_string(), itself, others)
}

/// `None` if it was released just now.
fn break_one(
    args: &break_lock::Args,
    url: &LockUrl,
    client: &Client,
    lock: &LockInfo,
) -> Result<Option<Broken>, Failure> {
    let was = holder(lock);
    if !args.force {
        return Err(break_lock::not_broken(url, was));
    }
    match client.break_lock(lock.id) {
        Ok(()) => Ok(Some(Broken { was, removed: Vec::new() })),
        Err(ClientError::NotFound(_)) => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

fn server_lock(lock: LockInfo) -> ServerLock {
    ServerLock {
        id: lock.id.to_string(),
        who: lock.who,
        note: lock.note,
        address: lock.ip,
        token: lock.token,
        slots: lock.slots,
        lifetime_seconds: lock.lifetime.map(|time| time.as_secs_f64()),
        created_at: lock.created_at,
        updated_at: lock.updated_at,
        expires_at: lock.expires_at,
    }
}
