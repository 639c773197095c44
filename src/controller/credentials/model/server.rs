//! An API server with one Secret: fields have managers, an unforced apply conflicts, uid and version are preconditions.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    rc::Rc,
    task::Poll,
};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, Time},
    jiff::Timestamp,
};
use serde_json::json;

use super::super::{
    seen::{DATA_KEY, Ours},
    writes::{Failure, Place, Secrets},
};
use crate::{
    cluster::Outcome,
    core::copies::{CONTENT, LOGIN, MANAGER, MARK},
};

/// What a Secret holds: who wrote it first, and the content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
pub(super) struct Object {
    pub(super) uid: u32,
    pub(super) version: u32,
    pub(super) data: &'static str,
    /// Whether it bears our mark, and the content that its annotation claims.
    pub(super) mark: Option<&'static str>,
    /// Who owns the data.
    pub(super) us: bool,
    pub(super) others: bool,
    pub(super) immutable: bool,
    /// A key that somebody added.
    pub(super) added: bool,
    /// Made by a person, so that it must never change.
    pub(super) persons: bool,
}

/// The API server's state, with what people have done.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) secret: Option<Object>,
    pub(super) labelled: bool,
    pub(super) terminating: bool,
    pub(super) content: &'static str,
    pub(super) next: u32,
    /// Rules that were broken.
    pub(super) broken: Vec<String>,
}

pub(super) struct Refused(Outcome);

impl Failure for Refused {
    fn outcome(&self) -> Outcome {
        self.0
    }
}

/// The API server of a process. Each call waits until the process is chosen to go on.
pub(super) struct Api {
    pub(super) world: Rc<RefCell<World>>,
    pub(super) go: Rc<Cell<bool>>,
}

