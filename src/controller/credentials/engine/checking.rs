//! What the engine and the checks of logins say to each other.

use std::{collections::BTreeSet, future::pending, sync::Arc};

use tokio::time::Instant;

use super::{
    super::health::{Board, Content, Plan},
    Engine,
};
use crate::{
    cluster::Urgency,
    core::{
        reports::{HealthVerdict, LoginHealth},
        rules::{LoginName, Mapping},
    },
};

impl Engine {
    /// The same, which copies a content only after it was tried.
    pub(in super::super) fn with_checks(self, board: Arc<Board>) -> Self {
        let checks = Some(Arc::clone(&board));
        Self { state: self.state.trying(), checks, ..self }.with_records(board)
    }

    /// The same, which passes on the records of checks that reports have.
    pub(in super::super) fn with_records(self, board: Arc<Board>) -> Self {
        Self { records: Some(board), ..self }
    }

    /// This mapping is in force.
    pub(super) fn plan_checks(&mut self, mapping: &Mapping) {
        if let Some(board) = &self.checks {
            board.set_plans(Plan::all(mapping, self.state.copies()));
            self.contents_read();
        }
    }

    /// A login was read.
    pub(super) fn contents_read(&mut self) {
        let Some(board) = &self.checks else { return };
        let contents = self.state.contents().map(|(name, id, accepted)| {
            let id = id.into();
            (name.clone(), Content { id, accepted })
        });
        let contents: std::collections::BTreeMap<_, _> = contents.collect();
        let names = contents.keys().cloned().collect();
        board.set_contents(contents);
        // What is known of a content that was read again has no news.
        self.take_in_health(names);
    }

    /// The report of a login is like this.
    pub(super) fn record_seen(&self, login: &Arc<str>, record: Option<Box<LoginHealth>>) {
        if let Some(board) = &self.records {
            board.saw(login, record.map(|it| *it));
        }
    }

    /// All reports of logins have come; `None` where they can no longer be watched.
    pub(super) fn records_listed(&self, names: Option<&BTreeSet<Box<str>>>) {
        if let Some(board) = &self.records {
            board.set_listed(names.cloned());
        }
    }

    /// Something else is known now of what registries say of logins.
    pub(super) fn take_in_health(&mut self, logins: BTreeSet<LoginName>) {
        let Some(board) = self.checks.clone() else { return };
        let now = Instant::now();
        let mut news = false;
        for login in logins {
            let Some(health) = board.health(&login) else { continue };
            let verdict = health.record.as_ref().and_then(|it| it.verdict);
            let refused = verdict == Some(HealthVerdict::Refused);
            news |= self.state.set_tried(&login, &health.content, health.trial, refused);
        }
        self.want_reports(now);
        if news {
            self.want_all(Urgency::Bulk, now);
            let namespaces: Vec<_> = self.state.opted_in().cloned().collect();
            for name in namespaces {
                self.want_report(&name, now);
            }
        }
    }
}

/// Waits until something else is known of what registries say of logins.
pub(super) async fn checked(board: Option<&Board>) -> BTreeSet<LoginName> {
    match board {
        Some(board) => board.changed().await,
        None => pending().await,
    }
}
