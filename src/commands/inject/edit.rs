//! Adds to a YAML document by inserting into its text: every byte that was there stays, in its place.
//!
//! Three things can be asked for, which are the `add` operations of JSON Patch (RFC 6902, section 4.1) that occur:
//! a member that is not there yet, a member that is there but holds nothing, and an entry behind the last of a list.
//! In block style they become lines of their own, indented as the lines around them; in flow style they become
//! part of the line. The new text is read again, and must mean just what the patch makes of the old one's meaning.

use std::collections::HashSet;

use granit_parser::StructureStyle;
use json_patch::{
    AddOperation, Patch, PatchOperation,
    jsonptr::{Pointer, PointerBuf},
};
use serde_json::Value;

use super::{
    lines::Lines,
    patch::Change,
    render::{self, Quotes},
    strict,
};
use crate::commands::manifests::{
    read,
    tree::{self, Entry, Kind, Node, behind_colon},
};

/// The member of a Pod's spec before which a new one is put, because people look for it there.
const BEFORE: &str = "containers";

/// Why a document cannot be edited where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The place is reached through an alias or a merge key in a way that cannot be followed.
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
    /// The edited text would not be read by every reader of YAML.
    #[error(
        "kubectl could not read what an edit makes of the YAML around it: put each key and each entry on a line of \
         its own, or use `-o json`, which keeps no formatting"
    )]
    Strict,
    /// There is no object to add to.
    #[error("it has no `spec`")]
    NoSpec,
}

/// A Pod or Pod template that could not be given what it lacks.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) object: String,
    /// The place that was to change.
    pub(super) at: PointerBuf,
    pub(super) error: EditError,
}

/// Replaces a range of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        Ok(meaning) if is_same(&meaning, &wanted) => {}
        _ => return Err(first.refused(EditError::Meaning)),
    }
    if !strict::reads(&edited) || (strict::is_json(text) && !strict::is_json(&edited)) {
        return Err(first.refused(EditError::Strict));
    }
    Ok(edited)
}

/// Whether two documents mean the same, but for what only holds anchors: members of the root such as `x-common`.
fn is_same(one: &Value, other: &Value) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else { return one == other };
    let is_ours = |(name, _): &(&String, &Value)| !name.starts_with("x-");
    one.len() == other.len()
        && one.iter().filter(is_ours).all(|(name, value)| other.get(name) == Some(value))
}

/// The edits that `changes` come to, of which one is `first`.
fn edits(text: &str, first: &Change, changes: &[Change]) -> Result<Vec<Edit>, Refused> {
    let root = tree::parse(text).ok().flatten().ok_or_else(|| first.refused(EditError::Form))?;
    let editor = Editor { lines: Lines(text), root: &root };
    let mut edits = Vec::with_capacity(changes.len());
    for change in changes {
        for add in &change.adds {
            let mut more = Vec::with_capacity(2);
            editor.add(add, &mut more).map_err(|error| change.refused(error))?;
            edits.extend(more);
        }
    }
    // Where an anchor is shared, each that uses it asks for the same edits.
    let mut seen = HashSet::new();
    edits.retain(|edit| seen.insert(edit.clone()));
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
    root: &'t Node,
}

// === impl Editor ===

