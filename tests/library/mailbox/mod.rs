//! Mailboxes: what a mailbox lock promises, to its users and to other mail programs.

mod breaking;
mod dotlock;
mod holding;
mod kinds;
mod locking;
mod odd;
mod permissions;
mod scene;

use linklock::mailbox::{Dotlock, MailboxGuard, MailboxLock, MailboxOptions};

#[test]
fn everything_can_cross_threads_and_outlive_its_scope() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<MailboxLock>();
    crosses::<MailboxGuard>();
    crosses::<MailboxOptions>();
    crosses::<Dotlock>();
}
