//! An outside world for tests: clouds that give logins as told, and a wall clock that goes with the paused time.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use pullcred::{
    core::image::ImageRef,
    fetch::{Spec, World, world::Asked},
    registry::{
        Login, NoAnswer, Outcome as Probing, Probed, Question,
        tokens::{HostLogin, MintError, Minted, Problem, Proof, Renewal, SecretText, Step},
    },
};
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// How a cloud answers.
#[derive(Debug, Clone)]
pub(crate) enum Cloud {
    /// With logins that live for so many seconds.
    Gives(i64),
    /// As one whose session ends before the login: the life, and that of the session.
    Session(i64, i64),
    /// With a refusal.
    Denies,
    /// With logins for an hour, to those whose token begins like this.
    Trusts(&'static str),
    /// With 429 and seconds to wait.
    Throttles(u32),
    /// Not at all.
    Silent,
}

/// A world for tests.
pub(crate) struct Fake {
    started: Instant,
    base: i64,
    /// By how much the wall clock has been set forward.
    pub(crate) set_forward: AtomicI64,
    /// The clouds' clock less ours.
    pub(crate) skew: AtomicI64,
    pub(crate) cloud: Mutex<Cloud>,
    pub(crate) probing: Mutex<Probing>,
    pub(crate) files: Mutex<Option<String>>,
    /// Each fetch: when, the login, and the token by which it was asked.
    pub(crate) fetches: Mutex<Vec<(i64, String, String)>>,
    /// What passwords begin with.
    pub(crate) passwords: Mutex<String>,
    /// How long a fetch takes.
    pub(crate) takes: Mutex<Duration>,
    draws: AtomicI64,
}

// === impl Fake ===

impl Fake {
    pub(crate) fn new(cloud: Cloud) -> Arc<Self> {
        let base = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        Arc::new(Self {
            started: Instant::now(),
            base: base.try_into().unwrap(),
            set_forward: AtomicI64::new(0),
            skew: AtomicI64::new(0),
            cloud: Mutex::new(cloud),
            probing: Mutex::new(Probing::Opened),
            files: Mutex::new(None),
            fetches: Mutex::default(),
            passwords: Mutex::new("minted-".to_owned()),
            takes: Mutex::default(),
            draws: AtomicI64::new(1),
        })
    }

    pub(crate) fn set(&self, cloud: Cloud) {
        *self.cloud.lock().unwrap() = cloud;
    }

    pub(crate) fn count(&self) -> usize {
        self.fetches.lock().unwrap().len()
    }

    fn minted(&self, spec: &Spec, by: &str, number: usize) -> Result<Minted, Problem> {
        let (life, renewal) = match *self.cloud.lock().unwrap() {
            Cloud::Gives(life) => (life, life),
            Cloud::Session(life, session) => (life, session),
            Cloud::Trusts(whom) if by.starts_with(whom) => (3600, 3600),
            Cloud::Denies | Cloud::Trusts(_) => {
                let advice = "let the role trust the ServiceAccount";
                return Err(Problem::Denied {
                    status: 403,
                    code: None,
                    advice,
                    perhaps_clock: false,
                });
            }
            Cloud::Throttles(seconds) => {
                let retry_after = Some(seconds);
                return Err(Problem::Busy { status: 429, code: None, retry_after });
            }
            Cloud::Silent => return Err(Problem::NoAnswer(NoAnswer::Loop)),
        };
        let skew = self.skew.load(Ordering::Relaxed);
        let login = |host: &str| HostLogin {
            host: host.into(),
            username: SecretText::from("AWS"),
            password: SecretText::from(format!("{}{number}", self.passwords.lock().unwrap())),
        };
        Ok(Minted {
            logins: spec.hosts.iter().map(|host| login(host)).collect(),
            expires_at: self.now() + skew + life,
            life,
            renewal: Renewal::Half(renewal),
            skew: Some(skew),
        })
    }
}

impl World for Fake {
    fn fetch<'a>(
        &'a self,
        spec: &'a Spec,
        proof: &'a Proof,
    ) -> Asked<'a, Result<Minted, MintError>> {
        Box::pin(async move {
            let by = match proof {
                Proof::Token(token) => token.to_string(),
                other => format!("{other:?}"),
            };
            let number = {
                let mut fetches = self.fetches.lock().unwrap();
                fetches.push((self.now(), spec.login.name.to_string(), by.clone()));
                fetches.len()
            };
            let takes = *self.takes.lock().unwrap();
            sleep(takes).await;
            self.minted(spec, &by, number).map_err(|problem| MintError {
                login: spec.login.name.clone(),
                step: Step::Token,
                host: Some("sts.example.com".into()),
                problem,
            })
        })
    }

    fn probe<'a>(&'a self, _: &'a ImageRef<'a>, _: Question, _: &'a Login) -> Asked<'a, Probed> {
        Box::pin(async move { self.probing.lock().unwrap().clone().into() })
    }

    fn read(&self, _: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let text = self.files.lock().unwrap().clone();
        text.map(|it| Zeroizing::new(it.into_bytes())).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn now(&self) -> i64 {
        let elapsed = i64::try_from(self.started.elapsed().as_secs()).unwrap();
        self.base + elapsed + self.set_forward.load(Ordering::Relaxed)
    }

    /// Numbers that look random, and are the same in each run.
    fn draw(&self) -> f64 {
        let number = self.draws.fetch_add(1, Ordering::Relaxed);
        f64::from(u32::try_from(number * 7919 % 1000).unwrap()) / 1000.0
    }
}
