//! Names as the bytes that the system knows them by.

pub(crate) use std::os::unix::ffi::{OsStrExt, OsStringExt};
