//! What is mounted where, according to the system's mount table.

use std::path::Path;

/// The address of the server that the directory's file system is on, as its mount says (`addr=`).
pub(in crate::sys) fn server_of(dir: &Path) -> Option<String> {
    find(dir)?.server
}

/// The type, source and mount point of the file system that a directory is on: `fuse.sshfs from
/// host:/x on /mnt`.
pub(in crate::sys) fn describe(dir: &Path) -> Option<String> {
    let mount = find(dir)?;
    Some(format!("{} from {} on {}", mount.kind, mount.source, mount.point))
}

/// The type of the file system that a directory is on.
pub(super) fn kind(dir: &Path) -> Option<String> {
    Some(find(dir)?.kind)
}

fn find(dir: &Path) -> Option<Mounted> {
    let dir = std::fs::canonicalize(dir).ok()?;
    let table = std::fs::read("/proc/self/mountinfo").ok()?;
    let table = String::from_utf8_lossy(&table);
    let mounts = table.lines().filter_map(parse).filter(|mount| dir.starts_with(&mount.point));
    // Of two mounts at one place, the later hides the earlier.
    mounts.max_by_key(|mount| mount.point.len())
}

/// A line of /proc/self/mountinfo, see proc(5).
struct Mounted {
    point: String,
    kind: String,
    source: String,
    server: Option<String>,
}

fn parse(line: &str) -> Option<Mounted> {
    let (left, right) = line.split_once(" - ")?;
    let point = unescape(left.split(' ').nth(4)?);
    let mut right = right.split(' ');
    let (kind, source) = (right.next()?.to_owned(), unescape(right.next()?));
    let mut options = right.next().unwrap_or_default().split(',');
    let server = options.find_map(|option| option.strip_prefix("addr=")).map(str::to_owned);
    Some(Mounted { point, kind, source, server })
}

/// The table writes blanks and similar characters in octal.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_parsed() {
        let line =
            "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - nfs4 srv:/x rw,vers=4.2,soft";
        let mount = parse(line).unwrap();
        assert_eq!((&*mount.point, &*mount.kind, &*mount.source), ("/mnt/a b", "nfs4", "srv:/x"));
        assert_eq!(mount.server, None);
        let line = format!("{line},clientaddr=10.0.0.2,local_lock=none,addr=10.0.0.1");
        assert_eq!(parse(&line).unwrap().server.as_deref(), Some("10.0.0.1"));
        assert!(parse("nonsense").is_none());
        assert!(describe(Path::new("/proc/self")).unwrap().starts_with("proc from "));
    }
}
