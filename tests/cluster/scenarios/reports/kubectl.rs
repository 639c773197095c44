//! What people type and see, as a text that is the same each time.

use std::{fs, process::Stdio};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{cluster::Cluster, pki::User};

/// Commands with what they print.
pub(in super::super) struct Transcript<'a> {
    cluster: &'a Cluster,
    text: String,
}

// === impl Transcript ===

impl<'a> Transcript<'a> {
    pub(in super::super) fn new(cluster: &'a Cluster) -> Self {
        Self { cluster, text: String::new() }
    }

    /// Runs a command as the administrator.
    pub(in super::super) fn run(&mut self, command: &str) -> Result<String> {
        let printed = kubectl(self.cluster, &command.split_whitespace().collect::<Vec<_>>())?;
        let printed = constant(&printed);
        self.text.extend(["$ kubectl ", command, "\n", &printed, "\n"]);
        Ok(printed)
    }

    /// `kubectl apply` of an object, whose manifest is in a file of this name.
    pub(in super::super) fn apply(&mut self, file: &str, object: &Value) -> Result<String> {
        let path = self.cluster.control_plane().folder().join(file);
        fs::write(path, object.to_string())?;
        self.run(&format!("apply --filename {file}"))
    }

    /// A heading.
    pub(in super::super) fn about(&mut self, what: &str) {
        self.text.extend(["# ", what, "\n\n"]);
    }

    /// All of it.
    pub(in super::super) fn into_text(self) -> String {
        self.text
    }
}

/// Runs kubectl as the administrator, in the folder of the control plane: what it prints to standard error comes first, as warnings
/// do.
pub(in super::super) fn kubectl(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let output = cluster
        .control_plane()
        .program("kubectl")
        .arg("--kubeconfig")
        .arg(cluster.control_plane().kubeconfig(User::ADMIN)?)
        .args(arguments)
        .stdin(Stdio::null())
        .output()?;
    let errors = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "kubectl {arguments:?}: {errors}");
    Ok(errors + &String::from_utf8(output.stdout)?)
}

/// Ages, times, uids and versions as constants, columns that keep their width, and Events of one moment in one order.
fn constant(printed: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in printed.lines() {
        let words: Vec<String> = line.split(' ').map(constant_word).collect();
        let mut line = words.join(" ").trim_end().to_owned();
        for (field, value) in [
            ("UID:", "00000000-0000-0000-0000-000000000000"),
            ("Resource Version:", "1"),
            ("Generation:", "1"),
        ] {
            if let Some(rest) = line.trim_start().strip_prefix(field) {
                let blanks = rest.len() - rest.trim_start().len();
                let begin = line.len() - rest.len() + blanks;
                line.replace_range(begin.., value);
            }
        }
        lines.push(line);
    }
    for events in lines.chunk_by_mut(|a, b| is_event(a) && is_event(b)) {
        events.sort_unstable();
    }
    lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// Whether a line is about an Event, in what `kubectl get events` or `kubectl describe` prints.
fn is_event(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.any(|word| ["Normal", "Warning"].contains(&word)) && words.next().is_some()
}

/// An age, such as `3m20s`, as `5s`, and a time as the first of January.
fn constant_word(word: &str) -> String {
    let is_age = word.ends_with(['s', 'm', 'h'])
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_digit() || "smh".contains(c));
    // A sentence may end with it.
    let time = word.trim_end_matches(['.', ':', ';', ',']);
    let is_time = time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T';
    if is_age {
        format!("{:width$}", "5s", width = word.len())
    } else if is_time {
        word.replace(time, "2026-01-01T00:00:00Z")
    } else {
        word.to_owned()
    }
}
