//! Fetches logins: sends the requests that providers build, and has them read the answers.

mod aliyun;
mod aws;
mod azure;
mod github;
mod google;

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use super::{
    minted::{Expiring, HostLogin, Minted, Renewal, life},
    problem::{MintError, Problem, Step},
    progress::{Listener, News, Progress},
    proof::{Machine, Proof},
    wire::{Answer, Request},
};
use crate::{
    core::rules::{Endpoint, LoginName, LoginSource},
    registry::client::Http,
};

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// By how much clocks may differ, in seconds, before the service's is the one that counts.
const SKEW_MAX: i64 = 60;

/// With what logins are fetched.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Sends the requests.
    pub http: &'a Http,
    /// Where the machine says who it is.
    pub machine: &'a Machine,
    /// The wall clock: seconds since the Unix epoch.
    pub clock: &'a (dyn Fn() -> i64 + Sync),
    /// Hears of each step, if anybody does.
    pub listener: Option<Listener<'a>>,
}

/// Fetches a login for these hosts of registries, which are in lower case. All of them get one, or there is none.
///
/// # Errors
///
/// [`MintError`], whose text holds nothing of a token or key.
pub async fn mint(
    context: Context<'_>,
    name: &LoginName,
    source: &LoginSource,
    proof: &Proof,
    hosts: &[&str],
) -> Result<Minted, MintError> {
    // A client of its own costs as much as one handshake more, once for a renewal.
    let bundle = source.endpoints().and_then(|it| it.ca_bundle.as_deref());
    let trusting = bundle.map(|bundle| context.http.trusting(bundle.as_bytes())).transpose();
    let trusting = trusting.map_err(|why| MintError {
        login: name.clone(),
        step: Step::Identity,
        host: None,
        problem: Problem::NoAnswer(why),
    })?;
    let context = Context { http: trusting.as_ref().unwrap_or(context.http), ..context };
    let mut call = Call { context, login: name, skew: None };
    for host in hosts {
        source.serves(host).map_err(|why| {
            call.error(Step::Identity, Problem::Host { host: (*host).into(), why })
        })?;
    }
    match source {
        LoginSource::Aws(login) => aws::mint(&mut call, login, proof, hosts).await,
        LoginSource::Google(login) => google::mint(&mut call, login, proof, hosts).await,
        LoginSource::Azure(login) => azure::mint(&mut call, login, proof, hosts).await,
        LoginSource::Aliyun(login) => aliyun::mint(&mut call, login, proof, hosts).await,
        LoginSource::Github(login) => github::mint(&mut call, login, proof, hosts).await,
        LoginSource::Secret(_) | LoginSource::Plugin(_) | LoginSource::File(_) => {
            let why = format!("a login with `{}` is not fetched over the network", source.kind());
            Err(call.error(Step::Identity, Problem::Unusable(why)))
        }
    }
}

/// The requests for one login.
struct Call<'a> {
    context: Context<'a>,
    login: &'a LoginName,
    /// The service's clock less ours, in seconds, by its last answer.
    skew: Option<i64>,
}

/// What was read from an answer, and the time of the answer.
struct Read<T> {
    value: T,
    at: i64,
    status: u16,
    host: Box<str>,
}

// === impl Call ===

