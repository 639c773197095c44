//! Registries for tests that really check passwords, lock accounts, hang, and count what they are asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use pullcred::{
    core::image::ImageRef,
    fetch::{Spec, World, world::Asked},
    registry::{
        Login, NoAnswer, Outcome, Probed, Question,
        tokens::{MintError, Minted, Proof},
    },
};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// How a registry answers.
#[derive(Debug, Clone)]
pub(crate) enum Registry {
    /// It takes these passwords.
    Takes(&'static [&'static str]),
    /// It answers so, whatever the password, and asks to wait for so many seconds.
    Says(Outcome, Option<u32>),
    /// It does not answer.
    Hangs,
}

/// A question, and whether the login was refused.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// Seconds since the start.
    pub(crate) at: i64,
    pub(crate) host: String,
    pub(crate) named: bool,
    pub(crate) refused: bool,
}

/// The registries, and a clock.
pub(crate) struct Registries {
    started: Instant,
    base: i64,
    hosts: Mutex<BTreeMap<String, Registry>>,
    questions: Mutex<Vec<Attempt>>,
    /// Hosts that are being asked.
    busy: Mutex<BTreeSet<String>>,
    takes: Duration,
    draws: Mutex<u32>,
}

// === impl Registries ===

impl Registries {
    /// Each answer takes so long.
    pub(crate) fn new<'r>(
        registries: impl IntoIterator<Item = (&'r str, Registry)>,
        takes: Duration,
    ) -> Arc<Self> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let registries = registries.into_iter().map(|(host, it)| (host.to_owned(), it));
        Arc::new(Self {
            started: Instant::now(),
            base: since.as_secs().try_into().unwrap(),
            hosts: Mutex::new(registries.collect()),
            questions: Mutex::default(),
            busy: Mutex::default(),
            takes,
            draws: Mutex::new(1),
        })
    }

    pub(crate) fn set(&self, host: &str, registry: Registry) {
        self.hosts.lock().unwrap().insert(host.to_owned(), registry);
    }

    pub(crate) fn questions(&self) -> Vec<Attempt> {
        self.questions.lock().unwrap().clone()
    }

    /// How many refusals there were within so many seconds at most.
    pub(crate) fn most_refusals_within(&self, seconds: i64) -> usize {
        let refusals: Vec<i64> =
            self.questions().iter().filter(|it| it.refused).map(|it| it.at).collect();
        let within =
            |from: &i64| refusals.iter().filter(|it| (*from..from + seconds).contains(*it)).count();
        refusals.iter().map(within).max().unwrap_or_default()
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_secs()).unwrap()
    }

    async fn answer(&self, host: &str, login: &Login) -> Probed {
        let registry = self.hosts.lock().unwrap().get(host).cloned();
        if matches!(registry, Some(Registry::Hangs)) {
            std::future::pending::<()>().await;
        }
        sleep(self.takes).await;
        match registry {
            Some(Registry::Takes(passwords)) => {
                let auth = BASE64_STANDARD.decode(login.auth()).unwrap();
                let auth = String::from_utf8(auth).unwrap();
                let password = auth.split_once(':').unwrap().1;
                if passwords.contains(&password) {
                    Outcome::Opened.into()
                } else {
                    Outcome::Refused { status: 401 }.into()
                }
            }
            Some(Registry::Says(outcome, retry_after)) => Probed { retry_after, ..outcome.into() },
            _ => Outcome::NoAnswer(NoAnswer::Network("no such host".to_owned())).into(),
        }
    }
}

/// Notes that a host is asked no longer, also where nobody waits for its answer any more.
struct Busy<'r>(&'r Registries, String);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().unwrap().remove(&self.1);
    }
}

impl World for Registries {
    fn fetch<'a>(&'a self, _: &'a Spec, _: &'a Proof) -> Asked<'a, Result<Minted, MintError>> {
        unreachable!("no login is fetched")
    }

    fn probe<'a>(
        &'a self,
        image: &'a ImageRef<'a>,
        question: Question,
        login: &'a Login,
    ) -> Asked<'a, Probed> {
        Box::pin(async move {
            let named = match question {
                Question::Image => unreachable!("no login is fetched"),
                Question::LoginByImage => true,
                Question::LoginAlone => false,
            };
            let host = image.registry().to_owned();
            assert!(self.busy.lock().unwrap().insert(host.clone()), "{host} is asked already");
            let _busy = Busy(self, host.clone());
            let place = {
                let mut questions = self.questions.lock().unwrap();
                let host = host.clone();
                questions.push(Attempt { at: self.seconds(), host, named, refused: false });
                questions.len() - 1
            };
            let probed = self.answer(&host, login).await;
            let refused = matches!(probed.outcome, Outcome::Refused { .. });
            self.questions.lock().unwrap()[place].refused = refused;
            probed
        })
    }

    fn read(&self, _: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn now(&self) -> i64 {
        self.base + self.seconds()
    }

    fn draw(&self) -> f64 {
        let mut draws = self.draws.lock().unwrap();
        *draws += 1;
        f64::from(*draws * 7919 % 1000) / 1000.0
    }
}
