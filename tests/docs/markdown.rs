//! As much Markdown as the documents use.

use std::collections::HashMap;

/// What a line of a document belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Text,
    Code,
    Fence,
}

/// A block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block<'t> {
    /// What stands behind the opening fence, such as `yaml`.
    pub(crate) language: &'t str,
    /// The lines, without the fences.
    pub(crate) lines: Vec<&'t str>,
}

/// A command of a `console` block, and what it is said to print.
#[derive(Debug)]
pub(crate) struct Console<'t> {
    /// The line behind the prompt.
    pub(crate) command: &'t str,
    /// The lines up to the next prompt.
    pub(crate) output: Vec<&'t str>,
}

/// Each line, with what it belongs to.
fn parts(text: &str) -> impl Iterator<Item = (Part, &str)> {
    let mut code = false;
    text.lines().map(move |line| {
        let fence = line.starts_with("```");
        code ^= fence;
        match (fence, code) {
            (true, _) => (Part::Fence, line),
            (false, true) => (Part::Code, line),
            (false, false) => (Part::Text, line),
        }
    })
}

/// The lines outside of blocks of code.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = &str> {
    parts(text).filter(|(part, _)| *part == Part::Text).map(|(_, line)| line)
}

/// The blocks of code.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut open = false;
    for (part, line) in parts(text) {
        match part {
            Part::Fence if !open => {
                blocks.push(Block { language: line.trim_start_matches('`'), lines: Vec::new() });
                open = true;
            }
            Part::Fence => open = false,
            Part::Code => blocks.last_mut().unwrap().lines.push(line),
            Part::Text => {}
        }
    }
    assert!(!open, "a block of code has no end");
    blocks
}

/// The commands of a `console` block, a here-document being part of its command's output.
pub(crate) fn commands<'t>(block: &Block<'t>) -> Vec<Console<'t>> {
    let mut commands: Vec<Console<'t>> = Vec::new();
    for line in &block.lines {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Console { command, output: Vec::new() });
        } else {
            commands.last_mut().expect("a console begins with a prompt").output.push(line);
        }
    }
    commands
}

/// The headings: their level and their text.
pub(crate) fn headings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).filter_map(|line| {
        let rest = line.trim_start_matches('#');
        let level = line.len() - rest.len();
        (level > 0).then(|| (level, rest.trim()))
    })
}

/// The anchors of the headings, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    headings(text)
        .map(|(_, heading)| {
            let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
            let anchor: String = heading.to_lowercase().chars().filter(kept).collect();
            let anchor = anchor.replace(' ', "-");
            let times = seen.entry(anchor.clone()).or_default();
            *times += 1;
            if *times == 1 { anchor } else { format!("{anchor}-{}", *times - 1) }
        })
        .collect()
}

/// The targets of the links.
pub(crate) fn links(text: &str) -> Vec<&str> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()))
        .collect()
}

/// The rows of the table that follows `heading`, cell by cell, without its head.
pub(crate) fn table<'t>(text: &'t str, heading: &str) -> Vec<Vec<&'t str>> {
    let mut lines = prose(text).skip_while(|line| line.trim_start_matches('#').trim() != heading);
    assert!(lines.next().is_some(), "there is no heading {heading:?}");
    let rows: Vec<_> = lines
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .map(cells)
        .collect();
    assert!(!rows.is_empty(), "there is no table under {heading:?}");
    rows
}

/// The cells of a row. A bar within code does not end one.
fn cells(row: &str) -> Vec<&str> {
    let inner = row.trim().trim_start_matches('|').trim_end_matches('|');
    let (mut start, mut code, mut cells) = (0, false, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '`' => code = !code,
            '|' if !code => {
                cells.push(inner[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(inner[start..].trim());
    cells
}

/// What is in backquotes.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
