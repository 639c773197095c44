//! One look into a namespace.
//!
//! Metadata comes first, and the content only of those Secrets that have changed since the last look. So a look costs two short
//! lists where nothing happens, and values are asked for as seldom as can be.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;

use super::{
    super::reports::keys::{Contents, PullSecret},
    Found, FoundSecret,
    marked::Marked,
};
use crate::{
    cluster::{CallError, Cluster, Collection},
    core::keyring::secret::Form,
};

/// How many Secrets of a namespace are kept, the first by name. A Pod gets at most eight of them.
pub(in super::super) const SECRETS_MAX: usize = 64;
/// How many registry keys of a namespace are kept, and how many bytes of them. The webhook holds as much.
const KEYS_MAX: (usize, usize) = (256, 8 << 10);
/// How many Secrets come in an answer. One may have 256 KiB of annotations.
const PAGE: u32 = 32;

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) found: Found,
    /// How many requests it took beside the lists.
    pub(super) reads: usize,
}

/// Looks into a namespace, where `before` was found last time. With `look_for_named`, those of `named` that are not found are
/// looked for among Secrets of other types.
///
/// # Errors
///
/// [`CallError`]: `Denied` where the namespace does not permit it.
pub(super) async fn look(
    cluster: &Cluster,
    namespace: &str,
    before: &Found,
    named: &[Arc<str>],
    look_for_named: bool,
) -> Result<Look, CallError> {
    let secrets = Collection::of::<Secret>(Some(namespace));
    let (mut there, mut more) = (Vec::new(), false);
    for form in [Form::DockerConfigJson, Form::DockerCfg] {
        more |= list(cluster, &secrets, form, &mut there).await?;
    }
    there.sort_by(|one, two| one.name.cmp(&two.name));
    more |= there.len() > SECRETS_MAX;
    there.truncate(SECRETS_MAX);
    let mut look = Look { found: Found { secrets: Vec::new(), more }, reads: 0 };
    for Marked { name, version, .. } in there {
        let known = before.secrets.iter().find(|it| it.name == name && it.version == version);
        let contents = if let Some(known) = known {
            Some(known.contents.clone())
        } else {
            look.reads += 1;
            let read: Option<PullSecret> = cluster.get(&secrets, &name).await?;
            read.map(|it| it.contents)
        };
        // It may have gone meanwhile.
        if let Some(contents) = contents {
            look.found.secrets.push(FoundSecret { name, contents, version });
        }
    }
    look.add_named(cluster, &secrets, before, named, look_for_named).await?;
    look.found.bound();
    Ok(look)
}

/// Adds the Secrets of a type. Answers whether there are more.
async fn list(
    cluster: &Cluster,
    secrets: &Collection,
    form: Form,
    there: &mut Vec<Marked>,
) -> Result<bool, CallError> {
    let most = there.len() + SECRETS_MAX;
    let mut pages = cluster
        .list_metadata(secrets.clone())
        .fields(&format!("type={}", form.type_()))
        .limit(PAGE);
    while let Some(page) = pages.next::<Marked>().await? {
        there.extend(page.into_iter().filter(|it| !it.is_made_by_a_controller));
        if there.len() > most {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Look {
    /// Adds those named Secrets that exist and are no pull Secrets.
    async fn add_named(
        &mut self,
        cluster: &Cluster,
        secrets: &Collection,
        before: &Found,
        named: &[Arc<str>],
        look_for_named: bool,
    ) -> Result<(), CallError> {
        // What is not among the first may be among the others.
        let named = named.iter().filter(|_| !self.found.more);
        let missing = |name: &&Arc<str>| !self.found.secrets.iter().any(|it| *it.name == ***name);
        for name in named.filter(missing).cloned().collect::<Vec<_>>() {
            let is_there = if look_for_named {
                self.reads += 1;
                let list = cluster.list_metadata(secrets.clone());
                let found = list.fields(&format!("metadata.name={name}")).next::<Marked>().await?;
                found.is_some_and(|page| page.iter().any(|it| !it.is_made_by_a_controller))
            } else {
                before.secrets.iter().any(|it| *it.name == *name && it.version == 0)
            };
            if is_there {
                let (name, contents) = ((&*name).into(), Contents::WrongType);
                self.found.secrets.push(FoundSecret { name, contents, version: 0 });
            }
        }
        self.found.secrets.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(())
    }
}

impl Found {
    /// Forgets the keys of those Secrets that would make it too large.
    fn bound(&mut self) {
        let (mut count, mut bytes) = KEYS_MAX;
        for secret in &mut self.secrets {
            let Contents::Keys(keys) = &secret.contents else { continue };
            let length = keys.iter().map(|it| it.len()).sum::<usize>();
            let left = (count.checked_sub(keys.len()), bytes.checked_sub(length));
            if let (Some(keys), Some(length)) = left {
                (count, bytes) = (keys, length);
            } else {
                secret.contents = Contents::Unknown;
                self.more = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_namespace_no_more_keys_are_kept_than_the_webhook_holds() {
        let secret = |number: usize, keys: usize| FoundSecret {
            name: format!("s{number}").into(),
            contents: Contents::Keys((0..keys).map(|it| format!("r{it}.io").into()).collect()),
            version: 1,
        };
        let mut found = Found { secrets: (0..10).map(|it| secret(it, 60)).collect(), more: false };
        found.bound();
        let known = found.secrets.iter().filter(|it| it.contents != Contents::Unknown).count();
        assert_eq!((known, found.more), (4, true));
        let mut found = Found { secrets: vec![secret(0, 60), secret(1, 60)], more: false };
        found.bound();
        assert!(found.secrets.iter().all(|it| it.contents != Contents::Unknown) && !found.more);
    }
}
