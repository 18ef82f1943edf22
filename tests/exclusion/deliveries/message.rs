//! Messages that show whether they are whole.

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    lines: usize,
}

impl Message {
    pub(crate) fn new(id: String, lines: usize) -> Message {
        Message { id, lines }
    }

    /// Many are small; some take more than one write to append.
    pub(crate) fn numbered(round: usize, worker: usize, number: usize) -> Message {
        let lines = if (round + worker + number) % 7 == 0 { 4_000 } else { 3 + number * 5 };
        Message::new(format!("m{round}-{worker}-{number}"), lines)
    }

    /// The lines of its body.
    pub(crate) fn body(&self) -> impl Iterator<Item = String> {
        let lines =
            (1..=self.lines).map(|line| format!("{} line {line} of {}", self.id, self.lines));
        lines.chain([format!("end of {}", self.id)])
    }

    pub(crate) fn text(&self) -> String {
        let id = &self.id;
        let mut text = format!(
            "From sender@example.org Thu Jan  1 00:00:00 1970\nSubject: {id}\nX-Linklock: {id} {}\n\n",
            self.lines
        );
        for line in self.body() {
            text.push_str(&line);
            text.push('\n');
        }
        text.push('\n');
        text
    }

    /// The message that a header describes, if it is the header of one.
    pub(crate) fn parse(header: &str) -> Option<Message> {
        let all = |name| header.lines().filter_map(move |line| line.strip_prefix(name));
        let (mut fields, mut subjects) = (all("X-Linklock: "), all("Subject: "));
        let (id, lines) = fields.next()?.split_once(' ')?;
        if subjects.next() != Some(id) || subjects.next().or(fields.next()).is_some() {
            return None;
        }
        Some(Message::new(id.into(), lines.parse().ok()?))
    }

    /// A file with the message, for a program to read.
    pub(crate) fn file(&self, dir: &Path) -> PathBuf {
        let path = dir.join("queue").join(&self.id);
        fs::write(&path, self.text()).unwrap();
        path
    }
}
