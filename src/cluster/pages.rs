//! Lists in pages.

use kube::{api::ListParams, core::ObjectList};
use serde::de::DeserializeOwned;

use super::{
    calls::{Cluster, Collection},
    error::CallError,
};

/// How many objects are asked for at a time.
const PAGE: u32 = 250;
/// How often a list may continue from another snapshot. A snapshot lasts five minutes or more, so a list that needs more of
/// them would not end.
const SNAPSHOTS: u32 = 24;

/// A list that is read page by page.
///
/// All pages are from one snapshot as long as the API server has it: five minutes by default (etcd compaction). After that
/// it answers 410 with a token that continues *after the same object* in the present state. So no object is reported twice,
/// and an object that exists all the time is never left out. Without such a token the list fails, since half a list must
/// not be taken for a whole one.
#[derive(Debug)]
pub struct Pages {
    cluster: Cluster,
    from: Collection,
    metadata: bool,
    /// The next page; `None` after the last.
    next: Option<ListParams>,
    snapshots: u32,
}

// === impl Pages ===

impl Pages {
    pub(super) fn new(
        cluster: Cluster,
        from: Collection,
        labels: Option<&str>,
        metadata: bool,
    ) -> Self {
        let first = ListParams::default().limit(PAGE);
        let first = match labels {
            Some(labels) => first.labels(labels),
            None => first,
        };
        Self { cluster, from, metadata, next: Some(first), snapshots: SNAPSHOTS }
    }

    /// Only the objects with these fields.
    #[must_use]
    pub fn fields(self, fields: &str) -> Self {
        Self { next: self.next.map(|page| page.fields(fields)), ..self }
    }

    /// At most so many objects a page.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { next: self.next.map(|page| page.limit(limit)), ..self }
    }

    /// The next page; `None` after the last. After an error there is no further page.
    ///
    /// # Errors
    ///
    /// [`CallError`]: the pages before it are then only a part of the list.
    pub async fn next<T>(&mut self) -> Result<Option<Vec<T>>, CallError>
    where
        T: DeserializeOwned + Clone,
    {
        while let Some(page) = self.next.take() {
            let list: ObjectList<T> =
                match self.cluster.page(&self.from, &page, self.metadata).await {
                    Ok(list) => list,
                    Err(error) => match error.next_page().filter(|_| self.snapshots > 0) {
                        Some(token) => {
                            self.snapshots -= 1;
                            self.next = Some(page.continue_token(&token));
                            continue;
                        }
                        None => return Err(error),
                    },
                };
            let token = list.metadata.continue_.filter(|token| !token.is_empty());
            self.next = token.map(|token| page.continue_token(&token));
            return Ok(Some(list.items));
        }
        Ok(None)
    }

    /// All pages.
    ///
    /// # Errors
    ///
    /// [`CallError`]
    pub async fn all<T>(mut self) -> Result<Vec<T>, CallError>
    where
        T: DeserializeOwned + Clone,
    {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            all.extend(page);
        }
        Ok(all)
    }
}
