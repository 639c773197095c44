//! The commands of a document, each with its section.

use anyhow::{Result, bail, ensure};

use super::OTHERWISE;

/// A command that a document says to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) document: &'static str,
    /// The heading above it.
    pub(super) section: String,
    /// What is behind the prompt.
    pub(super) command: String,
    /// What the command reads from the lines below it, up to their end mark.
    pub(super) here_document: String,
    /// What the document says that it prints.
    pub(super) output: Vec<String>,
}

// === impl Step ===

impl Step {
    /// The command as it is typed here.
    pub(super) fn typed(&self) -> String {
        let ours = OTHERWISE.iter().filter(|(document, section, ..)| {
            (*document, *section) == (self.document, self.section.as_str())
        });
        ours.fold(self.command.clone(), |command, (.., from, to)| {
            // What the shell is to replace cannot stand in quotes that keep it from doing so.
            let command = if command.contains(from) && to.starts_with("$(") {
                command.replace('\'', "\"")
            } else {
                command
            };
            command.replace(from, to)
        })
    }
}

/// Every command of every `console` block.
pub(super) fn steps(document: &'static str, text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut section, mut language, mut end) = (String::new(), None, None::<String>);
    for line in text.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            ensure!(end.is_none(), "{document}: a here-document of {section} has no end");
            language = if language.is_none() { Some(fence) } else { None };
        } else if language.is_none() && line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut section);
        } else if language == Some("console") {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    let mark =
                        command.split_once("<<'").and_then(|(_, rest)| rest.split('\'').next());
                    end = mark.map(str::to_owned);
                    steps.push(Step {
                        document,
                        section: section.clone(),
                        command: command.to_owned(),
                        here_document: String::new(),
                        output: Vec::new(),
                    });
                }
                (None, Some(step)) if end.is_some() => {
                    step.here_document.push_str(line);
                    step.here_document.push('\n');
                    end = end.filter(|mark| mark != line);
                }
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => bail!("{document}: {section} begins with what is no command"),
            }
        }
    }
    Ok(steps)
}
