//! The programs that deliver, each used as its manual says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::TEST;
use super::message::Message;
use crate::kit::elsewhere::open_to_all;
use crate::kit::{example, skip};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Ours,
    Dotlockfile,
    Procmail,
    Mutt,
    Python,
    Dovecot,
}

/// An installed program, and the directory in which it delivers.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) program: Program,
    script: String,
}

impl Program {
    pub(crate) const ALL: [Program; 6] = [
        Program::Ours,
        Program::Dotlockfile,
        Program::Procmail,
        Program::Mutt,
        Program::Python,
        Program::Dovecot,
    ];

    pub(crate) fn may_be_killed(self) -> bool {
        self != Program::Dovecot
    }

    fn executable(self) -> Option<&'static str> {
        match self {
            Program::Ours => None,
            Program::Dotlockfile => Some("./dotlockfile"),
            Program::Procmail => Some("procmail"),
            Program::Mutt => Some("mutt_dotlock"),
            Program::Python => Some("python3"),
            Program::Dovecot => Some("/usr/lib/dovecot/dovecot-lda"),
        }
    }

    /// A shell command that delivers the file `$m`, and succeeds if it has.
    fn delivery(self) -> &'static str {
        match self {
            Program::Ours => r#"./deliver mbox <"$m""#,
            // By default it tries again after one second, two, three and so on.
            Program::Dotlockfile => {
                r#"until LD_PRELOAD=./polite.so SHIM_NOTES=polite.log ./dotlockfile -l -r 0 mbox.lock; do
                       sleep 0.1
                   done && cat "$m" >>mbox && ./dotlockfile -u mbox.lock"#
            }
            Program::Procmail => r#"procmail -t ./procmailrc <"$m""#,
            // After ten tries, a second apart, mutt 2.2.12 reports that it has the lock when it has
            // not, so it does not get that much time; and it may be ended just when it has it. But a
            // dotlock that nobody may read is that of the only mutt here.
            Program::Mutt => {
                r#"until timeout --foreground 4.5 mutt_dotlock mbox
                       [ -e mbox.lock ] && ! [ -r mbox.lock ]; do sleep 0.1; done &&
                   cat "$m" >>mbox && mutt_dotlock -u mbox"#
            }
            Program::Python => r#"python3 deliver.py mbox "$m""#,
            Program::Dovecot => {
                r#"/usr/lib/dovecot/dovecot-lda -c "$PWD/dovecot.conf" -f sender@example.org -p "$m""#
            }
        }
    }
}

/// How often dotlockfile was kept from removing a live dotlock of another.
pub(crate) fn kept_from_breaking(dir: &Path) -> u64 {
    fs::metadata(dir.join("polite.log")).map_or(0, |meta| meta.len())
}

/// Copies dotlockfile, since nothing is preloaded into a program that is setgid.
fn make_dotlockfile_polite(dir: &Path) {
    let Ok(original) = Command::new("sh").args(["-c", "command -v dotlockfile"]).output() else {
        return;
    };
    let original = String::from_utf8_lossy(&original.stdout);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exclusion/deliveries/polite.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut compile = Command::new(compiler);
    compile.args(["-shared", "-fPIC", "-O", "-Wall", "-Werror", "-o"]);
    compile.arg(dir.join("polite.so")).arg(source);
    if !original.is_empty() && compile.status().is_ok_and(|status| status.success()) {
        fs::copy(original.trim(), dir.join("dotlockfile")).unwrap();
        open_to_all(&dir.join("dotlockfile"), 0);
    }
}

/// Prepares the directory, as a user who may read where the tests were built.
pub(crate) fn prepare(dir: &Path) {
    let queue = dir.join("queue");
    fs::create_dir(&queue).unwrap();
    open_to_all(&queue, 0);
    fs::copy(example("deliver").get_program(), dir.join("deliver")).unwrap();
    make_dotlockfile_polite(dir);
    fs::write(dir.join("deliver.py"), include_str!("deliver.py")).unwrap();
    let dir = dir.to_str().unwrap();
    let procmailrc = format!(
        "DEFAULT={dir}/mbox\nORGMAIL=/nonexistent/mbox\nLOCKSLEEP=1\nLOGFILE={dir}/procmail.log\n\
         :0:\n{dir}/mbox\n"
    );
    fs::write(format!("{dir}/procmailrc"), procmailrc).unwrap();
    let dovecot = format!(
        "log_path = {dir}/dovecot.log\nmail_location = mbox:{dir}/dovecot:INBOX={dir}/mbox\n\
         mail_home = {dir}\nfirst_valid_uid = 1\nstats_writer_socket_path =\nssl = no\n"
    );
    fs::write(format!("{dir}/dovecot.conf"), dovecot).unwrap();
}

impl Peer {
    /// The program, if it is installed.
    pub(crate) fn find(program: Program, dir: &Path) -> Option<Peer> {
        if let Some(executable) = program.executable() {
            let mut find = Command::new("sh");
            find.current_dir(dir).args(["-c", "command -v \"$0\"", executable]);
            if !find.output().unwrap().status.success() {
                skip(TEST, &format!("no {executable} (of dotlockfile: or no C compiler)"));
                return None;
            }
        }
        // A worker reports to a file, which need not be read while it runs.
        let script = format!(
            "cd '{}' && HOME=$PWD && export HOME && for m; do if {}; then echo \"delivered $m\"; \
             else echo \"refused $m: $?\"; fi; done",
            dir.display(),
            program.delivery()
        );
        Some(Peer { program, script })
    }

    /// A worker that delivers these messages.
    pub(crate) fn command(&self, messages: &[PathBuf]) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.script, "deliver"]).args(messages);
        shell
    }

    /// Delivers one message, while no other program delivers.
    pub(crate) fn deliver_one(&self, dir: &Path, message: &Message) {
        let output = self.command(&[message.file(dir)]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.starts_with("delivered"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
