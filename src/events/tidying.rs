//! Events about files that are left behind, and removed.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::events::text::{plain, words};
use crate::model::context::Context;

/// Files that dead processes had left were removed.
pub(crate) fn swept(context: &Context, files: &[PathBuf]) {
    for file in files {
        event!(DEBUG swept_file "swept a file", context.lock_path(), file = plain(file));
    }
    if !files.is_empty() {
        event!(INFO swept "swept what the dead had left", context.lock_path(), files = files.len());
    }
}

/// Files that dead processes have left could not be swept, and remain for a later sweep.
pub(crate) fn not_swept(context: &Context, error: &Error) {
    event!(WARN not_swept "what the dead have left could not be swept", context.lock_path(),
        error = words(error));
}

/// A file of ours could not be removed: a later sweep will remove it.
pub(crate) fn left_behind(context: &Context, file: &Path, error: &dyn Display) {
    event!(WARN left_behind "a file was left behind", context.lock_path(),
        file = plain(file), error = words(error));
}