impl Api {
    /// Ends when the process is chosen: the call then happens at once.
    pub(super) async fn turn(&self) {
        poll_fn(|_| if self.go.replace(false) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

impl World {
    pub(super) fn id(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(super) fn metadata(&self) -> Option<ObjectMeta> {
        let object = self.secret.as_ref()?;
        let marks = json!({
            "f:labels": {(format!("f:{}", MARK.0)): {}},
            "f:annotations": {(format!("f:{LOGIN}")): {}, (format!("f:{CONTENT}")): {}},
        });
        let entry =
            |manager: &str, operation: &str, fields: serde_json::Value| ManagedFieldsEntry {
                manager: Some(manager.to_owned()),
                operation: Some(operation.to_owned()),
                fields_v1: serde_json::from_value(fields).ok(),
                ..ManagedFieldsEntry::default()
            };
        let mut managers = Vec::new();
        if object.us {
            let fields = json!({"f:data": {(format!("f:{DATA_KEY}")): {}}, "f:metadata": marks, "f:type": {}});
            managers.push(entry(MANAGER, "Apply", fields));
        } else if object.mark.is_some() {
            managers.push(entry(MANAGER, "Apply", json!({"f:metadata": marks})));
        }
        if object.others {
            let fields = json!({"f:data": {(format!("f:{DATA_KEY}")): {}}, "f:type": {}});
            managers.push(entry("person", "Update", fields));
        }
        if object.added {
            managers.push(entry("person", "Update", json!({"f:data": {"f:more": {}}})));
        }
        if object.immutable {
            managers.push(entry("person", "Update", json!({"f:immutable": {}})));
        }
        Some(ObjectMeta {
            uid: Some(object.uid.to_string()),
            resource_version: Some(object.version.to_string()),
            labels: object.mark.map(|_| BTreeMap::from([(MARK.0.to_owned(), MARK.1.to_owned())])),
            annotations: object
                .mark
                .map(|content| BTreeMap::from([(CONTENT.to_owned(), content.to_owned())])),
            managed_fields: Some(managers),
            ..ObjectMeta::default()
        })
    }

    /// An object that is still as it was seen.
    fn as_seen(&mut self, seen: &Ours) -> Result<&mut Object, Refused> {
        let object = self.secret.as_mut().ok_or(Refused(Outcome::Conflict))?;
        let same =
            *seen.uid == *object.uid.to_string() && *seen.version == *object.version.to_string();
        if same { Ok(object) } else { Err(Refused(Outcome::Conflict)) }
    }

    fn answer(&self) -> Result<ObjectMeta, Refused> {
        self.metadata().ok_or(Refused(Outcome::Gone))
    }
}

impl Secrets for Api {
    type Content = str;
    type Error = Refused;

    async fn namespace(&self, _: &str) -> Result<Option<ObjectMeta>, Refused> {
        self.turn().await;
        let world = self.world.borrow();
        let label = world.labelled.then(|| ("inject".to_owned(), String::new()));
        Ok(Some(ObjectMeta {
            labels: Some(label.into_iter().collect()),
            deletion_timestamp: world.terminating.then(|| Time(Timestamp::default())),
            ..ObjectMeta::default()
        }))
    }

    async fn metadata(&self, _: Place<'_>) -> Result<Option<ObjectMeta>, Refused> {
        self.turn().await;
        Ok(self.world.borrow().metadata())
    }

    async fn create(&self, _: Place<'_>, content: &str) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let content = interned(content);
        let version = world.id();
        match &mut world.secret {
            None => {
                world.secret = Some(Object {
                    uid: version,
                    version,
                    data: content,
                    mark: Some(content),
                    us: true,
                    others: false,
                    immutable: false,
                    added: false,
                    persons: false,
                });
            }
            // Another manager's field with another value, or another type: a conflict, and nothing changes.
            Some(object) if object.data != content && object.others => {
                return Err(Refused(Outcome::Conflict));
            }
            Some(object) => {
                let before = object.clone();
                (object.data, object.mark, object.us) = (content, Some(content), true);
                if *object != before {
                    object.version = version;
                }
            }
        }
        world.answer()
    }

    async fn update(
        &self,
        _: Place<'_>,
        seen: &Ours,
        content: &str,
    ) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let content = interned(content);
        let version = world.id();
        let object = world.as_seen(seen)?;
        if object.immutable && object.data != content {
            return Err(Refused(Outcome::Invalid));
        }
        if object.added {
            return Err(Refused(Outcome::Invalid)); // The policy on copies: one key.
        }
        let persons = object.persons;
        object.others &= object.data == content;
        (object.data, object.mark, object.us, object.version) =
            (content, Some(content), true, version);
        if persons {
            world.broken.push("a person's Secret was overwritten".to_owned());
        }
        world.answer()
    }

    async fn strip(
        &self,
        _: Place<'_>,
        seen: &Ours,
        _: &[Box<str>],
    ) -> Result<ObjectMeta, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let version = world.id();
        let object = world.as_seen(seen)?;
        if object.immutable {
            return Err(Refused(Outcome::Invalid));
        }
        (object.added, object.version) = (false, version);
        if object.persons {
            world.broken.push("a key of a person's Secret was removed".to_owned());
        }
        world.answer()
    }

    async fn release(&self, _: Place<'_>, uid: &str) -> Result<(), Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        let version = world.id();
        match world.secret.as_mut().filter(|object| object.uid.to_string() == uid) {
            Some(object) => {
                (object.mark, object.us, object.version) = (None, false, version);
                Ok(())
            }
            None => Err(Refused(Outcome::Conflict)),
        }
    }

    async fn delete(&self, _: Place<'_>, seen: &Ours) -> Result<bool, Refused> {
        self.turn().await;
        let mut world = self.world.borrow_mut();
        if world.secret.is_none() {
            return Ok(false);
        }
        let object = world.as_seen(seen)?;
        if object.persons {
            world.broken.push("a person's Secret was deleted".to_owned());
        }
        world.secret = None;
        Ok(true)
    }
}

/// Content lives as long as the test.
fn interned(content: &str) -> &'static str {
    if content == OLD { OLD } else { NEW }
}

pub(super) const OLD: &str = "0000000000000000000000000000000a";
pub(super) const NEW: &str = "0000000000000000000000000000000b";
