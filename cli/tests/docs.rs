//! The examples in docs/ do what the pages promise.
//!
//! A block of `sh` is run in a shell, and has to succeed; a block of `text` after it is its output,
//! with `...` for what differs. Each line of a `crontab` is run as cron would run it. Units are
//! verified by systemd's own checker, and the commands of units and of Kubernetes' `command` are
//! run. Only paths are moved to a directory of the test's own, with small programs for the jobs.

mod common;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A fenced block of a page.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    /// The rest of its first line: a file's name.
    name: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let (language, name) = info.split_once(' ').unwrap_or((info, ""));
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            let text = text.join("\n") + "\n";
            blocks.push(Block { language: language.into(), name: name.into(), text });
        }
    }
    assert!(!blocks.is_empty(), "{page} has no examples");
    blocks
}

/// A machine as the pages describe it: /shared, and programs in /usr/local/bin.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Machine {
        common::default_signals();
        let machine = Machine { dir: TempDir::new().unwrap() };
        fs::create_dir(machine.path("shared")).unwrap();
        fs::create_dir(machine.path("bin")).unwrap();
        let jobs = ["report", "backup", "rotate"].map(|job| (job, format!("echo {job}")));
        // Not every machine has sudo: here it does not change the user.
        for (job, script) in jobs.into_iter().chain([("sudo", "exec \"$@\"".to_owned())]) {
            let path = machine.path("bin").join(job);
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let program = env!("CARGO_BIN_EXE_linklock");
        std::os::unix::fs::symlink(program, machine.path("bin/linklock")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text with this machine's paths in it.
    fn place(&self, text: &str) -> String {
        let dir = self.dir.path().display();
        text.replace("/usr/local/bin", &format!("{dir}/bin"))
            .replace("/shared", &format!("{dir}/shared"))
    }

    /// The text with the pages' paths in it.
    fn displace(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace(self.dir.path().to_str().unwrap(), "")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).env("PATH", path);
        command.env_remove("LINKLOCK_HOST_NAME").output().unwrap()
    }

    fn sh(&self, script: &str) -> Output {
        self.run("sh", &["-c", &format!("set -eu\n{}", self.place(script))])
    }

    #[track_caller]
    fn assert_runs(&self, script: &str, shown: Option<&str>) {
        self.assert_shows(script, &self.sh(script), shown);
    }

    /// Each line, as cron would run it.
    #[track_caller]
    fn assert_crontab_runs(&self, table: &str) {
        for line in table.lines() {
            let command: Vec<_> = line.split_whitespace().skip(5).collect();
            assert!(command.len() > 3, "{line}");
            self.assert_runs(&line[line.find(command[0]).unwrap()..], None);
        }
    }

    /// A held lock's `status` prints all lines that the page shows, in this order, and perhaps
    /// more; values differ.
    #[track_caller]
    fn assert_status_shows(&self, shown: &str) {
        let (command, shown) = shown.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        let output = self.sh(&format!("linklock run /shared/report.lock -- {command}"));
        let printed = self.displace(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        let mut lines = printed.lines().map(label);
        for line in shown.lines() {
            assert!(lines.any(|printed| printed == label(line)), "{line:?} is not in\n{printed}");
        }
    }

    #[track_caller]
    fn assert_shows(&self, example: &str, output: &Output, shown: Option<&str>) {
        let (text, told) = (self.displace(&output.stdout), self.displace(&output.stderr));
        assert!(output.status.success(), "{}:\n{example}\n{text}{told}", output.status);
        // The pages' /shared is not in /tmp, unlike a test's directory.
        let warning = "linklock: warning: files in /tmp are removed";
        let told: Vec<_> = told.lines().filter(|line| !line.starts_with(warning)).collect();
        assert!(told.is_empty(), "{example}: {told:?}");
        if let Some(shown) = shown {
            assert!(is_like(&text, shown), "{example}\nprints\n{text}\nand not\n{shown}");
        }
    }
}

/// The beginning of a line of `status`: the path and state, or the name of the value.
fn label(line: &str) -> &str {
    match line.trim_start().split_once(':') {
        Some((label, _)) if line.starts_with("  ") => label,
        _ => line,
    }
}

/// Whether each line matches the page, where `...` stands for anything.
fn is_like(text: &str, shown: &str) -> bool {
    let is_so = |(line, shown): (&str, &str)| match shown.split_once("...") {
        Some((start, end)) => line.starts_with(start) && line.ends_with(end),
        None => line == shown,
    };
    text.lines().count() == shown.lines().count() && text.lines().zip(shown.lines()).all(is_so)
}

fn skipped(what: &str) {
    common::skip("the examples", &format!("there is no {what}"));
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.unwrap().status.success();
    if !found {
        skipped(program);
    }
    found
}

/// Runs all blocks of a page that shells run, and passes the others to `other`.
fn run_page(machine: &Machine, page: &str, mut other: impl FnMut(&Block, Option<&str>)) {
    let blocks = blocks(page);
    for (at, block) in blocks.iter().enumerate() {
        let next = blocks.get(at + 1).filter(|next| next.language == "text");
        let shown = next.map(|next| next.text.as_str());
        match block.language.as_str() {
            "sh" => machine.assert_runs(&block.text, shown),
            "text" => {}
            "crontab" => machine.assert_crontab_runs(&block.text),
            _ => other(block, shown),
        }
    }
    let left = fs::read_dir(machine.path("shared")).unwrap();
    let is_claim = |name: &std::ffi::OsString| name.to_string_lossy().contains('|');
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).filter(is_claim).collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new(), "{page}");
}

