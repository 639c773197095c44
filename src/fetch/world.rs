//! The outside world of a renewal: clouds, registries, files, and the clock.

use std::{
    fs, io,
    path::{Path, PathBuf},
    pin::Pin,
    time::SystemTime,
};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::{plugins, spec::Spec};
use crate::{
    core::{image::ImageRef, rules::LoginSource},
    registry::{
        Http, Login, NoAnswer, Outcome, Probed, Proxy, Question, probe,
        tokens::{
            Context, Listener, Machine, MintError, Minted, Problem, Progress, Proof, Step, mint,
        },
    },
};

/// The longest file of a login or a token, in bytes.
const FILE_MAX: u64 = 1 << 20;

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

    /// Asks the registry of an image something of a login.
    fn probe<'a>(
        &'a self,
        image: &'a ImageRef<'a>,
        question: Question,
        login: &'a Login,
    ) -> Asked<'a, Probed>;

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
    /// TLS is set up when it is first used: a mapping without such logins costs nothing.
    http: OnceCell<Http>,
    machine: Machine,
    /// The socket of the container that runs plugins.
    plugins: Option<PathBuf>,
    listener: Option<Box<dyn Fn(Progress) + Send + Sync>>,
}

// === impl Outside ===

impl Outside {
    /// The outside world as the environment describes it, with plugins behind this socket.
    #[must_use]
    pub fn from_env(plugins: Option<PathBuf>) -> Self {
        let machine = Machine::from_env();
        Self { http: OnceCell::new(), machine, plugins, listener: None }
    }

    /// The same world, in which somebody hears of each step of a fetch.
    #[must_use]
    pub fn heard_by(self, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }

    /// The one client. Certificates that a login names beside the machine's are trusted in its requests alone.
    async fn http(&self) -> Result<&Http, NoAnswer> {
        self.http.get_or_try_init(async || Http::with(Proxy::from_env()?, None)).await
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
            let http = self.http().await.map_err(|why| MintError {
                login: name.clone(),
                step: Step::Identity,
                host: None,
                problem: Problem::NoAnswer(why),
            })?;
            let hosts: Vec<&str> = spec.hosts.iter().map(|it| &**it).collect();
            let clock = || self.now();
            let listener = self.listener.as_deref().map(|it| it as Listener<'_>);
            let context = Context { http, machine: &self.machine, clock: &clock, listener };
            mint(context, name, spec.source(), proof, &hosts).await
        })
    }

    fn probe<'a>(
        &'a self,
        image: &'a ImageRef<'a>,
        question: Question,
        login: &'a Login,
    ) -> Asked<'a, Probed> {
        Box::pin(async move {
            match self.http().await {
                Ok(http) => probe(http, image, question, login).await,
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
