//! The `linklock` command: see the library beside it, which has no interface but this.

use std::process::ExitCode;

fn main() -> ExitCode {
    linklock_cli::main()
}
