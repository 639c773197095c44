//! Secrets of somebody else's in the place of copies: their keys are read, and read again when they change.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Key, Place, Reports, Work, keys::Contents};
use crate::cluster::CallError;

/// A Secret whose keys could not be read is read again after this.
const READ_AGAIN: Duration = Duration::from_secs(300);

/// What is known of a foreign Secret in the place of a copy.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Tells the last reading of it from those before.
    reading: u64,
    /// What it holds; `None` while it is being read.
    contents: Option<Contents>,
}

// === impl Reports ===

impl Reports {
    /// A foreign Secret in the place of a copy has changed: what was read of it no longer holds.
    pub(in super::super) fn foreign_changed(&mut self, namespace: &str, secret: &Arc<str>) {
        self.foreign.remove(&(Arc::from(namespace), Arc::clone(secret)));
    }

    /// What a foreign Secret in the place of a copy holds. It is read first where that is not known, which wants the report of
    /// its namespace again.
    pub(in super::super) fn contents(
        &mut self,
        namespace: &Arc<str>,
        secret: &str,
    ) -> Option<&Contents> {
        let place: Place = (Arc::clone(namespace), Arc::from(secret));
        if !self.foreign.contains_key(&place) {
            self.readings += 1;
            let reading = self.readings;
            self.foreign.insert(place.clone(), Foreign { reading, contents: None });
            self.pace.start(1);
            let (objects, at) = (Arc::clone(&self.objects), place.clone());
            self.work.push(Box::pin(async move {
                let read = objects.contents(&at.0, &at.1).await;
                Work::Read(at, reading, read)
            }));
        }
        self.foreign.get(&place)?.contents.as_ref()
    }

    /// Of the Secrets of a namespace, only these are foreign.
    pub(in super::super) fn keep_foreign(&mut self, namespace: &Arc<str>, secrets: &[&str]) {
        if self.foreign.is_empty() {
            return;
        }
        let from = (Arc::clone(namespace), Arc::from(""));
        let others = self.foreign.range(from..).map(|(place, _)| place);
        let others = others.take_while(|(it, _)| it == namespace);
        let others: Vec<_> = others.filter(|(_, it)| !secrets.contains(&&**it)).cloned().collect();
        for place in others {
            self.foreign.remove(&place);
        }
    }

    /// Forgets what could not be read some time ago, so that it is read again.
    pub(super) fn read_what_is_due(&mut self, now: Instant) {
        while self.read_again.front().is_some_and(|(at, _)| *at <= now)
            && let Some((_, (namespace, secret))) = self.read_again.pop_front()
        {
            self.foreign_changed(&namespace, &secret);
            self.want(Key::Namespace(namespace), now);
        }
    }

    /// A foreign Secret has been read.
    pub(super) fn read(
        &mut self,
        place: Place,
        reading: u64,
        read: Result<Option<Contents>, CallError>,
        now: Instant,
    ) {
        self.pace.end(true);
        let Some(foreign) = self.foreign.get_mut(&place).filter(|it| it.reading == reading) else {
            // It has changed since, and is read again.
            return;
        };
        if read.is_err() {
            self.read_again.push_back((now + READ_AGAIN, place.clone()));
        }
        // Where it has gone, the watch of the copies brings that.
        foreign.contents = Some(read.ok().flatten().unwrap_or(Contents::Unknown));
        self.want(Key::Namespace(place.0), now);
    }
}
