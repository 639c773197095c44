//! Where the nodes of a YAML document stand in its text.
//!
//! What a document *means* is read elsewhere. This knows places, which place an alias or a merge key leads to, and
//! which keys are written twice.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    rc::Rc,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};
use json_patch::jsonptr::Pointer;

/// The key whose value gives a mapping further members (YAML 1.1, <https://yaml.org/type/merge.html>).
const MERGE: &str = "<<";

/// A node of a document.
#[derive(Debug)]
pub(in crate::commands) struct Node {
    /// Its bytes in the text, without anchor and tag. A block mapping starts at its first key, a block sequence at its
    /// first dash or entry. Both end with their last entry, as a block scalar ends with its text.
    pub(in crate::commands) span: Range<usize>,
    pub(in crate::commands) kind: Kind,
}

/// What a node is.
#[derive(Debug)]
pub(in crate::commands) enum Kind {
    /// The node of the anchor; none where the alias is within it.
    Alias(Option<Rc<Node>>),
    Mapping {
        style: StructureStyle,
        entries: Vec<Entry>,
    },
    Scalar,
    Sequence {
        style: StructureStyle,
        entries: Vec<Rc<Node>>,
    },
}

/// A key of a mapping, and its value.
#[derive(Debug)]
pub(in crate::commands) struct Entry {
    /// The key's text; none where it is no scalar.
    pub(in crate::commands) name: Option<String>,
    pub(in crate::commands) key: Rc<Node>,
    pub(in crate::commands) value: Rc<Node>,
}

/// The root node of the one document in `text`; none where it is empty.
///
/// # Errors
///
/// Where the text is not YAML.
pub(in crate::commands) fn parse(text: &str) -> Result<Option<Rc<Node>>, ScanError> {
    let options = granit_parser::options! { emit_comments: false };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut events = Events { text, parser, anchors: HashMap::new() };
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
    anchors: HashMap<usize, Rc<Node>>,
}

// === impl Events ===

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Range<usize>)>, ScanError> {
        let event = self.parser.next_event().transpose()?;
        Ok(event.map(|(event, span)| (event, bytes(span))))
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: &Event<'t>, span: Range<usize>) -> Result<Rc<Node>, ScanError> {
        let (anchor, node) = match event {
            Event::MappingStart(style, anchor, _) => (*anchor, self.mapping(*style, span)?),
            Event::SequenceStart(style, anchor, _) => (*anchor, self.sequence(*style, span)?),
            Event::Alias(id) => {
                (0, Node { span, kind: Kind::Alias(self.anchors.get(id).cloned()) })
            }
            // To the parser it goes on up to the next token.
            Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, anchor, _) => {
                let written = self.text.get(span.clone()).unwrap_or_default().trim_end();
                let span = span.start..span.start + written.len();
                (*anchor, Node { span, kind: Kind::Scalar })
            }
            Event::Scalar(_, _, anchor, _) => (*anchor, Node { span, kind: Kind::Scalar }),
            _ => (0, Node { span, kind: Kind::Scalar }),
        };
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
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
            let Some((event, mut span)) = self.next()? else { break };
            if span.is_empty() && event.scalar().is_some() {
                // Where nothing is written, the parser places the value before the colon.
                let place = behind_colon(self.text, key.span.end).unwrap_or(span.start);
                span = place..place;
            }
            let value = self.node(&event, span)?;
            entries.push(Entry { name, key, value });
        }
        if style == StructureStyle::Block {
            end = entries.last().map_or(start.end, |last| last.value.span.end);
        }
        Ok(Node { span: start.start..end, kind: Kind::Mapping { style, entries } })
    }

    fn sequence(&mut self, style: StructureStyle, start: Range<usize>) -> Result<Node, ScanError> {
        let mut entries: Vec<Rc<Node>> = Vec::new();
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

/// The place behind the colon that follows a key that ends at `end`.
pub(in crate::commands) fn behind_colon(text: &str, end: usize) -> Option<usize> {
    let rest = text.get(end..)?.trim_start_matches([' ', '\t']);
    rest.starts_with(':').then(|| text.len() - rest.len() + 1)
}

// === impl Node ===

impl Node {
    /// The node itself, or that of the anchor where it is an alias.
    pub(in crate::commands) fn target(&self) -> Option<&Self> {
        match &self.kind {
            Kind::Alias(target) => target.as_deref(),
            _ => Some(self),
        }
    }

    /// The node at one step of a JSON Pointer below this one, through aliases and merge keys. Of a key that is written
    /// twice the last one counts.
    pub(in crate::commands) fn child(&self, token: &str) -> Option<&Self> {
        match &self.target()?.kind {
            Kind::Mapping { entries, .. } => {
                let named =
                    |name: &str| entries.iter().rfind(|entry| entry.name.as_deref() == Some(name));
                if let Some(entry) = named(token) {
                    return Some(&entry.value);
                }
                let merged = named(MERGE)?.value.target()?;
                match &merged.kind {
                    // Of several that have the member, the first counts.
                    Kind::Sequence { entries, .. } => {
                        entries.iter().find_map(|entry| entry.child(token))
                    }
                    _ => merged.child(token),
                }
            }
            Kind::Sequence { entries, .. } => {
                entries.get(token.parse::<usize>().ok()?).map(|it| &**it)
            }
            Kind::Alias(_) | Kind::Scalar => None,
        }
    }

    /// The node at `pointer`, or the last one on the way to it.
    pub(in crate::commands) fn nearest(&self, pointer: &Pointer) -> &Self {
        let mut node = self;
        for token in pointer.tokens() {
            let Some(child) = node.child(&token.decoded()) else { break };
            node = child;
        }
        node
    }

    /// The first list in block style whose key is at the start of its line, with that key.
    pub(in crate::commands) fn first_list(&self) -> Option<(&Self, &Self)> {
        match &self.kind {
            Kind::Mapping { style, entries } => entries.iter().find_map(|entry| {
                let is_block = matches!(
                    &entry.value.kind,
                    Kind::Sequence { style: StructureStyle::Block, .. }
                );
                if *style == StructureStyle::Block && is_block {
                    return Some((&*entry.key, &*entry.value));
                }
                entry.value.first_list()
            }),
            Kind::Sequence { entries, .. } => entries.iter().find_map(|entry| entry.first_list()),
            Kind::Alias(_) | Kind::Scalar => None,
        }
    }

    /// The keys that stand in their mapping a second time.
    pub(in crate::commands) fn repeated_keys(&self) -> Vec<&Self> {
        let mut found = Vec::new();
        self.collect_repeated_keys(&mut found);
        found
    }

    fn collect_repeated_keys<'n>(&'n self, found: &mut Vec<&'n Self>) {
        match &self.kind {
            Kind::Mapping { entries, .. } => {
                let mut seen = HashSet::new();
                for Entry { name, key, value } in entries {
                    if name.as_deref().is_some_and(|name| name != MERGE && !seen.insert(name)) {
                        found.push(key);
                    }
                    value.collect_repeated_keys(found);
                }
            }
            Kind::Sequence { entries, .. } => {
                for entry in entries {
                    entry.collect_repeated_keys(found);
                }
            }
            Kind::Alias(_) | Kind::Scalar => {}
        }
    }
}
