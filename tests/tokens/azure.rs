//! Azure Container Registry.

use pullcred::{
    core::rules::{Azure, AzureAccess, Endpoints, LoginSource, TokenSource},
    registry::tokens::{Proof, Renewal},
};

use super::{
    Fetcher,
    clouds::{
        Authority,
        azure::{Azure as Cloud, CLIENT, REGISTRY, TENANT},
        identity::{Key, SUBJECT, Trust},
    },
    endpoints, now, the_login,
};

pub(crate) const AUDIENCE: &str = "api://AzureADTokenExchange";

pub(crate) fn cloud(authority: &Authority) -> Cloud {
    Cloud::start(authority, Trust::of(AUDIENCE))
}

pub(crate) fn source(tenant: &str, client: &str, endpoints: Endpoints) -> LoginSource {
    let token = TokenSource::ServiceAccount { audience: AUDIENCE.into() };
    let access = AzureAccess::Federation { tenant: tenant.into(), client: client.into(), token };
    LoginSource::Azure(Azure { access, hosts: Vec::new(), endpoints })
}

pub(crate) fn token() -> Proof {
    Proof::Token(Key::read("issuer").service_account(AUDIENCE, SUBJECT, now()).into())
}

#[tokio::test]
async fn an_identity_gives_a_login_that_says_itself_when_it_ends() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = source(TENANT, CLIENT, endpoints(&cloud.server.url(), &cloud.server.url()));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[REGISTRY]).await.unwrap();
    the_login(&minted, &cloud.ledger, REGISTRY);
    assert!(matches!(minted.renewal, Renewal::Half(4495..=4500)), "{minted:?}");
}

#[tokio::test]
async fn a_machine_gives_a_login_where_the_mapping_names_it() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let mut fetcher = Fetcher::new(&authority);
    fetcher.machine.azure = format!("http://{}", cloud.metadata.address).into();
    for client in [None, Some(CLIENT.into())] {
        let (access, hosts) = (AzureAccess::Metadata { client }, Vec::new());
        let endpoints = endpoints(&cloud.server.url(), &cloud.server.url());
        let source = LoginSource::Azure(Azure { access, hosts, endpoints });
        let minted = fetcher.mint(&source, &Proof::Machine, &[REGISTRY]).await.unwrap();
        the_login(&minted, &cloud.ledger, REGISTRY);
    }
}

#[tokio::test]
async fn an_identity_or_registry_that_does_not_fit_says_so() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    let fetcher = Fetcher::new(&authority);
    let fits = source(TENANT, CLIENT, endpoints(&url, &url));
    let (issuer, stranger) = (Key::read("issuer"), Key::read("stranger"));
    let other = "other.azurecr.io";
    for (source, token, host, words) in [
        (
            &fits,
            issuer.service_account(AUDIENCE, "system:serviceaccount:x:y", now()),
            REGISTRY,
            "step token at HOST: 400 AADSTS700213: let a federated credential",
        ),
        (
            &fits,
            issuer.service_account(AUDIENCE, SUBJECT, now() - 7200),
            REGISTRY,
            "step token at HOST: 401 AADSTS700024: the ServiceAccount's token is not valid now",
        ),
        (
            &fits,
            stranger.service_account(AUDIENCE, SUBJECT, now()),
            REGISTRY,
            "step token at HOST: 401 AADSTS7000272: let a federated credential",
        ),
        (
            &source(TENANT, "x", endpoints(&url, &url)),
            issuer.service_account(AUDIENCE, SUBJECT, now()),
            REGISTRY,
            "step token at HOST: 400 AADSTS700016: check the client id",
        ),
        (
            &source("x", CLIENT, endpoints(&url, &url)),
            issuer.service_account(AUDIENCE, SUBJECT, now()),
            REGISTRY,
            "step token at HOST: 400 AADSTS90002: check the id of the tenant",
        ),
        (
            &fits,
            issuer.service_account(AUDIENCE, SUBJECT, now()),
            other,
            "step exchange at HOST: 400 UNSUPPORTED: assign AcrPull",
        ),
    ] {
        let text = fetcher.refusal(source, &Proof::Token(token.into()), &[host]).await;
        let host = format!("localhost:{}", cloud.server.address.port());
        assert!(
            text.starts_with(&format!("login acme: {}", words.replace("HOST", &host))),
            "{text}"
        );
    }
}
