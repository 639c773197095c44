//! `pullcred status`: logins, copies, expiry, health and Pods at a glance, from reports alone.
//!
//! | module | what it does |
//! |---|---|
//! | `read` | reads the reports of a cluster, page by page, or of manifests |
//! | `summary` | what all of them say together; every output is made from it, and JSON is it |
//! | `logins`, `namespaces` | what one report says in short, and how bad that is |
//! | `worst` | keeps the worst of many, so that memory does not grow with the cluster |
//! | `next` | what to do |
//! | `moments` | times for people |
//! | `text`, `html` | the outputs |

mod html;
mod logins;
mod moments;
mod namespaces;
mod next;
mod read;
mod summary;
mod text;
mod worst;

use std::time::SystemTime;

use clap::ValueEnum;
use k8s_openapi::jiff::Timestamp;

use super::{Exit, Failure, FileOrLive, Streams, paint::Paint};
use crate::cluster::ClusterOptions;

/// What to look at, and how to show it.
#[derive(Debug)]
pub struct Options {
    /// Where the reports are.
    pub reports: FileOrLive,
    /// The cluster, where they are in one.
    pub cluster: ClusterOptions,
    /// The one namespace to look at; without it, all.
    pub namespace: Option<String>,
    /// The namespace that pullcred is installed in; without it, that of the webhook's Service.
    pub installed_in: Option<String>,
    /// How to show it.
    pub output: Output,
}

/// How the status is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people, with colours on a terminal
    #[default]
    Text,
    /// One JSON object
    Json,
    /// One page that needs no other file
    Html,
}

/// What is around a run.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    /// Now.
    pub now: SystemTime,
    /// How many columns a line of standard output has.
    pub width: usize,
    /// How a person calls the command line: `pullcred` or `kubectl pullcred`.
    pub program: &'static str,
}

/// Runs the command.
///
/// # Errors
///
/// [`Failure`] where the reports cannot be read, or the output cannot be written.
pub fn run(
    options: &Options,
    Around { now, width, program }: Around,
    streams: &mut Streams<'_>,
) -> Result<Exit, Failure> {
    let now = Timestamp::try_from(now).map_err(Failure::trouble)?;
    let summary = read::summary(options, (now, program), streams.stdin)?;
    let out = &mut *streams.stdout;
    match options.output {
        Output::Text => text::write(&summary, Paint(streams.colour), width, out)?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &summary).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Output::Html => html::write(&summary, out)?,
    }
    out.flush()?;
    Ok(if summary.level.is_finding() { Exit::Findings } else { Exit::Fine })
}
