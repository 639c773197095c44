//! The outside world of a renewal: clouds, registries, files, and the clock.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    time::SystemTime,
};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{plugins, spec::Spec};
use crate::{
    core::{image::ImageRef, rules::LoginSource},
    registry::{
        Http, Login, NoAnswer, Outcome, Probed, Proxy, probe,
        tokens::{Context, Machine, MintError, Minted, Problem, Proof, Step, mint},
    },
};

/// The longest file of a login or a token, in bytes.
const FILE_MAX: u64 = 1 << 20;
/// How many clients are kept, each with other certificates.
const BUNDLES: usize = 16;

/// What comes of asking the outside world.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The outside world.
pub trait World: Send + Sync {
    /// Fetches a login.
    fn fetch<'a>(
        &'a self,
        spec: &'a Spec,
        proof: &'a Proof,
    ) -> Asked<'a, Result<Minted, MintError>>;

    /// Asks the registry of an image whether it opens it with a login.
    fn probe<'a>(&'a self, image: &'a ImageRef<'a>, login: &'a Login) -> Asked<'a, Probed>;

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Those of the file system, or that the file is too long.
    fn read(&self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>>;

    /// The wall clock, in seconds since the Unix epoch.
    fn now(&self) -> i64;

    /// A random number from 0 to 1.
    fn draw(&self) -> f64;
}

/// The real one.
pub struct Outside {
    /// By the certificates that they trust beside the machine's. TLS is set up when it is first used: a mapping without such
    /// logins costs nothing.
    http: Mutex<BTreeMap<Box<str>, Arc<Http>>>,
    machine: Machine,
    /// The socket of the container that runs plugins.
    plugins: Option<PathBuf>,
}

// === impl Outside ===

impl Outside {
    /// The outside world as the environment describes it, with plugins behind this socket.
    #[must_use]
    pub fn from_env(plugins: Option<PathBuf>) -> Self {
        Self { http: Mutex::default(), machine: Machine::from_env(), plugins }
    }

    /// A client that also trusts these certificates.
    async fn http(&self, bundle: Option<&str>) -> Result<Arc<Http>, NoAnswer> {
        let mut clients = self.http.lock().await;
        let key = bundle.unwrap_or_default();
        if let Some(http) = clients.get(key) {
            return Ok(Arc::clone(http));
        }
        if clients.len() >= BUNDLES {
            // Those of earlier mappings.
            clients.clear();
        }
        let http = Arc::new(Http::with(Proxy::from_env()?, bundle.map(str::as_bytes))?);
        clients.insert(key.into(), Arc::clone(&http));
        Ok(http)
    }
}

impl World for Outside {
    fn fetch<'a>(
        &'a self,
        spec: &'a Spec,
        proof: &'a Proof,
    ) -> Asked<'a, Result<Minted, MintError>> {
        Box::pin(async move {
            if let LoginSource::Plugin(plugin) = spec.source() {
                return plugins::ask(self.plugins.as_deref(), spec, plugin, proof, self).await;
            }
            let name = &spec.login.name;
            let bundle = spec.source().endpoints().and_then(|it| it.ca_bundle.as_deref());
            let http = self.http(bundle).await.map_err(|why| MintError {
                login: name.clone(),
                step: Step::Identity,
                host: None,
                problem: Problem::NoAnswer(why),
            })?;
            let hosts: Vec<&str> = spec.hosts.iter().map(|it| &**it).collect();
            let clock = || self.now();
            let context = Context { http: &http, machine: &self.machine, clock: &clock };
            mint(context, name, spec.source(), proof, &hosts).await
        })
    }

    fn probe<'a>(&'a self, image: &'a ImageRef<'a>, login: &'a Login) -> Asked<'a, Probed> {
        Box::pin(async move {
            match self.http(None).await {
                Ok(http) => probe(&http, image, login).await,
                Err(why) => Outcome::NoAnswer(why).into(),
            }
        })
    }

    fn read(&self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        if fs::metadata(path)?.len() > FILE_MAX {
            return Err(io::Error::other("it has more than 1 MiB"));
        }
        fs::read(path).map(Zeroizing::new)
    }

    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |it| i64::try_from(it.as_secs()).unwrap_or(i64::MAX))
    }

    fn draw(&self) -> f64 {
        let mut bytes = [0_u8; 4];
        // Without random bytes, renewals are early.
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_or(0.0, |()| f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX))
    }
}
