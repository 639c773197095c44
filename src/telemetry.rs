//! Logs: on standard error, text on a terminal and JSON otherwise. A slow reader never delays a request.
//!
//! Rules: one line for each event, written where the event is handled. Fields that end in `_us` are microseconds. No line
//! has a body, a Secret or a token. Text from outside is shortened where it is logged.

use std::{
    backtrace::Backtrace,
    io::{self, IsTerminal, Write},
    panic,
};

use clap::ValueEnum;
use tracing::error;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

use crate::supervise::Guard;

/// How many lines may wait for a slow reader before further ones are dropped and counted. With [`LINE_MAX`], at most 4 MiB.
const BUFFERED_LINES: usize = 2048;
/// The longest line, in bytes; longer ones are cut. The line of an admission has at most 1.6 KiB if its names need no escapes.
const LINE_MAX: usize = 2048;
/// The end of a line that was cut.
const CUT: &[u8] = "…\n".as_bytes();

/// Never logged, whatever the filter says: kube's client logs whole answers that it cannot decode, and kube's watcher logs
/// errors that quote them. Such an answer may be a Secret. The callers log these errors without the content.
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

/// Keeps the log writer alive. Dropping it flushes the buffered lines.
#[must_use]
pub struct Telemetry {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

/// Cuts lines at [`LINE_MAX`]. The subscriber writes each line in one call.
struct CutLines(NonBlocking);

/// The output of the log thread, dropped when that thread ends.
struct Sink {
    stderr: io::Stderr,
    _running: Guard,
}

/// The filter cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error(
    "--log {filter:?} is not a filter; write a level, such as info, or levels by module, such as info,pullcred::webhook=debug"
)]
pub struct FilterError {
    filter: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Installs the process's logger. The thread that writes the log owns `running`.
///
/// # Errors
///
/// [`FilterError`] if the filter cannot be parsed.
pub fn init(filter: &str, format: LogFormat, running: Guard) -> Result<Telemetry, FilterError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    let silenced = SILENCED.iter().filter_map(|directive| directive.parse().ok());
    let levels = silenced.fold(parsed, EnvFilter::add_directive);
    // An output that blocks (a full pipe, a stuck terminal) must not block admissions: lines are dropped instead.
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(BUFFERED_LINES)
        .thread_name("log")
        .finish(Sink { stderr: io::stderr(), _running: running });
    let dropped = writer.error_counter();
    install(levels, format, move || CutLines(writer.clone()));
    panic::set_hook(Box::new(log_panic));
    Ok(Telemetry { _writer: guard, dropped })
}

/// Logs the location of a panic, and our innermost function, since the location may be in a library. The message is not
/// logged: it may quote data, such as the text of a Pod.
fn log_panic(panic: &panic::PanicHookInfo<'_>) {
    let backtrace = Backtrace::force_capture().to_string();
    let (file, line) = panic.location().map_or(("", 0), |place| (place.file(), place.line()));
    let function = our_innermost(&backtrace).unwrap_or("unknown");
    error!(file, line, function, "panic: this is a bug");
}

/// The innermost function of this crate or its core in a backtrace, except those of this module.
fn our_innermost(backtrace: &str) -> Option<&str> {
    let frames = backtrace.lines().filter_map(|line| line.trim_start().split_once(": "));
    let functions = frames.filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
    functions.map(|(_, function)| function.trim()).find(|function| {
        let path = function.trim_start_matches(['<', '&']);
        let ours = path.starts_with("pullcred::") || path.starts_with("pullcred_core::");
        ours && !path.starts_with(concat!(module_path!(), "::"))
    })
}

fn install<W>(filter: EnvFilter, format: LogFormat, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let terminal = io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(terminal);
    // `try_init` fails only if a logger is installed already, by a test: then that one is used.
    let _ = match format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Auto if terminal => builder.finish().try_init(),
        LogFormat::Auto | LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).finish().try_init()
        }
    };
}

// === impl Sink ===

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stderr.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}

// === impl Telemetry ===

impl Telemetry {
    /// Counts the lines that were dropped because the reader was too slow.
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

// === impl CutLines ===

impl Write for CutLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE_MAX {
            return self.0.write(line);
        }
        let text = String::from_utf8_lossy(&line[..LINE_MAX - CUT.len()]);
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        self.0.write_all(&[whole.as_bytes(), CUT].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let kept = Kept::default();
        let (writer, guard) = NonBlockingBuilder::default().finish(kept.clone());
        // Characters of three bytes, of which one stands where the line is cut.
        for shift in ["", "x", "xx"] {
            let line = format!("{shift}{}\n", "…".repeat(LINE_MAX));
            CutLines(writer.clone()).write_all(line.as_bytes()).unwrap();
        }
        CutLines(writer).write_all(b"short\n").unwrap();
        drop(guard);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[3]), (4, "short"));
        for line in &lines[..3] {
            assert!(line.ends_with('…') && line.len() > LINE_MAX - 8, "{}", line.len());
            assert!(line.len() < LINE_MAX, "{}", line.len());
        }
    }

    #[test]
    fn of_a_backtrace_the_innermost_function_of_ours_is_named() {
        let backtrace = "   0: pullcred::telemetry::log_panic\n             at ./src/telemetry.rs:90:21\n   \
            1: std::panicking::panic_with_hook\n   2: core::time::Duration::mul\n             at /rustc/x.rs:1:2\n   \
            3: <pullcred::controller::Times as core::ops::Mul>::mul\n   4: pullcred::main\n";
        let expected = "<pullcred::controller::Times as core::ops::Mul>::mul";
        assert_eq!(our_innermost(backtrace), Some(expected));
        assert_eq!(our_innermost("   0: std::thread::spawn\n"), None);
    }
}
