//! What the command promises, one promise a test.

#[path = "../common/mod.rs"]
mod common;

mod admin;
mod cron;
mod doctor;
mod dvc;
mod errno;
mod events;
mod generated;
mod jobs;
mod limits;
mod log;
mod mailbox;
mod mounts;
mod run;
mod script;
mod shared;
mod signals;
mod slots;
mod status;
mod usage;
