//! What the registries say of logins, as far as copies depend on it. Pure: the checks put it in.

use super::{super::health::schedule::Trial, State};
use crate::core::{credentials::Slice, rules::LoginName};

/// How many digits tell one content from another.
const DIGITS: usize = 12;

/// What the registries say of the content of a login.
#[derive(Debug, Default)]
pub(super) struct Tried {
    /// Which content; empty before the first was read.
    content: Box<str>,
    /// The content that a person lets be copied.
    accept: Option<Box<str>>,
    /// Whether copies are written from it.
    pub(super) trial: Trial,
    /// Whether a registry refuses it. It may have been copied before.
    pub(super) refused: bool,
}

/// The first digits of the fingerprint of what a login holds for the registries of its rules.
#[must_use]
pub fn content_id(slice: &Slice, uid: &str) -> Box<str> {
    let fingerprint = slice.fingerprint(uid.as_bytes());
    fingerprint.get(..DIGITS).unwrap_or_default().into()
}

// === impl Tried ===

impl Tried {
    /// The login has this content now. Where contents are tried, a new one waits for that.
    pub(super) fn set_content(&mut self, slice: &Slice, uid: &str, tries: bool) {
        if !tries {
            return;
        }
        let content = content_id(slice, uid);
        if content != self.content {
            let accept = self.accept.take();
            *self = Self { content, accept, trial: Trial::Waiting, refused: false };
        }
        self.let_accepted_pass();
    }

    pub(super) fn set_accept(&mut self, accept: Option<Box<str>>) {
        self.accept = accept;
        self.let_accepted_pass();
    }

    fn is_accepted(&self) -> bool {
        self.accept.as_deref() == Some(&*self.content)
    }

    fn let_accepted_pass(&mut self) {
        if self.is_accepted() {
            self.trial = Trial::Passed;
        }
    }
}

// === impl State ===

impl State {
    /// From now on, a content is tried before it is copied.
    #[must_use]
    pub fn trying(mut self) -> Self {
        self.logins.tries = true;
        self
    }

    /// The contents that have been read, and whether a person lets each be copied.
    pub fn contents(&self) -> impl Iterator<Item = (&LoginName, &str, bool)> {
        let read = self.logins.all.iter().filter(|(_, login)| !login.tried.content.is_empty());
        read.map(|(name, login)| (name, &*login.tried.content, login.tried.is_accepted()))
    }

    /// Notes what the registries say of a content. Returns whether that is news of what the login holds now.
    pub fn set_tried(
        &mut self,
        login: &LoginName,
        content: &str,
        trial: Trial,
        refused: bool,
    ) -> bool {
        let Some(login) = self.logins.all.get_mut(login) else { return false };
        let tried = &mut login.tried;
        if *tried.content != *content {
            return false;
        }
        let trial = if tried.is_accepted() { Trial::Passed } else { trial };
        let news = (trial, refused) != (tried.trial, tried.refused);
        (tried.trial, tried.refused) = (trial, refused);
        news
    }

    /// Whether a registry refuses what the copies of a login hold.
    pub(super) fn is_refused(&self, login: &LoginName) -> bool {
        let tried = self.logins.all.get(login).map(|login| &login.tried);
        tried.is_some_and(|it| it.refused && it.trial == Trial::Passed)
    }
}
