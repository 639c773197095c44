//! What the code under test logs, for tests that look into it.
//!
//! One subscriber serves the whole process, and is there before anything is logged. With one for each test, a place in the
//! code that another thread reaches first could count as never to be logged. A test runs on one thread, so its lines are
//! those of its thread.

use std::{cell::RefCell, io::Write, sync::OnceLock};

use tracing::{
    Event, Level, Metadata, Subscriber, level_filters::LevelFilter, span, subscriber::Interest,
};

thread_local! {
    /// The lines of this thread; `None` where nobody looks at them.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The log of the current thread from now on, at the lowest level.
pub(crate) struct Logged(());

/// Writes to the log of its thread.
struct ToThread;

/// Passes on what a thread logs whose log is looked at.
struct OfThread<S>(S);

// === impl Logged ===

impl Logged {
    pub(crate) fn start() -> Self {
        install();
        LINES.set(Some(Vec::new()));
        Self(())
    }

    /// What was logged so far.
    #[expect(clippy::unused_self, reason = "without it there is no log")]
    pub(crate) fn text(&self) -> String {
        LINES.with_borrow(|it| String::from_utf8(it.clone().unwrap()).unwrap())
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

/// Makes the subscriber. Whoever comes second waits until it is there.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let all = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(|| ToThread)
            .finish();
        tracing::subscriber::set_global_default(OfThread(all)).unwrap();
    });
}

impl Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|it| it.as_mut().map(|it| it.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<S: Subscriber> Subscriber for OfThread<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let _ = self.0.register_callsite(metadata);
        // Another thread may want what this one does not.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // A thread that ends has nothing to be looked at.
        let is_wanted = LINES.try_with(|it| it.try_borrow().is_ok_and(|it| it.is_some()));
        is_wanted.unwrap_or_default() && self.0.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, span: &span::Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: span::Id) -> bool {
        self.0.try_close(id)
    }
}
