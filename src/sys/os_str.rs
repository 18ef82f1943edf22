//! Names as the bytes that the system uses.

pub(crate) use std::os::unix::ffi::{OsStrExt, OsStringExt};
