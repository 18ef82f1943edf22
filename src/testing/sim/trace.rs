//! The readable record of a run.

use std::path::Path;

use super::server::{Answer, Request};

/// Describes a request. Names are shown without their directory.
pub(super) fn asked(request: &Request) -> String {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match request {
        Request::Lookup(path) => format!("looks up {}", name(path)),
        Request::GetAttr(handle) => format!("asks for the attributes of {handle}"),
        Request::Read(handle) => format!("reads {handle}"),
        Request::Create(path) => format!("creates {}", name(path)),
        Request::Write(handle, _) => format!("writes {handle}"),
        Request::SetMtime(handle, _) => format!("touches {handle}"),
        Request::SetAtime(handle) => format!("sets the atime of {handle}"),
        Request::Close(handle) => format!("closes {handle}"),
        Request::Link(handle, to) => format!("links {handle} to {}", name(to)),
        Request::Rename(from, to) => format!("renames {} to {}", name(from), name(to)),
        Request::Remove(path) => format!("removes {}", name(path)),
        Request::MakeDir(path) => format!("makes the directory {}", name(path)),
        Request::RemoveDir(path) => format!("removes the directory {}", name(path)),
        Request::CreateNew(path) => format!("creates {}, which must be new", name(path)),
        Request::TouchNow(handle) => format!("touches {handle} now"),
        Request::Lock(handle, _) => format!("locks {handle}"),
        Request::Unlock(_) => "unlocks what it has locked".into(),
        Request::TestLock(handle, _) => format!("asks who has locked {handle}"),
        Request::List(dir) => format!("lists the directory {}", name(dir)),
    }
}

/// One line of a trace.
pub(super) fn executed(request: &Request, answer: &Result<Answer, i32>) -> String {
    let asked = asked(request);
    match answer {
        Ok(Answer::Attr(handle, attr)) => format!("{asked}: {handle}, {} links", attr.nlink),
        Ok(_) => asked,
        Err(errno) => format!("{asked}: {}", std::io::Error::from_raw_os_error(*errno)),
    }
}
