//! The `linklock` command: a wrapper around this crate's library, which has no other interface.

use std::process::ExitCode;

fn main() -> ExitCode {
    linklock_cli::main()
}
