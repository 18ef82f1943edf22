//! A mailbox in a directory of its own, and a clock that tests set.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linklock::mailbox::{MailboxLock, MailboxOptions};
use tempfile::{TempDir, tempdir};

use crate::kit::clock::ManualClock;

/// For how long others' dotlocks are respected by default.
pub(crate) const REST: Duration = Duration::from_secs(300);

pub(crate) struct Scene {
    pub(crate) dir: TempDir,
    pub(crate) mbox: PathBuf,
    pub(crate) dotlock: PathBuf,
    pub(crate) clock: Arc<ManualClock>,
}

impl Scene {
    /// An empty mailbox.
    pub(crate) fn new() -> Scene {
        let scene = Scene::without_mailbox();
        fs::write(&scene.mbox, "").unwrap();
        scene
    }

    pub(crate) fn without_mailbox() -> Scene {
        let dir = tempdir().unwrap();
        Scene {
            mbox: dir.path().join("joe"),
            dotlock: dir.path().join("joe.lock"),
            dir,
            clock: ManualClock::new(),
        }
    }

    pub(crate) fn options(&self) -> MailboxOptions {
        MailboxLock::options(&self.mbox).clock(self.clock.clone()).host_name("here")
    }

    pub(crate) fn lock(&self) -> MailboxLock {
        self.options().build().unwrap()
    }

    /// Another program's dotlock.
    pub(crate) fn dotlock_of(&self, content: &str, mode: u32) {
        make_file(&self.dotlock, content, mode);
    }

    /// What is in the directory besides the mailbox.
    pub(crate) fn beside(&self) -> Vec<String> {
        let names = crate::kit::names(self.dir.path());
        let names = names.into_iter().map(|name| name.into_string().unwrap());
        names.filter(|name| name != "joe").collect()
    }
}

pub(crate) fn make_file(path: &Path, content: &str, mode: u32) {
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut &file, content.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(mode)).unwrap();
}