fn none(block: &Block, _: Option<&str>) {
    panic!("unknown block {block:?}");
}

#[test]
fn readme_of_the_command() {
    run_page(&Machine::new(), "../cli/README.md", none);
}

/// The commands under "Try it" build: CI runs them. `rust` is a doc test of the library.
#[test]
fn readme() {
    let machine = Machine::new();
    let mut ran = 0;
    for block in blocks("../README.md") {
        match block.language.as_str() {
            "crontab" => machine.assert_crontab_runs(&block.text),
            "console" => machine.assert_status_shows(&block.text),
            _ => continue,
        }
        ran += 1;
    }
    assert_eq!(ran, 2);
}

#[test]
fn cron() {
    run_page(&Machine::new(), "cron.md", none);
}

#[test]
fn scripts() {
    run_page(&Machine::new(), "scripts.md", none);
}

/// The script that runs itself again under its lock checks whether this very lock is held.
#[test]
fn under_another_lock_a_script_takes_its_own() {
    let machine = Machine::new();
    let blocks = blocks("scripts.md");
    let recipe = blocks.iter().find(|block| block.text.contains("LINKLOCK_PATH-")).unwrap();
    let (script, _) = recipe.text.split_once("./nightly").unwrap();
    let run = "sed -i 's/^echo/linklock status --json $LINKLOCK_PATH | grep state; echo/' nightly
        linklock run /shared/backup.lock -- ./nightly coffee";
    let shown = "  \"state\": \"held\",\nalone, with coffee\n";
    machine.assert_runs(&format!("{script}{run}"), Some(shown));
    // The path of its own lock.
    let run = "sed -i 's/^linklock.*; echo/echo $LINKLOCK_PATH; echo/' nightly
        linklock run /shared/backup.lock -- ./nightly coffee";
    machine.assert_runs(run, Some("/shared/report.lock\nalone, with coffee\n"));
}

#[test]
fn systemd() {
    let machine = Machine::new();
    let units = machine.path("units");
    fs::create_dir(&units).unwrap();
    let mut services = Vec::new();
    run_page(&machine, "systemd.md", |block, _| {
        assert_eq!(block.language, "ini");
        let unit = units.join(&block.name);
        fs::write(&unit, machine.place(&block.text)).unwrap();
        let start = block.text.lines().find_map(|line| line.strip_prefix("ExecStart="));
        services.extend(start.map(|start| (unit, start.to_owned())));
    });
    assert_eq!(services.len(), 2);
    for (_, start) in &services {
        machine.assert_runs(start, None);
    }
    if !has("systemd-analyze") {
        return;
    }
    let mut verify = vec!["verify", "--man=no"];
    let timer = units.join("report.timer");
    verify.extend(services.iter().map(|(unit, _)| unit.to_str().unwrap()));
    verify.push(timer.to_str().unwrap());
    let output = machine.run("systemd-analyze", &verify);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn containers() {
    let machine = Machine::new();
    if !Command::new("unshare").args(["--pid", "--fork", "true"]).status().unwrap().success() {
        return skipped("root, for a pid namespace");
    }
    let mut jobs = 0;
    run_page(&machine, "containers.md", |block, _| {
        assert_eq!(block.language, "yaml");
        let line = block.text.lines().find_map(|line| line.trim().strip_prefix("command: "));
        let command: Vec<String> = serde_json::from_str(&machine.place(line.unwrap())).unwrap();
        let arguments: Vec<_> = command[1..].iter().map(String::as_str).collect();
        let output = machine.run(&command[0], &arguments);
        machine.assert_shows(line.unwrap(), &output, Some("report"));
        jobs += 1;
    });
    assert_eq!(jobs, 1);
}

#[test]
fn migrating() {
    let machine = Machine::new();
    if !["flock", "lockfile", "dotlockfile"].iter().all(|program| has(program)) {
        return;
    }
    let mut programs = 0;
    run_page(&machine, "migrating.md", |block, shown| {
        assert_eq!(block.language, "python");
        programs += 1;
        let Some(python) = std::env::var_os("LINKLOCK_PYTHON") else {
            return skipped("LINKLOCK_PYTHON, a Python with flufl.lock");
        };
        let output = machine.run(python.to_str().unwrap(), &["-c", &machine.place(&block.text)]);
        machine.assert_shows(&block.text, &output, shown);
    });
    assert_eq!(programs, 1);
}

#[test]
fn all_pages_are_tried() {
    let dir = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")).unwrap();
    let mut pages: Vec<_> = dir.map(|entry| entry.unwrap().file_name()).collect();
    // Plots, figures and tables, not examples.
    let untried = [
        "bench",
        "evidence.md",
        "filesystems.md",
        "performance.md",
        "portability.md",
        "protocol.svg",
        "relukko.md",
        "scale.md",
        "several-servers.md",
    ];
    pages.retain(|name| !untried.map(OsString::from).contains(name));
    pages.sort();
    let tried = ["containers.md", "cron.md", "migrating.md", "scripts.md", "systemd.md"];
    assert_eq!(pages, tried, "a page needs a test here");
}
