//! The parts of a document that figures make, each between `<!-- figures: NAME -->` and `<!-- end of figures -->`.

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::{run::Run, tables};

const BEGIN: &str = "<!-- figures: ";
const END: &str = "<!-- end of figures -->";

/// The document with what this run measured.
pub(crate) fn rewritten(document: &str, run: &Run) -> Result<String> {
    let mut text = String::with_capacity(document.len());
    let mut rest = document;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->\n").context("a mark without a name")?;
        let (_, after) = after.split_once(END).with_context(|| format!("`{name}` has no end"))?;
        let section = tables::SECTIONS.iter().find(|(it, _)| *it == name);
        let (_, table) = section.with_context(|| format!("there are no figures `{name}`"))?;
        let _ = write!(text, "{before}{BEGIN}{name} -->\n{}\n{END}", table(run)?.trim());
        rest = after;
    }
    Ok(text + rest)
}
