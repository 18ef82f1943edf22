//! `linklock serve` and the locks of servers in a build without network code: they report how to get it.

use std::ffi::OsString;

use crate::exit::{self, Failure};

/// Serve a directory's locks over HTTP: not in this build
///
/// This linklock was built without network code. `cargo install linklock-cli --features relukko`
/// and the Debian package include `linklock serve` and the locks of servers, by URL.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// The arguments of a linklock with network code
    #[arg(allow_hyphen_values = true, trailing_var_arg = true, hide = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn serve(args: &Args) -> Result<u8, Failure> {
    let _ = &args.arguments;
    Err(missing("serve"))
}

/// The error for a feature that is not in this build.
pub(crate) fn missing(what: &str) -> Failure {
    let why = format!(
        "{what} is not in this build: cargo install linklock-cli --features relukko builds it, or in \
         the repository cargo build -p linklock-cli --features relukko"
    );
    Failure::new(exit::USAGE, why)
}
