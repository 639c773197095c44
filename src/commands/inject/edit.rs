//! Adds to a YAML document by inserting into its text: every byte that was there stays, in its place.
//!
//! Three things can be asked for, which are the `add` operations of JSON Patch (RFC 6902, section 4.1) that occur:
//! a member that is not there yet, a member that is there but holds nothing, and an entry behind the last of a list.
//! In block style they become lines of their own, indented as the lines around them; in flow style they become
//! part of the line. The new text is read again, and must mean just what the patch makes of the old one's meaning.

use granit_parser::StructureStyle;
use json_patch::{AddOperation, Patch, PatchOperation, jsonptr::Pointer};
use serde_json::Value;

use super::{
    Change,
    lines::Lines,
    render::{self, Quotes},
    tree::{self, Entry, Kind, Node},
};
use crate::commands::manifests::read;

/// The member of a Pod's spec before which a new one is put, because people look for it there.
const BEFORE: &str = "containers";

/// Why a document cannot be edited where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The place is reached through an alias or a merge key, so that an edit would change other places too.
    #[error(
        "it is taken from an anchor elsewhere, by `*` or `<<`: write it out, so that it can differ"
    )]
    Alias,
    /// The text is written in a form that insertions do not fit.
    #[error(
        "the YAML around it has an unusual form: put each key and each entry on a line of its own"
    )]
    Form,
    /// The edited text would not mean what it should.
    #[error(
        "an edit would change other places too: write out what `&` and `*` share, \
         or use `-o json`, which keeps no formatting"
    )]
    Meaning,
    /// There is no object to add to.
    #[error("it has no `spec`")]
    NoSpec,
}

/// A Pod or Pod template that could not be given what it lacks.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) object: String,
    pub(super) error: EditError,
}

/// Replaces a range of bytes.
#[derive(Debug)]
struct Edit {
    start: usize,
    end: usize,
    text: String,
}

/// The value of a document after `changes`.
pub(super) fn patched(mut value: Value, changes: &[Change]) -> Result<Value, Refused> {
    for change in changes {
        let adds = change.adds.iter().cloned().map(PatchOperation::Add).collect();
        // The one way to fail is to have no `spec` to add to, which no Pod of the API server's comes without.
        json_patch::patch(&mut value, &Patch(adds))
            .map_err(|_| change.refused(EditError::NoSpec))?;
    }
    Ok(value)
}

/// The text of a document after `changes`, where `value` is what it means before them.
pub(super) fn edited(text: &str, value: Value, changes: &[Change]) -> Result<String, Refused> {
    let Some(first) = changes.first() else { return Ok(text.to_owned()) };
    let wanted = patched(value, changes)?;
    let edited = splice(text, edits(text, first, changes)?);
    match read(&edited) {
        Ok(meaning) if meaning == wanted => Ok(edited),
        _ => Err(first.refused(EditError::Meaning)),
    }
}

/// The edits that `changes` come to, of which one is `first`.
fn edits(text: &str, first: &Change, changes: &[Change]) -> Result<Vec<Edit>, Refused> {
    let root = tree::parse(text).ok().flatten().ok_or_else(|| first.refused(EditError::Form))?;
    let editor = Editor { lines: Lines(text) };
    let mut edits = Vec::with_capacity(changes.len());
    for change in changes {
        for add in &change.adds {
            editor.add(&root, add, &mut edits).map_err(|error| change.refused(error))?;
        }
    }
    Ok(edits)
}

/// Carries out edits that do not overlap.
fn splice(text: &str, mut edits: Vec<Edit>) -> String {
    // Stable: what is added at one place stays in order.
    edits.sort_by_key(|edit| edit.start);
    let mut edited = String::with_capacity(text.len() + 64 * edits.len());
    let mut done = 0;
    for Edit { start, end, text: new } in edits {
        edited.push_str(text.get(done..start).unwrap_or_default());
        edited.push_str(&new);
        done = end;
    }
    edited.push_str(text.get(done..).unwrap_or_default());
    edited
}

struct Editor<'t> {
    lines: Lines<'t>,
}

// === impl Editor ===

