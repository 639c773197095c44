//! One renewal, step by step: what is stored, who asks, the login, whether it is worth giving out, whether a registry takes
//! it, and the write.

use std::{path::Path, sync::Arc};

use ring::digest::{SHA256, digest};

use super::super::{
    objects::Objects,
    seen::{Fingerprint, Ours, Seen},
    state::{Config, Content},
    writes::{Done, Place, Secrets, create, update},
};
use crate::{
    cluster::Cluster,
    core::{credentials::Credentials, rules::LoginSource},
    fetch::{
        Asker, Failure, Fresh, Life, Marks, Spec, World, config, fetch, marks, of_file, verify,
    },
};

/// With what a renewal is done.
pub(super) struct Context {
    pub(super) cluster: Cluster,
    pub(super) objects: Objects,
    pub(super) namespace: Arc<str>,
    pub(super) world: Arc<dyn World>,
}

/// What is known before a renewal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    /// The life of the login that was fetched or taken over last.
    pub(super) life: Option<Life>,
    /// When that is to be renewed.
    pub(super) renew_at: Option<i64>,
    /// A digest of the file that was read last.
    pub(super) file: Option<[u8; 32]>,
}

/// What came of a renewal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewed {
    /// The life of the login that is stored now; `None` for that of a file, which others renew.
    pub(super) life: Option<Life>,
    /// Whether it was fetched, and not taken over.
    pub(super) fetched: bool,
    /// The clock of the service less ours, where it said the time.
    pub(super) skew: Option<i64>,
    /// A digest of the file.
    pub(super) file: Option<[u8; 32]>,
}

// === impl Context ===

impl Context {
    /// Renews a login in its Secret, unless another process has: then that is taken over. Answers the life of what was
    /// stored before, too.
    pub(super) async fn renew(
        &self,
        spec: &Spec,
        at: Place<'_>,
        known: Known,
    ) -> (Option<Life>, Result<Renewed, Failure>) {
        match self.look(at).await {
            Ok(seen) => {
                let stored = seen.as_ref().filter(|it| it.is_of(spec)).and_then(|it| it.life);
                (stored, self.renew_seen(spec, at, known, seen).await)
            }
            Err(failure) => (None, Err(failure)),
        }
    }

    async fn renew_seen(
        &self,
        spec: &Spec,
        at: Place<'_>,
        known: Known,
        seen: Option<Stored>,
    ) -> Result<Renewed, Failure> {
        if let Some(life) = seen.as_ref().and_then(|it| it.newer(spec, known.life)) {
            return Ok(Renewed { life: Some(life), fetched: false, skew: None, file: None });
        }
        if known.life.is_some()
            && known.renew_at.is_some_and(|at| self.world.now() < at)
            && seen.as_ref().is_some_and(|it| it.is_of(spec))
        {
            // Somebody has looked, or changed what does not count.
            return Ok(Renewed { life: known.life, fetched: false, skew: None, file: None });
        }
        if let LoginSource::File(path) = spec.source() {
            return self.copy_file(spec, path, at, seen, known).await;
        }
        let asker = Asker { cluster: &self.cluster, home: &self.namespace, world: &*self.world };
        let bound = seen.as_ref().and_then(Stored::uid).map(|uid| (at.secret, uid));
        let proof = asker.proof(spec, at.namespace, bound).await?;
        let Fresh { credentials, life, marks, skew } = fetch(&*self.world, spec, &proof).await?;
        drop(proof);
        verify(&*self.world, spec, &credentials).await?;
        self.publish(spec, at, seen, &credentials, marks, known.life).await.map(|other| Renewed {
            life: Some(other.unwrap_or(life)),
            fetched: other.is_none(),
            skew,
            file: None,
        })
    }

    /// What is stored.
    async fn look(&self, at: Place<'_>) -> Result<Option<Stored>, Failure> {
        let metadata = self.objects.metadata(at).await.map_err(Failure::Api)?;
        let (now, ahead) = (self.world.now(), self.cluster.clock_ahead());
        Ok(metadata.map(|metadata| {
            let annotations = metadata.annotations.as_ref();
            let life = annotations.and_then(|it| marks::life(it, now, ahead));
            Stored { seen: Seen::of(&metadata), life, now }
        }))
    }