impl Editor<'_> {
    fn add(
        &self,
        AddOperation { path, value }: &AddOperation,
        edits: &mut Vec<Edit>,
    ) -> Result<(), EditError> {
        let (parent, last) = path.split_back().ok_or(EditError::Form)?;
        let parent = self.descend(parent)?;
        let name = last.decoded();
        match &parent.kind {
            Kind::Sequence { style, entries } if name == "-" => {
                let last = entries.last().ok_or(EditError::Form)?;
                self.append(*style, last, value, edits)
            }
            Kind::Mapping { style, entries } => {
                let there = entries.iter().rfind(|entry| entry.name.as_deref() == Some(&name));
                match there {
                    Some(entry) => self.fill(*style, entry, entries, value, edits),
                    None => self.insert(*style, parent, &name, value).map(|edit| edits.push(edit)),
                }
            }
            _ => Err(EditError::Form),
        }
    }

    /// The node at `pointer`, at its anchor where an alias or a merge key leads there.
    fn descend(&self, pointer: &Pointer) -> Result<&Node, EditError> {
        let mut node = self.root;
        for token in pointer.tokens() {
            // The value has this place, so where the text does not have it, it comes from elsewhere.
            node = node.child(&token.decoded()).ok_or(EditError::Alias)?;
        }
        node.target().ok_or(EditError::Alias)
    }

    /// A new entry behind the last one of a list.
    fn append(
        &self,
        style: StructureStyle,
        last: &Node,
        value: &Value,
        edits: &mut Vec<Edit>,
    ) -> Result<(), EditError> {
        let end = last.span.end;
        if style == StructureStyle::Block {
            let indent = " ".repeat(self.lines.column(self.dash(last)?));
            edits.push(self.lines_behind(end, &[render::entry(&indent, value)])?);
            return Ok(());
        }
        let entry = render::flow(value, self.quotes(last));
        let Some(indent) = self.lines.indent(last.span.start) else {
            edits.push(Edit::insert(end, format!(", {entry}")));
            return Ok(());
        };
        // Each entry has a line of its own.
        let line_break = self.lines.line_break(end);
        let (rest, next_line) = self.lines.rest(end);
        let comma = if rest.starts_with(',') { "," } else { "" };
        let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        match next_line.filter(|_| rest.is_empty() || rest.starts_with('#')) {
            Some(next_line) => {
                if comma.is_empty() {
                    edits.push(Edit::insert(end, ",".to_owned()));
                }
                edits.push(Edit::insert(next_line, format!("{indent}{entry}{comma}{line_break}")));
            }
            None => edits.push(Edit::insert(end, format!(",{line_break}{indent}{entry}"))),
        }
        Ok(())
    }

    /// A value for a member that holds nothing so far: `null`, or an empty list.
    fn fill(
        &self,
        style: StructureStyle,
        Entry { key, value: old, .. }: &Entry,
        siblings: &[Entry],
        value: &Value,
        edits: &mut Vec<Edit>,
    ) -> Result<(), EditError> {
        let is_list = match &old.kind {
            Kind::Alias(_) => {
                let list = old.target().ok_or(EditError::Alias)?;
                edits.push(fill_brackets(list, value).ok_or(EditError::Alias)?);
                return Ok(());
            }
            Kind::Sequence { entries, .. } if !entries.is_empty() => return Err(EditError::Form),
            kind => matches!(kind, Kind::Sequence { .. }),
        };
        let colon = behind_colon(self.lines.0, key.span.end).ok_or(EditError::Form)?;
        let between = self.lines.0.get(colon..old.span.start).ok_or(EditError::Form)?;
        let is_next = between.trim_matches([' ', '\t']).is_empty();
        let is_alone = between
            .lines()
            .all(|line| matches!(line.trim_start().chars().next(), None | Some('#')));
        let has_comment =
            is_list && self.lines.0.get(old.span.clone()).is_some_and(|it| it.contains('#'));
        if style == StructureStyle::Block && (is_next || is_alone) && !has_comment {
            let indent = self
                .list_indent(self.lines.indent(key.span.start).ok_or(EditError::Form)?, siblings);
            let entries = render::entries(&indent, value);
            if is_next {
                edits.push(Edit { start: colon, end: old.span.end, text: String::new() });
                edits.push(self.lines_behind(old.span.end, &entries)?);
            } else {
                edits.push(self.lines_instead(old, entries)?);
            }
        } else if is_list {
            // What stands around and within the brackets stays.
            edits.push(fill_brackets(old, value).ok_or(EditError::Form)?);
        } else {
            let list = render::flow(value, self.quotes(key));
            let gap = if old.span.is_empty() { " " } else { "" };
            edits.push(Edit {
                start: old.span.start,
                end: old.span.end,
                text: format!("{gap}{list}"),
            });
        }
        Ok(())
    }

    /// Lines in the place of the line on which `node` stands alone; a comment behind it keeps a line.
    fn lines_instead(&self, node: &Node, lines: Vec<String>) -> Result<Edit, EditError> {
        let indent = self.lines.indent(node.span.start).ok_or(EditError::Form)?;
        let (rest, _) = self.lines.rest(node.span.end);
        let comment = match rest {
            "" => None,
            comment if comment.starts_with('#') => Some(format!("{indent}{comment}")),
            _ => return Err(EditError::Form),
        };
        let line_break = self.lines.line_break(node.span.end);
        let lines: Vec<String> = comment.into_iter().chain(lines).collect();
        let behind = self.lines.0.get(node.span.end..).unwrap_or_default();
        let end = node.span.end + behind.find(['\r', '\n']).unwrap_or(behind.len());
        Ok(Edit { start: node.span.start - indent.len(), end, text: lines.join(line_break) })
    }

    /// A new member of a mapping.
    fn insert(
        &self,
        style: StructureStyle,
        parent: &Node,
        name: &str,
        value: &Value,
    ) -> Result<Edit, EditError> {
        let Kind::Mapping { entries, .. } = &parent.kind else { return Err(EditError::Form) };
        let before = entries.iter().find(|entry| entry.name.as_deref() == Some(BEFORE));
        let Some(before) = before.or(entries.first()) else {
            // `{}`: no key shows how keys are written, and JSON is right in any case.
            let text = render::member(name, value, Quotes::Json);
            return Ok(Edit::insert(parent.span.start + 1, text));
        };
        let start = self.lines.key_start(before.key.span.start);
        if style == StructureStyle::Flow {
            let member = render::member(name, value, self.quotes(&before.key));
            let gap = match self.lines.indent(start) {
                Some(indent) => format!("{}{indent}", self.lines.line_break(start)),
                None => " ".to_owned(),
            };
            return Ok(Edit::insert(start, format!("{member},{gap}")));
        }
        let indent = self.lines.indent(start).ok_or(EditError::Form)?;
        let list_indent = self.list_indent(indent, entries);
        let mut new = vec![format!("{indent}{name}:")];
        new.extend(render::entries(&list_indent, value));
        let line_break = self.lines.line_break(start);
        let text: String = new.into_iter().map(|line| line + line_break).collect();
        Ok(Edit::insert(self.lines.above_comments(start), text))
    }

    /// How lists are indented among members with this indentation: as one of them shows, or else as the first list of
    /// the document that shows it.
    fn list_indent(&self, indent: &str, members: &[Entry]) -> String {
        let dash = members.iter().find_map(|entry| match &entry.value.kind {
            Kind::Sequence { style: StructureStyle::Block, entries } => {
                self.dash(entries.first()?).ok()
            }
            _ => None,
        });
        if let Some(dash) = dash {
            return " ".repeat(self.lines.column(dash));
        }
        let shown = self.root.first_list().and_then(|(key, list)| {
            let Kind::Sequence { entries, .. } = &list.kind else { return None };
            let dash = self.dash(entries.first()?).ok()?;
            self.lines.column(dash).checked_sub(self.lines.column(key.span.start))
        });
        [indent, &" ".repeat(shown.unwrap_or_default())].concat()
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

/// The entries of a new list between the brackets of one without any.
fn fill_brackets(list: &Node, value: &Value) -> Option<Edit> {
    let is_empty = matches!(&list.kind, Kind::Sequence { entries, .. } if entries.is_empty());
    let new = render::flow(value, Quotes::Json);
    let new = new.strip_prefix('[')?.strip_suffix(']')?;
    is_empty.then(|| Edit::insert(list.span.start + 1, new.to_owned()))
}

// === impl Edit ===

impl Edit {
    fn insert(at: usize, text: String) -> Self {
        Self { start: at, end: at, text }
    }
}