impl Call<'_> {
    /// The time by which requests are dated: ours, unless the service's differs by much.
    fn now(&self) -> i64 {
        let skew = self.skew.filter(|skew| skew.abs() > SKEW_MAX);
        (self.context.clock)().saturating_add(skew.unwrap_or(0))
    }

    fn error(&self, step: Step, problem: Problem) -> MintError {
        MintError { login: self.login.clone(), step, host: None, problem }
    }

    fn error_at(&self, step: Step, host: &str, problem: Problem) -> MintError {
        MintError { login: self.login.clone(), step, host: Some(host.into()), problem }
    }

    /// Sends a request, and reads its answer.
    async fn ask<T>(
        &mut self,
        step: Step,
        request: Request,
        read: impl FnOnce(&Answer) -> Result<T, Problem>,
    ) -> Result<Read<T>, MintError> {
        let host: Box<str> = request.authority().into();
        let answer = self.send(request).await;
        let answer = answer.map_err(|problem| self.error_at(step, &host, problem))?;
        let read = if (300..400).contains(&answer.status) {
            Err(Problem::Redirected { status: answer.status, host: answer.location.clone() })
        } else {
            read(&answer)
        };
        let value = read.map_err(|problem| self.error_at(step, &host, problem))?;
        self.tell(step, &host, News::Answered(answer.status));
        let at = answer.date.unwrap_or_else(|| (self.context.clock)());
        Ok(Read { value, at, status: answer.status, host })
    }

    /// Sends a request that is dated, and once more with the service's date where ours is refused.
    async fn ask_dated<T>(
        &mut self,
        step: Step,
        request: impl Fn(i64) -> Result<Request, Problem>,
        read: impl Fn(&Answer) -> Result<T, Problem>,
    ) -> Result<Read<T>, MintError> {
        let dated = self.now();
        let first = request(dated).map_err(|problem| self.error(Step::Identity, problem))?;
        let first = self.ask(step, first, &read).await;
        let again = self.now();
        match first {
            Err(MintError { problem: Problem::Denied { perhaps_clock: true, .. }, .. })
                if (again - dated).abs() > SKEW_MAX =>
            {
                let second =
                    request(again).map_err(|problem| self.error(Step::Identity, problem))?;
                self.ask(step, second, &read).await
            }
            first => first,
        }
    }

    async fn send(&mut self, request: Request) -> Result<Answer, Problem> {
        let request = request.into_http().ok_or_else(|| {
            Problem::Unusable("the request cannot be sent: a name or a token has characters that HTTP cannot carry".to_owned())
        })?;
        let answer = self.context.http.exchange(request, LIMIT).await;
        let (status, headers, body) = answer.map_err(Problem::NoAnswer)?;
        let answer = Answer::of_http(status, &headers, body);
        if let Some(date) = answer.date {
            self.skew = Some(date.saturating_sub((self.context.clock)()));
        }
        Ok(answer)
    }

    /// The seconds that what an answer gave lives from the answer on.
    fn life<T>(
        &self,
        step: Step,
        read: &Read<T>,
        expires_at: i64,
        longest: i64,
    ) -> Result<i64, MintError> {
        let life = life(expires_at, read.at, longest).map_err(|what| {
            self.error_at(step, &read.host, Problem::Lifetime { status: read.status, what })
        })?;
        self.tell(step, &read.host, News::Ends(expires_at));
        Ok(life)
    }

    fn tell(&self, step: Step, host: &str, news: News) {
        if let Some(listener) = self.context.listener {
            listener(Progress { step, host: host.into(), news });
        }
    }

    /// The logins of one or several answers, with the life of the shortest. A session that ends earlier shortens the time to
    /// the renewal: whether it also ends the login, its provider does not say.
    fn minted(
        &self,
        logins: Vec<HostLogin>,
        lives: &[(i64, i64)],
        session: Option<i64>,
    ) -> Result<Minted, MintError> {
        let Some(&(expires_at, life)) = lives.iter().min_by_key(|(_, life)| *life) else {
            let why = "no rule with this login names a registry: name one in `registries`";
            return Err(self.error(Step::Identity, Problem::Unusable(why.to_owned())));
        };
        let renewal = Renewal::Half(session.map_or(life, |session| session.min(life)));
        Ok(Minted { logins, expires_at, life, renewal, skew: self.skew })
    }
}

/// The address in a mapping that takes the place of the provider's own.
fn address(endpoint: Option<&Endpoint>) -> Option<&str> {
    endpoint.map(Endpoint::as_str)
}

/// The name of a session, by which the cloud's log says who it was. The longest is of AWS and of Alibaba Cloud.
fn session_name(login: &LoginName) -> String {
    const MAX: usize = 64;
    let mut name = format!("pullcred-{login}");
    name.truncate(MAX);
    name
}

/// A text that no other request has.
fn nonce() -> Result<String, Problem> {
    let mut bytes = [0; 16];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| Problem::Unusable("this machine gives no random numbers".to_owned()))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// The logins of an answer for the hosts that it opens.
fn at_hosts<'h>(login: &Expiring, hosts: impl Iterator<Item = &'h str>) -> Vec<HostLogin> {
    hosts.map(|host| login.at(host)).collect()
}