impl Editor<'_> {
    fn add(
        &self,
        root: &Node,
        AddOperation { path, value }: &AddOperation,
        edits: &mut Vec<Edit>,
    ) -> Result<(), EditError> {
        let (parent, last) = path.split_back().ok_or(EditError::Form)?;
        let parent = descend(root, parent)?;
        let name = last.decoded();
        match &parent.kind {
            Kind::Sequence { style, entries } if name == "-" => {
                let last = entries.last().ok_or(EditError::Form)?;
                edits.push(self.append(*style, last, value)?);
            }
            Kind::Mapping { style, entries } => {
                let there = entries.iter().find(|entry| entry.name.as_deref() == Some(&name));
                match there {
                    Some(entry) => self.fill(*style, entry, value, edits)?,
                    None => edits.push(self.insert(*style, parent, entries, &name, value)?),
                }
            }
            Kind::Alias => return Err(EditError::Alias),
            _ => return Err(EditError::Form),
        }
        Ok(())
    }

    /// A new entry behind the last one of a list.
    fn append(&self, style: StructureStyle, last: &Node, value: &Value) -> Result<Edit, EditError> {
        if style == StructureStyle::Flow {
            let text = format!(", {}", render::flow(value, self.quotes(last)));
            return Ok(Edit::insert(last.span.end, text));
        }
        let dash = self.dash(last)?;
        let indent = " ".repeat(self.lines.column(dash));
        self.lines_behind(last.span.end, &[render::entry(&indent, value)])
    }

    /// A value for a member that holds nothing so far: `null`, or an empty list.
    fn fill(
        &self,
        style: StructureStyle,
        Entry { key, value: old, .. }: &Entry,
        value: &Value,
        edits: &mut Vec<Edit>,
    ) -> Result<(), EditError> {
        match &old.kind {
            Kind::Alias => return Err(EditError::Alias),
            Kind::Sequence { entries, .. } if !entries.is_empty() => return Err(EditError::Form),
            _ => {}
        }
        let colon = self.lines.colon(key.span.end).ok_or(EditError::Form)?;
        // Where nothing is written, the parser places the value anywhere before the next token.
        let end = if old.span.is_empty() { colon } else { old.span.end };
        if style == StructureStyle::Flow {
            let text = format!(" {}", render::flow(value, self.quotes(key)));
            edits.push(Edit { start: colon, end, text });
            return Ok(());
        }
        let indent = self.indent(key)?;
        edits.push(Edit { start: colon, end, text: String::new() });
        edits.push(self.lines_behind(end, &render::entries(&indent, value))?);
        Ok(())
    }

    /// A new member of a mapping.
    fn insert(
        &self,
        style: StructureStyle,
        parent: &Node,
        entries: &[Entry],
        name: &str,
        value: &Value,
    ) -> Result<Edit, EditError> {
        let before = entries.iter().find(|entry| entry.name.as_deref() == Some(BEFORE));
        let Some(before) = before.or(entries.first()) else {
            // `{}`: no key shows how keys are written, and JSON is right in any case.
            let text = render::member(name, value, Quotes::Json);
            return Ok(Edit::insert(parent.span.start + 1, text));
        };
        let start = before.key.span.start;
        if style == StructureStyle::Flow {
            let member = render::member(name, value, self.quotes(&before.key));
            let gap = match self.lines.indent(start) {
                Some(indent) => format!("{}{indent}", self.lines.line_break(start)),
                None => " ".to_owned(),
            };
            return Ok(Edit::insert(start, format!("{member},{gap}")));
        }
        let indent = self.indent(&before.key)?;
        let list_indent = self.list_indent(&indent, entries);
        let mut new = vec![format!("{indent}{name}:")];
        new.extend(render::entries(&list_indent, value));
        let line_break = self.lines.line_break(start);
        let text: String = new.into_iter().map(|line| line + line_break).collect();
        Ok(Edit::insert(self.lines.above_comments(start), text))
    }

    /// How lists are indented among these members: as far as their keys, unless one of them shows otherwise.
    fn list_indent(&self, indent: &str, entries: &[Entry]) -> String {
        let dash = entries.iter().find_map(|entry| match &entry.value.kind {
            Kind::Sequence { style: StructureStyle::Block, entries } => {
                self.dash(entries.first()?).ok()
            }
            _ => None,
        });
        dash.map_or_else(|| indent.to_owned(), |dash| " ".repeat(self.lines.column(dash)))
    }

    /// The indentation of a key, which must be the first thing on its line.
    fn indent(&self, key: &Node) -> Result<String, EditError> {
        self.lines.indent(key.span.start).map(ToOwned::to_owned).ok_or(EditError::Form)
    }

    /// The dash of a list's entry, which must be on the line where the entry starts.
    fn dash(&self, entry: &Node) -> Result<usize, EditError> {
        self.lines.dash(entry.span.start).ok_or(EditError::Form)
    }

    fn lines_behind(&self, end: usize, lines: &[String]) -> Result<Edit, EditError> {
        let (at, text) = self.lines.insert_behind(end, lines).ok_or(EditError::Form)?;
        Ok(Edit::insert(at, text))
    }

    /// How texts are written near `node`.
    fn quotes(&self, node: &Node) -> Quotes {
        let nearest = match &node.kind {
            Kind::Mapping { entries, .. } => entries.first().map_or(node, |entry| &entry.key),
            _ => node,
        };
        let text = self.lines.0.get(nearest.span.start..).unwrap_or_default();
        if text.starts_with(['"', '{', '[']) { Quotes::Json } else { Quotes::Yaml }
    }
}

// === impl Edit ===

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { start: at, end: at, text }
    }
}

/// The node at `pointer`.
fn descend<'n>(root: &'n Node, pointer: &Pointer) -> Result<&'n Node, EditError> {
    let mut node = root;
    for token in pointer.tokens() {
        // The value has this place, so where the text does not have it, it comes from elsewhere.
        node = node.child(&token.decoded()).ok_or(EditError::Alias)?;
    }
    if matches!(node.kind, Kind::Alias) { Err(EditError::Alias) } else { Ok(node) }
}
