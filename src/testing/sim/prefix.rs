//! Plays the prefix of a scenario, before the schedule takes over.

use crate::sys::errno;
use std::time::Duration;

use super::constants::STEPS;
use super::run::Run;
use super::scenario::Act;
use super::step::Step;
use super::trace;
use super::world::Waiting;

impl Run<'_> {
    pub(super) fn play_prefix(&mut self) -> Option<String> {
        let scenario = self.scenario;
        for act in &scenario.prefix {
            match *act {
                Act::Before(name, verb, what) => {
                    self.go_on_alone(name, |waiting| match waiting {
                        Waiting::Execution(issued) => {
                            is_about(&trace::asked(&issued.request), verb, what)
                        }
                        _ => false,
                    });
                }
                Act::After(name, verb, what) => {
                    self.go_on_alone(name, |waiting| match waiting {
                        Waiting::Answer(issued, _) => {
                            is_about(&trace::asked(&issued.request), verb, what)
                        }
                        _ => false,
                    });
                }
                Act::Park(name) => {
                    let now = self.world().now;
                    self.go_on_alone(name, |it| matches!(it, Waiting::Time(until) if *until > now));
                }
                Act::Ends(name) => self.go_on_alone(name, |waiting| {
                    matches!(waiting, Waiting::Ended | Waiting::Crashed)
                }),
                Act::Fails(name) => self.fail(self.named(name), errno::EIO, false),
                Act::LosesContents => {
                    let now = self.world().now;
                    self.world().server.lose_contents(false, now);
                }
                Act::SetsServer(seconds) => self.set_server(seconds),
                Act::Seconds(seconds) => self.world().now += Duration::from_secs(seconds),
            }
        }
        self.world().safety.violation()
    }

    fn named(&self, name: &str) -> usize {
        self.world().named(name)
    }

    /// Resumes one process, and no other, until `is_far_enough` holds for what it waits for.
    fn go_on_alone(&mut self, name: &str, is_far_enough: impl Fn(&Waiting) -> bool) {
        let id = self.named(name);
        for _ in 0..STEPS {
            let waiting = self.world().processes[id].waiting.clone();
            if is_far_enough(&waiting) {
                return;
            }
            match waiting {
                Waiting::Execution(_) => self.take(Step::Execute(id)),
                Waiting::Answer(..) | Waiting::Mutex(_) => self.take(Step::Resume(id)),
                Waiting::Time(until) => {
                    let now = self.world().now;
                    self.world().now = until.max(now);
                    self.take(Step::Resume(id));
                }
                Waiting::Ended | Waiting::Crashed => break,
            }
        }
        let trace = self.world().trace.take().unwrap_or_default().join("\n");
        panic!("{trace}\n{name} never gets that far");
    }
}

/// Whether a line of a trace begins with this verb and mentions `what`. All names contain an L; an
/// L alone is the lock file.
fn is_about(asked: &str, verb: &str, what: &str) -> bool {
    asked.starts_with(verb)
        && if what == "L" { asked.ends_with(" L") } else { asked.contains(what) }
}
