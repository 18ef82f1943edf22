//! `linklock completions`: completion scripts for shells.

use clap::Command;
use clap_complete::Shell;

use crate::exit::Failure;
use crate::output;

/// Print a shell's completions for linklock
///
/// Put them where the shell looks for them:
///
///   linklock completions bash > ~/.local/share/bash-completion/completions/linklock
///   linklock completions zsh  > ~/.zfunc/_linklock    # a directory that is in fpath
///   linklock completions fish > ~/.config/fish/completions/linklock.fish
#[derive(clap::Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(args: &Args, mut linklock: Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut linklock, "linklock", &mut script);
    output::show(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
