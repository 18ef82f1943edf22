//! The network that wake-up hints take: it delays datagrams for as long as the schedule likes, and may
//! lose, repeat and forge them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::model::hint::{Asker, Hint};

/// A datagram that is under way or has arrived.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    pub(super) content: Vec<u8>,
}

/// A datagram that no process has sent, by an attacker that sees all that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgery {
    /// An answer to the last question: it is the waiter's turn, and a stranger's after it.
    Turn,
    /// An answer to the last question: the holder renews its lease.
    Kept,
    /// The last question, asked by a stranger too.
    Question,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    /// What is under way.
    pub(super) datagrams: Vec<Datagram>,
    /// What has arrived at each socket, and the process that the socket belongs to.
    pub(super) sockets: BTreeMap<SocketAddrV4, (usize, Vec<Datagram>)>,
    /// The processes whose pause ends when a datagram arrives.
    pub(super) listening: BTreeSet<usize>,
    pub(super) last_port: u16,
    /// The last question that was asked, and its random number.
    last_question: Option<(Datagram, u64)>,
}

impl Network {
    /// The process that a datagram under way is for; that of another socket, if there is none.
    pub(super) fn receiver(&self, number: usize) -> usize {
        self.sockets.get(&self.datagrams[number].to).map_or(0, |(owner, _)| *owner)
    }

    pub(super) fn can_forge(&self) -> bool {
        self.last_question.is_some()
    }

    /// The pause of this process has ended.
    pub(super) fn ends_pause(&mut self, process: usize) {
        self.listening.remove(&process);
    }

    pub(super) fn send(&mut self, datagram: Datagram) {
        if let Some(Hint::Ask { cookie, .. }) = Hint::decode(&datagram.content) {
            self.last_question = Some((datagram.clone(), cookie));
        }
        self.datagrams.push(datagram);
    }

    pub(super) fn forge(&mut self, forgery: Forgery) {
        let Some((question, cookie)) = self.last_question.clone() else { return };
        let stranger = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 1);
        let next = vec![Asker { address: stranger, cookie: 0 }];
        let (after, period) = (Duration::ZERO, Duration::MAX);
        let hint = match forgery {
            Forgery::Turn => Hint::Turn { cookie, after, next },
            Forgery::Kept => Hint::Kept { cookie, period },
            Forgery::Question => {
                self.datagrams.push(Datagram { from: stranger, ..question });
                return;
            }
        };
        let (from, to) = (question.to, question.from);
        self.datagrams.push(Datagram { from, to, content: hint.encode() });
    }
}
