//! `pullcred completions` and `pullcred man`: what a shell and a reader know of the command line, made from its types.

use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Exit, Failure, Streams};

/// The folder for manual pages cannot be written to.
#[derive(Debug, thiserror::Error)]
#[error("cannot write manual pages to {}: {source}", folder.display())]
struct ManError {
    folder: PathBuf,
    source: std::io::Error,
}

/// Writes the completions of `command` for `shell` to standard output.
///
/// # Errors
///
/// [`Failure`] where the output cannot be written.
pub fn completions(
    mut command: Command,
    shell: Shell,
    streams: &mut Streams<'_>,
) -> Result<Exit, Failure> {
    let name = command.get_name().to_owned();
    // Not straight to standard output: the generator panics where that is closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    streams.stdout.write_all(&script)?;
    Ok(Exit::Fine)
}

/// Writes the manual pages of `command`: all of them into `folder`, or the first one to standard output.
///
/// # Errors
///
/// [`Failure`] where the folder or the output cannot be written.
pub fn man(
    command: Command,
    folder: Option<&Path>,
    streams: &mut Streams<'_>,
) -> Result<Exit, Failure> {
    match folder {
        Some(folder) => {
            let error = |source| Failure::trouble(ManError { folder: folder.to_owned(), source });
            std::fs::create_dir_all(folder).map_err(error)?;
            clap_mangen::generate_to(command, folder).map_err(error)?;
        }
        // As the one in a folder is: there is no page on `help`.
        None => Man::new(command.disable_help_subcommand(true)).render(streams.stdout)?,
    }
    Ok(Exit::Fine)
}
