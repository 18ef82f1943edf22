//! The effect of a step on the world.

use std::time::Duration;

use super::constants::{REVOKED_AFTER, STALL};
use super::run::Run;
use super::server::{Answer, Request};
use super::step::{Loss, Step};
use super::trace;
use super::world::{Delegation, Issued, Waiting, World};

/// How far the server's clock jumps, in seconds.
const HOUR: i64 = 3600;

impl Run<'_> {
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Execute(id) => {
                self.last = id;
                self.execute(id);
            }
            Step::Resume(id) => {
                self.last = id;
                self.resume(id);
            }
            Step::ExecuteStray(number) => {
                let mut world = self.world();
                let (id, Issued { request, .. }) = world.strays.remove(number);
                world.note(id, || "what it has asked for goes on:".into());
                let _ = world.execute(id, &request);
            }
            Step::PassTime(until) => {
                let mut world = self.world();
                world.now = until;
                world.commit();
            }
            Step::Crash(id) | Step::CrashAsking(id) => {
                self.faults.crashes -= 1;
                self.crash(id, step == Step::CrashAsking(id));
            }
            Step::Stall(id) => {
                self.faults.stalls -= 1;
                let mut world = self.world();
                world.note(id, || "FAULT: stands still".into());
                world.processes[id].stalled_until = world.now + STALL;
            }
            Step::Reboot(client) => {
                self.faults.reboots -= 1;
                self.reboot(client);
            }
            Step::Repeat(id) => {
                self.faults.repeats -= 1;
                let mut world = self.world();
                if let Some(request) = asked_by(&world, id) {
                    world.note(id, || "FAULT: the reply is lost, it will ask again:".into());
                    let _ = world.execute(id, &request);
                }
            }
            Step::Restart => {
                self.faults.restarts -= 1;
                let mut world = self.world();
                world.note(self.last, || "FAULT: the server is restarted, all ask again".into());
                for state in &mut world.processes {
                    if let Waiting::Answer(issued, _) = &state.waiting {
                        state.waiting = Waiting::Execution(issued.clone());
                    }
                }
            }
            Step::Fail(id, errno, executed) => {
                self.faults.errors -= 1;
                self.fail(id, errno, executed);
            }
            Step::SetDate(client, seconds) => {
                self.faults.clock_steps -= 1;
                let mut world = self.world();
                world.note(self.last, || format!("FAULT: host{client} sets its date: {seconds} s"));
                world.clients[client].wall_error += seconds;
            }
            Step::SetServer(seconds) => {
                self.faults.server_steps -= 1;
                self.set_server(seconds);
            }
            Step::JumpServer => {
                self.faults.server_jumps -= 1;
                self.set_server(HOUR);
            }
            Step::HoldBack(id) => {
                self.faults.delegations -= 1;
                self.hold_back(id);
            }
            Step::Revoke(number) | Step::RevokeEarly(number) => self.revoke(number),
            Step::LateCopy(id) => {
                self.faults.late_copies -= 1;
                self.copy(id);
            }
            Step::LateRemoval(id) => {
                self.faults.late_removals -= 1;
                self.copy(id);
            }
            Step::LateWrite(id) => {
                self.faults.late_writes -= 1;
                self.copy(id);
            }
            Step::PowerCut(loss) => {
                self.faults.power_cuts -= 1;
                self.cut_power(loss);
            }
            Step::ListLeast(id) | Step::ListMost(id) => {
                self.faults.listings -= 1;
                self.list(id, step == Step::ListMost(id));
            }
            Step::Deliver(number) => self.world().deliver(number),
            Step::Lose(_) | Step::DeliverTwice(_) | Step::Forge(_) => self.disturb_network(step),
        }
    }

    /// A datagram is lost, delivered twice, or forged.
    fn disturb_network(&mut self, step: Step) {
        self.faults.hints -= 1;
        let mut world = self.world();
        world.note(self.last, || format!("FAULT: a wake-up hint: {step:?}"));
        match step {
            Step::Lose(number) => _ = world.network.datagrams.remove(number),
            Step::DeliverTwice(number) => {
                let datagram = world.network.datagrams[number].clone();
                world.network.datagrams.push(datagram);
                world.deliver(number);
            }
            Step::Forge(forgery) => world.network.forge(forgery),
            _ => {}
        }
    }

    /// Executes what this process has asked the server for.
    fn execute(&mut self, id: usize) {
        let mut world = self.world();
        if let Some(request) = asked_by(&world, id) {
            world.now += Duration::from_millis(1);
            let done = world.execute(id, &request);
            answer(&mut world, id, done);
        }
    }

    /// Answers with an error, whether the request is executed or not.
    pub(super) fn fail(&mut self, id: usize, errno: i32, executed: bool) {
        let mut world = self.world();
        let Some(request) = asked_by(&world, id) else { return };
        let errno_name = std::io::Error::from_raw_os_error(errno);
        world.note(id, || format!("FAULT: {errno_name}, executed: {executed}"));
        if executed {
            let _ = world.execute(id, &request);
        }
        answer(&mut world, id, Err(errno));
    }

    pub(super) fn set_server(&mut self, seconds: i64) {
        let mut world = self.world();
        world.note(self.last, || format!("FAULT: the server's clock is set: {seconds} s"));
        world.server.set_clock(seconds);
    }

    /// A dead client has a delegation of what this process is about to change.
    pub(super) fn hold_back(&mut self, id: usize) {
        let mut world = self.world();
        let Some(request) = asked_by(&world, id) else { return };
        let Some(handle) = world.can_be_delegated(id, &request) else { return };
        world.note(id, || {
            format!("FAULT: a dead client has a delegation of {handle}: {}", trace::asked(&request))
        });
        let until = world.now + REVOKED_AFTER;
        world.delegations.push(Delegation { handle, until });
    }

    pub(super) fn revoke(&mut self, number: usize) {
        let mut world = self.world();
        let handle = world.delegations[number].handle;
        world.note(self.last, || format!("FAULT: the delegation of {handle} is revoked"));
        world.revoke(number);
    }

    /// A copy of a request that was executed and answered is still under way.
    fn copy(&mut self, id: usize) {
        let mut world = self.world();
        if let Waiting::Answer(issued, _) = &world.processes[id].waiting {
            let issued = issued.clone();
            world.note(id, || "FAULT: a copy of its request is still under way".into());
            world.strays.push((id, issued));
        }
    }

    /// Contents are lost and, where there is no other machine, all processes die.
    fn cut_power(&mut self, loss: Loss) {
        let mut world = self.world();
        world.note(self.last, || format!("FAULT: the server's power is cut: {loss:?}"));
        if loss.names {
            if let Some((_, kept)) = &world.journal {
                world.server = kept.clone();
            }
        }
        let now = world.now;
        world.server.lose_contents(loss.to_nuls, now);
        let (is_local, clients) = (world.safety.rules.local, self.scenario.clients.len());
        drop(world);
        if is_local {
            (0..clients).for_each(|client| self.reboot(client));
        }
    }

    /// Answers with a listing that has all of the names that came or went while it ran, or none.
    fn list(&mut self, id: usize, has_all: bool) {
        let mut world = self.world();
        let Waiting::Execution(Issued { request, listed, .. }) =
            world.processes[id].waiting.clone()
        else {
            return;
        };
        let Ok(Answer::Names(mut names)) = world.execute(id, &request) else { return };
        if has_all {
            names.extend(listed);
            names.sort();
            names.dedup();
        } else {
            names.retain(|name| listed.contains(name));
        }
        world.note(id, || format!("FAULT: it is shown {names:?}"));
        answer(&mut world, id, Ok(Answer::Names(names)));
    }
}

fn asked_by(world: &World, id: usize) -> Option<Request> {
    match &world.processes[id].waiting {
        Waiting::Execution(issued) => Some(issued.request.clone()),
        _ => None,
    }
}

fn answer(world: &mut World, id: usize, answer: Result<Answer, i32>) {
    let waiting = &mut world.processes[id].waiting;
    if let Waiting::Execution(issued) = waiting {
        *waiting = Waiting::Answer(issued.clone(), answer);
    }
}
