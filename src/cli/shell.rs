//! `pullcred completions` and `pullcred man`

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `pullcred completions`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Bash, for this session and for all later ones:
    source <(pullcred completions bash)
    pullcred completions bash > ~/.local/share/bash-completion/completions/pullcred
  Zsh, where ~/.zfunc is in fpath:
    pullcred completions zsh > ~/.zfunc/_pullcred
  Fish:
    pullcred completions fish > ~/.config/fish/completions/pullcred.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `pullcred man`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  Read it:
    pullcred man | man -l -
  Install the pages of all commands:
    pullcred man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Write a page for each command into this folder, instead of the first page to standard output
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
