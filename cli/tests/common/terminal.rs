//! A terminal with a shell, as a user has it.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};

use super::until;

/// A terminal at which a test types.
pub struct Terminal {
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of the output has been searched.
    seen: usize,
    shell: Child,
}

impl Terminal {
    /// With an interactive bash that has job control.
    pub fn bash() -> Terminal {
        let mut terminal = Terminal::with("bash", &["--norc", "--noprofile", "-i"]);
        terminal.expect("$ ");
        terminal
    }

    /// With a program in place of the shell.
    pub fn with(program: &str, arguments: &[&str]) -> Terminal {
        super::default_signals();
        let size = Winsize { ws_row: 24, ws_col: 300, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut session = Command::new("setsid");
        session.args(["--ctty", program]).args(arguments);
        session.env("TERM", "vt100").env("PS1", "$ ").env_remove("NO_COLOR").env("HISTFILE", "");
        let shell = session.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop((terminal.slave, session));

        let keyboard = File::from(terminal.master);
        let mut screen = keyboard.try_clone().unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let show = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Ends with EIO once no process has the terminal any more.
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                show.lock().unwrap().extend(&bytes[..count]);
            }
        });
        Terminal { keyboard, shown, seen: 0, shell }
    }

    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it shows this text, after the text that was expected before. Returns what it has
    /// shown in between.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let mut found = None;
        let began = std::time::Instant::now();
        while found.is_none() && began.elapsed() < super::LIMIT {
            found = self.shown_since().find(text);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let Some(at) = found else {
            panic!("{text:?} was not shown, but {:?}", self.shown_since());
        };
        let between = self.shown_since()[..at].to_owned();
        self.seen += at + text.len();
        between
    }

    /// Types a text again and again until it shows another.
    pub fn type_until(&mut self, text: &str, shown: &str) {
        until(shown, || {
            self.type_in(text);
            std::thread::sleep(std::time::Duration::from_millis(50));
            self.shown_since().contains(shown)
        });
        self.expect(shown);
    }

    pub fn pid(&self) -> i32 {
        self.shell.id().try_into().unwrap()
    }

    /// The process group that has the terminal; 0 if none has.
    pub fn foreground(&self) -> i32 {
        nix::unistd::tcgetpgrp(&self.keyboard).map_or(0, nix::unistd::Pid::as_raw)
    }

    /// What it has shown after the text that was expected last.
    pub fn shown_since(&self) -> String {
        let shown = self.shown.lock().unwrap();
        String::from_utf8_lossy(&shown[self.seen..]).into_owned()
    }

    /// Leaves the shell.
    pub fn exit(mut self) {
        self.type_in("exit\n");
        until("the shell's end", || self.shell.try_wait().unwrap().is_some());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