    /// Stores what a file has, if that is not there yet.
    async fn copy_file(
        &self,
        spec: &Spec,
        path: &str,
        at: Place<'_>,
        seen: Option<Stored>,
        known: Known,
    ) -> Result<Renewed, Failure> {
        let bytes = self
            .world
            .read(Path::new(path))
            .map_err(|why| Failure::File { path: path.into(), why })?;
        let file = digest(&SHA256, &bytes).as_ref().try_into().ok();
        let there = seen.as_ref().is_some_and(|it| it.is_of(spec));
        let done = Renewed { life: None, fetched: false, skew: None, file };
        if there && file.is_some() && file == known.file {
            return Ok(done);
        }
        let credentials = of_file(path, &bytes)?;
        if there {
            let stored = self.objects.login(at.namespace, at.secret).await.map_err(Failure::Api)?;
            let stored = stored.and_then(|it| it.credentials.ok());
            let slice = |it: &Credentials| it.slice(&spec.patterns).render();
            if stored.is_some_and(|it| *slice(&it) == *slice(&credentials)) {
                return Ok(done);
            }
        }
        verify(&*self.world, spec, &credentials).await?;
        self.publish(spec, at, seen, &credentials, None, None).await?;
        Ok(Renewed { fetched: true, ..done })
    }

    /// Writes the login, if the Secret is still as it was seen. Answers the life of what another process has written
    /// meanwhile, which then stays.
    async fn publish(
        &self,
        spec: &Spec,
        at: Place<'_>,
        seen: Option<Stored>,
        credentials: &Credentials,
        marks: Option<Marks>,
        known: Option<Life>,
    ) -> Result<Option<Life>, Failure> {
        let config = config(spec, credentials)?;
        let content = Content {
            login: spec.login.name.clone(),
            fingerprint: spec.digest.clone(),
            config: Config(config),
            marks,
        };
        let seen = match seen {
            // A creation names no version, and fetching takes its time: another process may have been faster.
            None => self.look(at).await?,
            seen => seen,
        };
        if let Some(life) = seen.as_ref().and_then(|it| it.newer(spec, known)) {
            return Ok(Some(life));
        }
        let done = match seen.map(|it| it.seen) {
            None => create(&self.objects, at, &content).await,
            Some(Seen::Ours(ours)) => update(&self.objects, at, &ours, &content).await,
            Some(Seen::Foreign) => Ok(Done::Conflict),
        };
        match done.map_err(Failure::Api)? {
            Done::Is(_) => Ok(None),
            Done::Conflict => Err(Failure::Foreign(at.secret.into())),
            Done::Stale | Done::NotNow => {
                let other = self.look(at).await?.and_then(|it| it.newer(spec, known));
                other.map(Some).ok_or(Failure::Stale)
            }
        }
    }
}

/// A Secret of a login, as its metadata shows it.
struct Stored {
    seen: Seen,
    life: Option<Life>,
    now: i64,
}

// === impl Stored ===

impl Stored {
    fn ours(&self) -> Option<&Ours> {
        match &self.seen {
            Seen::Ours(ours) => Some(ours),
            Seen::Foreign => None,
        }
    }

    fn uid(&self) -> Option<&str> {
        self.ours().map(|ours| &*ours.uid)
    }

    /// Whether it is as a process wrote it, for what is wanted now.
    fn is_of(&self, spec: &Spec) -> bool {
        let wanted = Fingerprint::parse(&spec.digest);
        self.ours().is_some_and(|ours| ours.intact && ours.content == wanted && wanted.is_some())
    }

    /// The life of what is stored, if that is newer than what is known, and can be used.
    fn newer(&self, spec: &Spec, known: Option<Life>) -> Option<Life> {
        /// Clocks are compared in whole seconds, and renewals are further apart.
        const APART: i64 = 20;
        let life = self.life.filter(|life| self.is_of(spec) && life.is_publishable(self.now))?;
        known.is_none_or(|known| life.issued > known.issued + APART).then_some(life)
    }
}
