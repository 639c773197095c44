//! Logs: text on a terminal, JSON otherwise, on standard error, never in a request's way.
//!
//! Rules: one line where something happened, at the place where it is handled; times in microseconds in fields that
//! end in `_us`; never a body, a Secret or a token.

use std::{
    io::{self, IsTerminal},
    panic,
};

use clap::ValueEnum;
use tracing::error;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

/// How many lines may wait for a slow sink before further ones are dropped and counted.
const BUFFERED_LINES: usize = 8192;

/// Never logged, whatever the filter says: kube's client logs whole answers that it cannot decode, and kube's watcher errors
/// that quote them. One may be a Secret. What matters of them is logged by those who call.
const SILENCED: [&str; 2] = ["kube_client::client=off", "kube_runtime::watcher=off"];

/// The shape of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise
    #[default]
    Auto,
    /// One JSON object a line
    Json,
    /// One human-readable line each
    Text,
}

/// Keeps the writer of logs alive; dropped, it writes what is still buffered.
#[must_use]
pub struct Telemetry {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

/// The filter cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log {filter:?} is no filter; write a level, such as info, or levels by module, such as info,pullcred::webhook=debug"
)]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Installs the process's logger.
///
/// # Errors
///
/// [`FilterError`] where the filter cannot be read.
pub fn init(filter: &str, format: LogFormat) -> Result<Telemetry, FilterError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    let silenced = SILENCED.iter().filter_map(|directive| directive.parse().ok());
    let levels = silenced.fold(parsed, EnvFilter::add_directive);
    // A sink that blocks (a full pipe, a stuck terminal) must not stop admissions: lines are dropped instead.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(BUFFERED_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let dropped = writer.error_counter();
    install(levels, format, writer);
    panic::set_hook(Box::new(log_panic));
    Ok(Telemetry { _writer: guard, dropped })
}

/// A panic's message may quote what was being handled, such as the text of a Pod: only its place is told.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    if let Some(place) = panic.location() {
        error!(file = place.file(), line = place.line(), "panic: this is a bug");
    } else {
        error!("panic: this is a bug");
    }
}

fn install<W>(filter: EnvFilter, format: LogFormat, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let terminal = io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal);
    // `try_init` fails only where a logger is installed already, as a test may have done: that one serves as well.
    let _ = match format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Auto if terminal => builder.finish().try_init(),
        LogFormat::Auto | LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).finish().try_init()
        }
    };
}

// === impl Telemetry ===

impl Telemetry {
    /// Counts the lines that were dropped because the sink was too slow.
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}
