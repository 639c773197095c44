//! A log line as one JSON object: what the JSON format of `tracing_subscriber` writes, byte for byte, for less.
//!
//! That format makes a serializer for each value and checks each piece of text for being UTF-8, and it makes the time a text
//! of its own. Here fields go straight into the line.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
        time::FormatTime,
    },
    registry::LookupSpan,
};

/// The JSON format of log lines.
pub(super) struct JsonLine<T> {
    /// The format of the crate, for lines that need more.
    pub(super) usual: Format<Json, T>,
    pub(super) clock: T,
}

/// Writes fields, each after a comma.
struct Fields<'w, 'l> {
    line: &'w mut Writer<'l>,
    result: fmt::Result,
}

/// Writes text as a part of a JSON string.
struct Escaped<'w, 'l>(&'w mut Writer<'l>);

// === impl JsonLine ===

impl<S, N, T> FormatEvent<S, N> for JsonLine<T>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    T: FormatTime,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        // Lines of a span also have its fields, and those of the crate `log` have their target among their fields.
        let in_span = event.parent().is_some() || context.lookup_current().is_some();
        if in_span || metadata.target() == "log" {
            return self.usual.format_event(context, line, event);
        }
        line.write_str(r#"{"timestamp":""#)?;
        self.clock.format_time(&mut line)?;
        line.write_str(match *metadata.level() {
            Level::ERROR => r#"","level":"ERROR""#,
            Level::WARN => r#"","level":"WARN""#,
            Level::INFO => r#"","level":"INFO""#,
            Level::DEBUG => r#"","level":"DEBUG""#,
            Level::TRACE => r#"","level":"TRACE""#,
        })?;
        let mut fields = Fields { line: &mut line, result: Ok(()) };
        event.record(&mut fields);
        fields.result?;
        line.write_str(r#","target":""#)?;
        Escaped(&mut line).write_str(metadata.target())?;
        line.write_str("\"}\n")
    }
}

// === impl Fields ===

impl Fields<'_, '_> {
    fn field(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.name(field.name()).and_then(|()| value(self.line));
        }
    }

    fn name(&mut self, name: &str) -> fmt::Result {
        self.line.write_str(",\"")?;
        Escaped(self.line).write_str(name)?;
        self.line.write_str("\":")
    }

    fn text(&mut self, field: &Field, text: impl FnOnce(&mut Escaped<'_, '_>) -> fmt::Result) {
        self.field(field, |line| {
            line.write_char('"')?;
            text(&mut Escaped(line))?;
            line.write_char('"')
        });
    }
}

impl Visit for Fields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |line| line.write_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, |line| write!(line, "{value:?}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, |line| line.write_str(if value { "true" } else { "false" }));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = serde_json::to_string(&value).map_err(|_| fmt::Error);
        self.field(field, |line| line.write_str(&text?));
    }
}

// === impl Escaped ===

impl Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Without a way out of the loop, it takes many bytes at a time.
        let is_special = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        if !text.bytes().fold(false, |found, byte| found | is_special(byte)) {
            return self.0.write_str(text);
        }
        let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        self.0.write_str(&quoted[1..quoted.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, io};

    use tracing::{Dispatch, debug, dispatcher::with_default, error, info, info_span, trace, warn};
    use tracing_subscriber::fmt::SubscriberBuilder;

    use super::{super::tests::Kept, *};

    #[derive(Clone, Copy)]
    struct Noon;

    impl FormatTime for Noon {
        fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
            line.write_str("2026-11-26T12:00:00.000001Z")
        }
    }

    /// What is logged by `log`, in the format of the crate and in ours.
    fn logged(log: impl Fn()) -> [String; 2] {
        [false, true].map(|ours| {
            let kept = Kept::default();
            let writer = kept.clone();
            let builder = SubscriberBuilder::default()
                .with_max_level(Level::TRACE)
                .with_writer(move || writer.clone())
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_timer(Noon);
            let dispatch: Dispatch = if ours {
                builder.map_event_format(|usual| JsonLine { usual, clock: Noon }).finish().into()
            } else {
                builder.finish().into()
            };
            with_default(&dispatch, &log);
            kept.text()
        })
    }

    #[test]
    fn a_line_is_what_the_crates_format_writes() {
        let error = io::Error::other("no \"good\"\n");
        let texts: Vec<String> = (0..=0xff).map(|code| format!("<{}>", char::from(code))).collect();
        let [expected, ours] = logged(|| {
            for text in texts.iter().map(String::as_str).chain(["", "\\\"", "数 \u{2028} 🦀"]) {
                info!(text, shown = %text, debugged = ?text, "about {text}");
            }
            warn!(
                a = 1_u64,
                b = -1_i64,
                c = u128::MAX,
                d = i128::MIN,
                e = 7_u8,
                f = true,
                "numbers"
            );
            for number in [0.0, -0.0, 1.5, 1e300, f64::MIN_POSITIVE, f64::NAN, f64::INFINITY] {
                debug!(number, "a fraction");
            }
            error!(error = &error as &(dyn Error + 'static), bytes = &b"\x00\xff"[..], "an error");
            error!(%error, some = Some("x"), none = None::<&str>, empty = tracing::field::Empty);
            trace!(target: "a::target", { r#type = "raw", "dotted.name" = 1, "na\"me" = 2 }, "names");
            info!(target: "log", { "log.target" = "rustls" }, "as the crate `log` brings it");
            let span = info_span!("outer", key = "value");
            info!(parent: &span, "a child");
            let _entered = span.entered();
            info!(x = 1, "within");
        });
        assert_eq!(ours.lines().count(), texts.len() + 17);
        for (ours, expected) in ours.lines().zip(expected.lines()) {
            assert_eq!(ours, expected);
        }
        assert_eq!(ours, expected);
    }

    #[test]
    fn the_line_of_an_admission_is_as_it_ever_was() {
        let [_, line] = logged(|| {
            info!(
                target: "pullcred::webhook::admission",
                uid = "42",
                namespace = "shop",
                pod = "web-",
                owner = Some("ReplicaSet/web".to_owned()),
                secrets = "aliyun,ghcr",
                dry_run = false,
                duration_us = 25_u64,
                "pull secrets added",
            );
        });
        let expected = concat!(
            r#"{"timestamp":"2026-11-26T12:00:00.000001Z","level":"INFO","message":"pull secrets added","uid":"42","#,
            r#""namespace":"shop","pod":"web-","owner":"ReplicaSet/web","secrets":"aliyun,ghcr","dry_run":false,"#,
            r#""duration_us":25,"target":"pullcred::webhook::admission"}"#,
            "\n",
        );
        assert_eq!(line, expected);
    }
}
