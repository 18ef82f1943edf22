//! Compares the messages in the mailbox with those that were acknowledged.

use std::collections::HashMap;

use super::figures::Figures;
use super::message::Message;
use super::workers::Workers;

/// What workers have reported about their messages.
#[derive(Debug, Default)]
pub(crate) struct DeliveryChecker {
    acknowledged: Vec<Message>,
    /// Not acknowledged by a writer that was killed.
    killed: Vec<Message>,
    /// Not delivered, as a program has reported: to be delivered again.
    refused: Vec<Message>,
    /// In how many rounds there were kills: each leaves one unfinished message at most.
    rounds_with_kills: usize,
}

/// An entry that the parser finds in a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Whole(String),
    /// A message that ends too early or has something else in it, with its id if it has one.
    Partial(Option<String>),
    /// The beginning of an envelope line, after a message that is whole but for that: procmail
    /// writes the first byte of a message by itself.
    Scrap,
}

impl DeliveryChecker {
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn acknowledge(&mut self, message: Message) {
        self.acknowledged.push(message);
    }

    /// Enters what workers have reported. All of them have ended.
    pub(crate) fn enter(&mut self, workers: &Workers, with_kills: bool) {
        for worker in &workers.workers {
            assert!(worker.has_ended && (with_kills || !worker.was_killed), "{worker:?}");
            for message in &worker.messages {
                if worker.has_delivered(message) {
                    self.acknowledged.push(message.clone());
                } else if worker.was_killed {
                    self.killed.push(message.clone());
                } else {
                    self.refused.push(message.clone());
                }
            }
        }
        self.rounds_with_kills += usize::from(with_kills);
    }

    /// Counts the messages of a mailbox, and lists what is wrong with it.
    pub(crate) fn check(self, mailbox: &[u8]) -> (Figures, Vec<String>) {
        let DeliveryChecker { acknowledged, killed, refused, rounds_with_kills } = self;
        let (mut complaints, mut scraps) = (Vec::new(), 0);
        let mut found: HashMap<String, (usize, usize)> = HashMap::new();
        for entry in parse(&String::from_utf8_lossy(mailbox)) {
            match entry {
                Entry::Whole(id) => found.entry(id).or_default().0 += 1,
                Entry::Partial(Some(id)) => found.entry(id).or_default().1 += 1,
                Entry::Scrap => scraps += 1,
                Entry::Partial(None) => complaints.push("a part of an unknown message".into()),
            }
        }
        for Message { id, .. } in &acknowledged {
            match found.remove(id).unwrap_or_default() {
                (1, 0) => {}
                (whole, partial) => {
                    complaints.push(format!("{id} is there {whole} times, and {partial} in part"));
                }
            }
        }
        let (mut whole_though_killed, mut all_partial) = (0, scraps);
        for Message { id, .. } in &killed {
            match found.remove(id).unwrap_or_default() {
                (whole, partial) if whole + partial <= 1 => {
                    whole_though_killed += whole;
                    all_partial += partial;
                }
                (whole, partial) => complaints.push(format!(
                    "{id}, whose writer was killed, is there {whole} times, and {partial} in part"
                )),
            }
        }
        if all_partial > rounds_with_kills {
            complaints.push(format!("{all_partial} are there in part"));
        }
        // All others were not acknowledged: a refused message must not be there.
        complaints
            .extend(found.into_keys().map(|id| format!("{id} was not delivered, but is there")));
        let figures = Figures {
            acknowledged: acknowledged.len(),
            refused: refused.len(),
            killed: killed.len(),
            whole_though_killed,
            partial: all_partial,
            ..Figures::default()
        };
        (figures, complaints)
    }
}

/// Takes a mailbox apart: a message begins with an envelope line, and ends where the next begins.
fn parse(mailbox: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut lines: Vec<&str> = Vec::new();
    for line in mailbox.lines().chain(["From the end"]) {
        if line.starts_with("From ") {
            if lines.iter().any(|line| !line.is_empty()) {
                entries.extend(parse_entry(&lines));
            }
            lines.clear();
        }
        lines.push(line);
    }
    entries
}

/// What is between two envelope lines, the first included.
fn parse_entry(lines: &[&str]) -> Vec<Entry> {
    let end = lines.iter().position(|line| line.is_empty()).unwrap_or(lines.len());
    let (header, body) = lines.split_at(end);
    let Some(message) = Message::parse(&header.join("\n")) else {
        return vec![Entry::Partial(None)];
    };
    let expected: Vec<_> = message.body().collect();
    let mut body: Vec<_> = body.iter().skip_while(|line| line.is_empty()).copied().collect();
    while body.last().is_some_and(|line| line.is_empty()) {
        body.pop();
    }
    let has_scrap = body.len() > expected.len() && "From ".starts_with(body[body.len() - 1]);
    if has_scrap {
        body.pop();
        while body.last().is_some_and(|line| line.is_empty()) {
            body.pop();
        }
    }
    let is_whole = body == expected && lines[0].starts_with("From ");
    match (is_whole, has_scrap) {
        (true, false) => vec![Entry::Whole(message.id)],
        (true, true) => vec![Entry::Whole(message.id), Entry::Scrap],
        (false, _) => vec![Entry::Partial(Some(message.id))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Message {
        Message::new(id.into(), 3)
    }

    fn complaints(mailbox: &str) -> Vec<String> {
        let acknowledged = vec![message("a"), message("b")];
        let (killed, refused) = (vec![message("k")], vec![message("r")]);
        let checker = DeliveryChecker { acknowledged, killed, refused, rounds_with_kills: 1 };
        checker.check(mailbox.as_bytes()).1
    }

    #[test]
    fn a_correct_mailbox_is_accepted() {
        let [a, b, k] = ["a", "b", "k"].map(|id| message(id).text());
        let half = &k[..k.len() - 25];
        for mailbox in [
            format!("{a}{b}"),
            format!("{b}{k}{a}"),
            format!("{a}{half}\n\n{b}"),
            format!("{a}F\n\n{b}"),
        ] {
            assert!(complaints(&mailbox).is_empty(), "{mailbox}: {:?}", complaints(&mailbox));
        }
    }

    #[test]
    fn every_fault_is_found() {
        let [a, b, k] = ["a", "b", "k"].map(|id| message(id).text());
        let half = |text: &str| text[..text.len() - 25].to_owned();
        let other = message("z").text();
        for (what, mailbox) in [
            ("one is lost", a.clone()),
            ("one is there twice", format!("{a}{b}{a}")),
            ("one is cut off", format!("{a}{}", half(&b))),
            ("one is written over the end of another", format!("{}{b}", half(&a))),
            ("one is swallowed by what a killed writer has left", format!("{a}{}{b}", half(&k))),
            ("one has a line of another", a.replacen("a line 2", "b line 2", 1) + &b),
            ("the killed writer's is there twice", format!("{a}{b}{k}{k}")),
            ("the killed writer's is there and in part", format!("{a}{k}{b}{}", half(&k))),
            ("a refused one is there", format!("{a}{b}{}", message("r").text())),
            ("two are there in part", format!("{a}F\n\n{b}{}", half(&k))),
            ("an unknown one is there", format!("{a}{b}{other}")),
            ("something is there before the first", format!("x\n{a}{b}")),
            ("something is there after the last", format!("{a}{b}x\n")),
            ("a part has no id", format!("{a}From x\nX: y\n\n{b}")),
        ] {
            assert!(!complaints(&mailbox).is_empty(), "{what}: {mailbox}");
        }
    }
}
