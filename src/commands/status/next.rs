//! What to do next. Commands are safe to paste.

use serde::Serialize;

use super::summary::{Freshness, Summary};
use crate::{core::reports::ReportedState, paste};

/// The most logins of all, and the most Secrets of one namespace, that have a step.
const EACH: usize = 3;
/// The label of the Pods of the credentials controller (`pullcred.selectorLabels` of the chart).
const CONTROLLER: &str = "app.kubernetes.io/component=credentials";

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    /// In words.
    pub(super) what: String,
    /// The command, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<String>,
}

/// What to do about what a summary says. `home` is pullcred's namespace.
pub(super) fn steps(summary: &Summary, home: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    if matches!(summary.freshness, Freshness::Stale { .. }) {
        let command = home.and_then(paste::name).map(|home| {
            format!("kubectl logs --namespace {home} --selector {CONTROLLER} --tail 50")
        });
        steps.push(step("See why no credentials controller renews the reports", command));
    }
    match &summary.namespace {
        Some(namespace) => of_namespace(summary, namespace, &mut steps),
        None => of_all(summary, &mut steps),
    }
    steps
}

fn of_all(summary: &Summary, steps: &mut Vec<Step>) {
    let program = summary.program;
    let logins = summary.logins.iter().flat_map(|it| &it.shown);
    for login in logins.filter(|it| it.level.is_finding()).take(EACH) {
        let command = paste::name(&login.name);
        let command = command.map(|name| format!("kubectl describe loginreport {name}"));
        let what = match login.verdict() {
            "held back" => format!(
                "Renew the login {}, which is held back; its report says how to copy it all the same",
                login.name
            ),
            verdict @ ("expired" | "refused") => {
                format!("Renew the login {}, which is {verdict}", login.name)
            }
            _ if login.ends_soon() => format!("Renew the login {}, which ends soon", login.name),
            _ => format!("See what is wrong with the login {}", login.name),
        };
        steps.push(step(what, command));
    }
    // The others are looked at likewise.
    if let Some(namespace) = summary.namespaces.shown.first() {
        let command = paste::name(&namespace.name);
        let command = command.map(|name| format!("{program} status --namespace {name}"));
        steps.push(step(format!("See what namespace {} lacks", namespace.name), command));
    }
}

fn of_namespace(summary: &Summary, namespace: &str, steps: &mut Vec<Step>) {
    let program = summary.program;
    let Some(found) = summary.namespaces.shown.first() else {
        let command = paste::name(namespace).map(paste::opt_in);
        steps.push(step("Opt the namespace in, if its Pods are to get pull Secrets", command));
        return;
    };
    let namespace = paste::name(namespace);
    for secret in found.secrets.iter().filter(|it| it.level.is_finding()).take(EACH) {
        let command = match secret.state {
            ReportedState::Conflict | ReportedState::Unreadable | ReportedState::WrongType => {
                let names = paste::name(&secret.name).zip(namespace);
                names.map(|(name, namespace)| {
                    format!("{program} secret show --live {name} --namespace {namespace}")
                })
            }
            _ => namespace.map(|it| format!("kubectl describe psr pullcred --namespace {it}")),
        };
        let what = secret.advice().unwrap_or_default();
        let step = step(format!("{}: {what}", secret.name), command);
        if !steps.iter().any(|it| it.command.is_some() && it.command == step.command) {
            steps.push(step);
        }
    }
}

fn step(what: impl Into<String>, command: Option<String>) -> Step {
    Step { what: what.into(), command }
}
