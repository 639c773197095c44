//! Logs: on standard error, text on a terminal and JSON otherwise. A slow reader never delays a request.
//!
//! Rules: one line for each event, written where the event is handled. Fields that end in `_us` are microseconds. No line
//! has a body, a Secret or a token. Text from outside is shortened where it is logged.

mod json;
mod lines;

use std::{
    backtrace::Backtrace,
    io::{self, IsTerminal, Write},
    panic,
    time::Duration,
};

use clap::ValueEnum;
use prometheus_client::metrics::counter::Counter;
use tracing::error;
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, time::SystemTime},
    util::SubscriberInitExt,
};

use self::{json::JsonLine, lines::Lines};
use crate::supervise::Guard;

/// How long the process waits for its last lines to be written when it ends, and how long a thread waits for the line of its
/// panic, after which the process may end at once.
const LAST_LINES: Duration = Duration::from_secs(1);
const PANIC_LINE: Duration = Duration::from_millis(100);
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

/// The log of the process. Dropping it writes the lines that wait.
#[must_use]
pub struct Telemetry {
    lines: Lines,
    dropped: Counter,
}

/// Cuts lines at [`LINE_MAX`]. The subscriber writes each line in one call.
struct CutLines<'l>(&'l Lines);

/// The output of the log thread, dropped when that thread ends.
struct Sink {
    stderr: io::Stderr,
    _running: Guard,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The filter cannot be parsed.
    #[error(
        "--log {filter:?} is not a filter; write a level, such as info, or levels by module, such as info,pullcred::webhook=debug"
    )]
    Filter {
        /// The filter.
        filter: String,
        /// Where it is wrong.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The operating system refuses a thread.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
}

/// Installs the process's logger. The thread that writes the log owns `running`.
///
/// # Errors
///
/// [`LogError`] if the filter cannot be parsed, or if there is no thread for the log.
pub fn init(filter: &str, format: LogFormat, running: Guard) -> Result<Telemetry, LogError> {
    let parsed = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
    let silenced = SILENCED.iter().filter_map(|directive| directive.parse().ok());
    let levels = silenced.fold(parsed, EnvFilter::add_directive);
    let dropped = Counter::default();
    let sink = Sink { stderr: io::stderr(), _running: running };
    let lines = Lines::start(sink, dropped.clone()).map_err(LogError::Thread)?;
    install(levels, format, lines.clone());
    let log = lines.clone();
    panic::set_hook(Box::new(move |panic| {
        log_panic(panic);
        log.flush(PANIC_LINE);
    }));
    Ok(Telemetry { lines, dropped })
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
        LogFormat::Auto | LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(|usual| JsonLine { usual, clock: SystemTime })
            .finish()
            .try_init(),
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
    pub fn dropped(&self) -> Counter {
        self.dropped.clone()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.lines.close(LAST_LINES);
    }
}

// === impl CutLines ===

impl<'l> MakeWriter<'l> for Lines {
    type Writer = CutLines<'l>;

    fn make_writer(&'l self) -> Self::Writer {
        CutLines(self)
    }
}

impl Write for CutLines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= LINE_MAX {
            self.0.push(line);
            return Ok(line.len());
        }
        let text = String::from_utf8_lossy(&line[..LINE_MAX - CUT.len()]);
        let whole = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        self.0.push(&[whole.as_bytes(), CUT].concat());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written to any of its clones.
    #[derive(Clone, Default)]
    pub(super) struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

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
        let lines = Lines::start(kept.clone(), Counter::default()).unwrap();
        // Characters of three bytes, of which one stands where the line is cut.
        for shift in ["", "x", "xx"] {
            let line = format!("{shift}{}\n", "…".repeat(LINE_MAX));
            CutLines(&lines).write_all(line.as_bytes()).unwrap();
        }
        CutLines(&lines).write_all(b"short\n").unwrap();
        lines.close(LAST_LINES);
        let text = kept.text();
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
