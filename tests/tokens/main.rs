//! Short-lived logins, fetched by the real client from clouds that check what they are sent.

#![cfg(test)]

mod aliyun;
mod aws;
mod azure;
#[path = "../support/clouds/mod.rs"]
mod clouds;
mod github;
mod golden;
mod google;
mod honesty;
mod hostile;
mod login_alone;
mod network;
mod plugin;
mod secrecy;
mod vendor;

use std::collections::BTreeMap;

use clouds::{Authority, Issued, Ledger};
use pullcred::{
    core::rules::{Endpoint, Endpoints, LoginName, LoginSource},
    errors::with_causes,
    registry::{
        Http,
        tokens::{Context, Machine, MintError, Minted, Proof, mint},
    },
};
use zeroize::Zeroizing;

/// What a login is fetched with.
struct Fetcher {
    http: Http,
    machine: Machine,
    /// Our clock is ahead of the real one by so many seconds.
    ahead: i64,
}

// === impl Fetcher ===

impl Fetcher {
    fn new(authority: &Authority) -> Self {
        let http = Http::with(None, Some(authority.pem.as_bytes())).unwrap();
        Self { http, machine: Machine::default(), ahead: 0 }
    }

    async fn mint(
        &self,
        source: &LoginSource,
        proof: &Proof,
        hosts: &[&str],
    ) -> Result<Minted, MintError> {
        let clock = || now() + self.ahead;
        let (http, machine) = (&self.http, &self.machine);
        let context = Context { http, machine, clock: &clock, listener: None };
        let name: LoginName = "acme".parse().unwrap();
        mint(context, &name, source, proof, hosts).await
    }

    /// What an attempt says that must fail.
    async fn refusal(&self, source: &LoginSource, proof: &Proof, hosts: &[&str]) -> String {
        with_causes(&self.mint(source, proof, hosts).await.unwrap_err())
    }
}

fn now() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap()
}

fn endpoints(token: &str, api: &str) -> Endpoints {
    let endpoint = |url: &str| Some(url.parse::<Endpoint>().unwrap());
    Endpoints { token: endpoint(token), api: endpoint(api), ca_bundle: None }
}

fn keys<const N: usize>(keys: [(&str, &str); N]) -> Proof {
    let keys =
        keys.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.as_bytes().to_vec())));
    Proof::Keys(BTreeMap::from(keys))
}

/// The one login of `minted`, which must be one that the cloud gave to `to` and takes now.
fn the_login(minted: &Minted, ledger: &Ledger, to: &str) -> Issued {
    let [login] = &minted.logins[..] else { panic!("{minted:?}") };
    assert!(ledger.admits(&login.username, &login.password));
    let issued = ledger.issued();
    let found = issued.iter().find(|it| it.password == *login.password).unwrap();
    assert_eq!((found.user.as_str(), found.to.as_str()), (&*login.username, to));
    assert_eq!(found.expires_at, minted.expires_at);
    found.clone()
}
