//! GitHub's container registry.

use pullcred::{
    core::rules::{Github, LoginSource},
    registry::tokens::Renewal,
};

use super::{
    Fetcher,
    clouds::{
        Authority,
        github::{APP, Github as Cloud, INSTALLATION},
        identity::pem,
    },
    endpoints, keys, the_login,
};

pub(crate) const HOST: &str = "ghcr.io";

pub(crate) fn source(
    app: &str,
    installation: u64,
    repositories: &[&str],
    url: &str,
) -> LoginSource {
    LoginSource::Github(Github {
        app: app.into(),
        installation,
        repositories: repositories.iter().map(|&it| it.into()).collect(),
        keys: "app-key".parse().unwrap(),
        hosts: Vec::new(),
        endpoints: endpoints(url, url),
    })
}

#[tokio::test]
async fn an_app_gives_a_login() {
    let authority = Authority::new();
    let cloud = Cloud::start(&authority);
    let proof = keys([("privateKey", &pem("app"))]);
    for repositories in [&[][..], &["web"]] {
        let source = source(APP, INSTALLATION, repositories, &cloud.server.url());
        let minted = Fetcher::new(&authority).mint(&source, &proof, &[HOST]).await.unwrap();
        let login = the_login(&minted, &cloud.ledger, "42");
        assert_eq!(login.user, "x-access-token");
        assert!(matches!(minted.renewal, Renewal::Half(3595..=3600)), "{minted:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_ahead_is_corrected_by_the_first_answer() {
    let authority = Authority::new();
    let cloud = Cloud::start(&authority);
    let proof = keys([("privateKey", &pem("app"))]);
    let source = source(APP, INSTALLATION, &[], &cloud.server.url());
    let mut fetcher = Fetcher::new(&authority);
    for (ahead, requests) in [(50, 1), (600, 2), (-600, 2)] {
        fetcher.ahead = ahead;
        let before = cloud.server.requests().len();
        fetcher.mint(&source, &proof, &[HOST]).await.unwrap();
        assert_eq!(cloud.server.requests().len() - before, requests, "{ahead}");
    }
}

#[tokio::test]
async fn an_app_that_does_not_fit_says_so() {
    let authority = Authority::new();
    let cloud = Cloud::start(&authority);
    let url = cloud.server.url();
    let fetcher = Fetcher::new(&authority);
    let (good, other) =
        (keys([("privateKey", &pem("app"))]), keys([("privateKey", &pem("stranger"))]));
    let none = keys([("privateKey", "no key")]);
    for (source, proof, words) in [
        (
            source("other", INSTALLATION, &[], &url),
            &good,
            "step registry at HOST: 401: check the App's id",
        ),
        (
            source(APP, INSTALLATION, &[], &url),
            &other,
            "step registry at HOST: 401: check the App's id",
        ),
        (
            source(APP, 1, &[], &url),
            &good,
            "step registry at HOST: 404: check the number of the installation",
        ),
        (
            source(APP, INSTALLATION, &["other"], &url),
            &good,
            "step registry at HOST: 422: give the App the permission",
        ),
        (source(APP, INSTALLATION, &[], &url), &none, "step identity: privateKey in the Secret"),
    ] {
        let text = fetcher.refusal(&source, proof, &[HOST]).await;
        let host = format!("localhost:{}", cloud.server.address.port());
        assert!(
            text.starts_with(&format!("login acme: {}", words.replace("HOST", &host))),
            "{text}"
        );
    }
}
