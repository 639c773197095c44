//! Where the nodes of a YAML document stand in its text.
//!
//! What a document *means* is read elsewhere; this knows only places, and so neither types nor merge keys.

use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

/// A node of a document.
#[derive(Debug)]
pub(super) struct Node {
    /// Its bytes in the text. A block collection starts at its first entry, and ends with its last, as a block scalar
    /// ends with its text.
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Kind {
    Alias,
    Mapping { style: StructureStyle, entries: Vec<Entry> },
    Scalar,
    Sequence { style: StructureStyle, entries: Vec<Node> },
}

/// A key of a mapping, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    /// The key's text; none where it is no scalar.
    pub(super) name: Option<String>,
    pub(super) key: Node,
    pub(super) value: Node,
}

/// The root node of the one document in `text`; none where it is empty.
///
/// # Errors
///
/// Where the text is not YAML.
pub(super) fn parse(text: &str) -> Result<Option<Node>, ScanError> {
    let options = granit_parser::options! { emit_comments: false };
    let mut events = Events { text, parser: Parser::new_from_str_with_options(text, options) };
    while let Some(event) = events.next()? {
        match event {
            (Event::StreamStart | Event::DocumentStart(..), _) => {}
            (Event::StreamEnd | Event::DocumentEnd, _) => break,
            (event, span) => return events.node(&event, span).map(Some),
        }
    }
    Ok(None)
}

struct Events<'t> {
    text: &'t str,
    parser: Parser<'t, granit_parser::StrInput<'t>>,
}

// === impl Events ===

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, ScanError> {
        let event = self.parser.next_event().transpose()?;
        Ok(event.map(|(event, span)| (event, bytes(span))))
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: &Event<'t>, span: Range<usize>) -> Result<Node, ScanError> {
        let kind = match event {
            Event::MappingStart(style, ..) => return self.mapping(*style, span),
            Event::SequenceStart(style, ..) => return self.sequence(*style, span),
            Event::Alias(_) => Kind::Alias,
            _ => Kind::Scalar,
        };
        let span = match event {
            // To the parser it goes on up to the next token.
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
                let written = self.text.get(span.clone()).unwrap_or_default().trim_end();
                span.start..span.start + written.len()
            }
            _ => span,
        };
        Ok(Node { span, kind })
    }

    fn mapping(&mut self, style: StructureStyle, start: Range<usize>) -> Result<Node, ScanError> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut end = start.end;
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                end = span.end;
                break;
            }
            let name = event.scalar().map(|(text, _)| text.to_owned());
            let key = self.node(&event, span)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(&event, span)?;
            entries.push(Entry { name, key, value });
        }
        if style == StructureStyle::Block {
            end = entries.last().map_or(start.end, |last| last.value.span.end);
        }
        Ok(Node { span: start.start..end, kind: Kind::Mapping { style, entries } })
    }

    fn sequence(&mut self, style: StructureStyle, start: Range<usize>) -> Result<Node, ScanError> {
        let mut entries: Vec<Node> = Vec::new();
        let mut end = start.end;
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                end = span.end;
                break;
            }
            entries.push(self.node(&event, span)?);
        }
        if style == StructureStyle::Block {
            end = entries.last().map_or(start.end, |last| last.span.end);
        }
        Ok(Node { span: start.start..end, kind: Kind::Sequence { style, entries } })
    }
}

fn bytes(span: Span) -> Range<usize> {
    // Known for every event that comes from text, as all of ours do.
    span.byte_range().unwrap_or_default()
}

// === impl Node ===

impl Node {
    /// The node at one step of a JSON Pointer below this one.
    pub(super) fn child(&self, token: &str) -> Option<&Self> {
        match &self.kind {
            Kind::Mapping { entries, .. } => {
                let entry = entries.iter().find(|entry| entry.name.as_deref() == Some(token));
                entry.map(|entry| &entry.value)
            }
            Kind::Sequence { entries, .. } => entries.get(token.parse::<usize>().ok()?),
            Kind::Alias | Kind::Scalar => None,
        }
    }
}
