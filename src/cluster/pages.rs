//! Lists in pages.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::{api::ListParams, core::ObjectList};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    calls::{Answer, Cluster, Collection, decode},
    error::{CallError, Cause},
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

/// A page of a list, as the API server wrote it: objects are read out of it without a copy of them.
#[derive(Debug)]
pub struct Page {
    answer: Answer,
    from: Collection,
}

// === impl Page ===

impl Page {
    /// The objects, as far as a `T` keeps them.
    ///
    /// # Errors
    ///
    /// [`CallError`] if one of them is no `T`.
    pub fn items<'p, T: Deserialize<'p>>(&'p self) -> Result<Vec<T>, CallError> {
        #[derive(Deserialize)]
        struct List<T> {
            items: Option<Vec<T>>,
        }
        let list: Result<List<T>, _> = serde_json::from_slice(&self.answer);
        let list = list.map_err(|error| kube::Error::SerdeError(error).into());
        list.map(|it| it.items.unwrap_or_default()).map_err(|cause| self.from.list_error(cause))
    }
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
        let take = |answer: Answer| {
            let list: ObjectList<T> = decode(&answer)?;
            Ok((list.items, list.metadata.continue_))
        };
        self.turn(take).await
    }

    /// The same, as the API server wrote it.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub async fn next_page(&mut self) -> Result<Option<Page>, CallError> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            metadata: ListMeta,
        }
        let from = self.from.clone();
        let take = |answer: Answer| {
            let Head { metadata } = decode(&answer)?;
            Ok((Page { answer, from }, metadata.continue_))
        };
        self.turn(take).await
    }

    /// Asks for the next page; `take` makes of the answer what is returned, and the token of the page behind it.
    async fn turn<R>(
        &mut self,
        take: impl FnOnce(Answer) -> Result<(R, Option<String>), Cause>,
    ) -> Result<Option<R>, CallError> {
        while let Some(page) = self.next.take() {
            let answer = match self.cluster.page(&self.from, &page, self.metadata).await {
                Ok(answer) => answer,
                Err(error) => match error.next_page().filter(|_| self.snapshots > 0) {
                    Some(token) => {
                        self.snapshots -= 1;
                        self.next = Some(page.continue_token(&token));
                        continue;
                    }
                    None => return Err(error),
                },
            };
            let (taken, next) = take(answer).map_err(|cause| self.from.list_error(cause))?;
            let next = next.filter(|token| !token.is_empty());
            self.next = next.map(|token| page.continue_token(&token));
            return Ok(Some(taken));
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
