//! ECR and ECR Public.

use std::fs;

use pullcred::{
    core::rules::{Aws, AwsAccess, Endpoints, LoginSource, TokenSource},
    registry::tokens::{Proof, Renewal},
};

use super::{
    Fetcher,
    clouds::{
        Authority,
        aws::{Aws as Cloud, ROLE},
        identity::{Key, SUBJECT, Trust},
    },
    endpoints, keys, now, the_login,
};

pub(crate) const HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const AUDIENCE: &str = "sts.amazonaws.com";

pub(crate) fn cloud(authority: &Authority) -> Cloud {
    Cloud::start(authority, "eu-west-1", Trust::of(AUDIENCE))
}

pub(crate) fn by_role(endpoints: Endpoints) -> LoginSource {
    let token = TokenSource::ServiceAccount { audience: AUDIENCE.into() };
    LoginSource::Aws(Aws { access: AwsAccess::Role { role: ROLE.into(), token }, endpoints })
}

pub(crate) fn by_keys(endpoints: Endpoints) -> LoginSource {
    let access = AwsAccess::Keys("aws-keys".parse().unwrap());
    LoginSource::Aws(Aws { access, endpoints })
}

pub(crate) fn token() -> Proof {
    Proof::Token(Key::read("issuer").service_account(AUDIENCE, SUBJECT, now()).into())
}

#[tokio::test]
async fn a_role_gives_a_login_to_ecr() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = by_role(endpoints(&cloud.server.url(), &cloud.server.url()));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[HOST]).await.unwrap();
    let login = the_login(&minted, &cloud.ledger, ROLE);
    assert_eq!(login.user, "AWS");
    assert_eq!(&*minted.logins[0].host, HOST);
    assert!((43_195..=43_200).contains(&minted.life), "{minted:?}");
    // It lives for twelve hours, and the session behind it for one.
    assert!(matches!(minted.renewal, Renewal::Half(3590..=3600)), "{minted:?}");
    assert_eq!(cloud.server.requests().len(), 2);
}

#[tokio::test]
async fn one_session_serves_all_registries() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = by_role(endpoints(&cloud.server.url(), &cloud.server.url()));
    let other = "210987654321.dkr.ecr.eu-west-1.amazonaws.com";
    let hosts = [HOST, "public.ecr.aws", other];
    let minted = Fetcher::new(&authority).mint(&source, &token(), &hosts).await.unwrap();
    let of = |host: &str| &minted.logins.iter().find(|it| &*it.host == host).unwrap().password;
    // One login for a region, whatever the account, and one for ECR Public.
    assert_eq!(of(HOST), of(other));
    assert_ne!(of(HOST), of("public.ecr.aws"));
    assert_eq!(cloud.server.requests().len(), 3);
}

#[tokio::test]
async fn an_access_key_gives_a_login_without_a_session() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    cloud.user("AKIAEXAMPLE", "wJalr/+secret");
    let source = by_keys(endpoints(&cloud.server.url(), &cloud.server.url()));
    let proof = keys([("accessKeyId", "AKIAEXAMPLE\n"), ("secretAccessKey", "wJalr/+secret\n")]);
    let minted = Fetcher::new(&authority).mint(&source, &proof, &[HOST]).await.unwrap();
    the_login(&minted, &cloud.ledger, "AKIAEXAMPLE");
    assert!(matches!(minted.renewal, Renewal::Half(43_195..=43_200)));
    let wrong = keys([("accessKeyId", "AKIAEXAMPLE"), ("secretAccessKey", "other")]);
    let text = Fetcher::new(&authority).refusal(&source, &wrong, &[HOST]).await;
    assert!(text.contains("step registry") && text.contains("check the secret key"), "{text}");
}

#[tokio::test]
async fn pod_identity_gives_a_login() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let (id, secret, session, until) = cloud.session("pod");
    let until = k8s_openapi::jiff::Timestamp::from_second(until).unwrap().to_string();
    let body = serde_json::json!({
        "AccessKeyId": id, "SecretAccessKey": secret, "Token": session, "Expiration": until,
    });
    let agent = super::clouds::Server::start_plain(move |request| {
        if request.header("authorization") == "agent-t0ken" {
            super::clouds::Reply::json(200, &body)
        } else {
            super::clouds::Reply::new(403, "")
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "agent-t0ken\n").unwrap();
    let mut fetcher = Fetcher::new(&authority);
    let address = format!("http://{}/v1/credentials", agent.address);
    fetcher.machine.eks = Some((address.into(), file.clone()));
    let access = AwsAccess::PodIdentity;
    let endpoints = endpoints(&cloud.server.url(), &cloud.server.url());
    let source = LoginSource::Aws(Aws { access, endpoints });
    let minted = fetcher.mint(&source, &Proof::Machine, &[HOST]).await.unwrap();
    the_login(&minted, &cloud.ledger, "pod");

    fs::write(&file, "another").unwrap();
    let text = fetcher.refusal(&source, &Proof::Machine, &[HOST]).await;
    assert!(text.contains("step token") && text.contains("403: make a Pod Identity"), "{text}");
    fetcher.machine.eks = Some(("http://example.com/v1/credentials".into(), file));
    let text = fetcher.refusal(&source, &Proof::Machine, &[HOST]).await;
    assert!(text.contains("step identity") && text.contains("no token was sent"), "{text}");
    fetcher.machine.eks = None;
    let text = fetcher.refusal(&source, &Proof::Machine, &[HOST]).await;
    assert!(text.contains("this Pod has no EKS Pod Identity"), "{text}");
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_date_is_signed_once_more() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    cloud.user("AKIAEXAMPLE", "secret");
    let source = by_keys(endpoints(&cloud.server.url(), &cloud.server.url()));
    let proof = keys([("accessKeyId", "AKIAEXAMPLE"), ("secretAccessKey", "secret")]);
    for ahead in [-3600, 3600] {
        cloud.ledger.set_ahead(ahead);
        let before = cloud.server.requests().len();
        let minted = Fetcher::new(&authority).mint(&source, &proof, &[HOST]).await.unwrap();
        assert_eq!(cloud.server.requests().len() - before, 2);
        assert!(minted.skew.unwrap().abs_diff(ahead) <= 5, "{minted:?}");
        // The life is by the service's clock.
        assert!((43_195..=43_205).contains(&minted.life), "{minted:?}");
    }
    // A secret half that is wrong stays wrong: no third attempt.
    let before = cloud.server.requests().len();
    let wrong = keys([("accessKeyId", "AKIAEXAMPLE"), ("secretAccessKey", "other")]);
    Fetcher::new(&authority).refusal(&source, &wrong, &[HOST]).await;
    assert_eq!(cloud.server.requests().len() - before, 2);
}

#[tokio::test]
async fn a_clock_that_the_first_answer_corrects_needs_no_second_attempt() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = by_role(endpoints(&cloud.server.url(), &cloud.server.url()));
    // Ours is behind, so the token is still good for AWS.
    let mut fetcher = Fetcher::new(&authority);
    fetcher.ahead = -1800;
    let minted = fetcher.mint(&source, &token(), &[HOST]).await.unwrap();
    assert!((1795..=1805).contains(&minted.skew.unwrap()), "{minted:?}");
    assert!((43_195..=43_205).contains(&minted.life), "{minted:?}");
    assert_eq!(cloud.server.requests().len(), 2);
}

#[tokio::test]
async fn a_trust_policy_that_does_not_fit_says_so() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    let source = by_role(endpoints(&url, &url));
    let fetcher = Fetcher::new(&authority);
    let (issuer, stranger) = (Key::read("issuer"), Key::read("stranger"));
    let old = now() - 7200;
    for (token, words) in [
        (
            issuer.service_account(AUDIENCE, "system:serviceaccount:team-a:default", now()),
            "403 AccessDenied: let the trust",
        ),
        (
            issuer.service_account("other", SUBJECT, now()),
            "400 InvalidIdentityToken: register the issuer",
        ),
        (
            issuer.service_account(AUDIENCE, SUBJECT, old),
            "400 ExpiredTokenException: the ServiceAccount's",
        ),
        (
            stranger.service_account(AUDIENCE, SUBJECT, now()),
            "400 InvalidIdentityToken: register the issuer",
        ),
    ] {
        let text = fetcher.refusal(&source, &Proof::Token(token.into()), &[HOST]).await;
        let begin =
            format!("login acme: step token at localhost:{}: {words}", cloud.server.address.port());
        assert!(text.starts_with(&begin), "{text}");
    }
}

#[tokio::test]
async fn no_token_goes_out_for_another_host() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = by_role(endpoints(&cloud.server.url(), &cloud.server.url()));
    for host in
        ["ghcr.io", "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example", "localhost:5000"]
    {
        let text = Fetcher::new(&authority).refusal(&source, &token(), &[HOST, host]).await;
        let expected = format!("login acme: step identity: {host}: it is no host of Amazon ECR");
        assert_eq!(text, expected);
    }
    assert!(cloud.server.requests().is_empty());
}

#[tokio::test]
async fn a_login_without_its_proof_asks_for_it() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    let fetcher = Fetcher::new(&authority);
    let text = fetcher.refusal(&by_role(endpoints(&url, &url)), &Proof::Machine, &[HOST]).await;
    assert_eq!(text, "login acme: step identity: the login needs a token of a ServiceAccount");
    let text = fetcher.refusal(&by_keys(endpoints(&url, &url)), &token(), &[HOST]).await;
    assert_eq!(text, "login acme: step identity: the login needs the Secret with its keys");
    let empty = keys([("accessKeyId", " ")]);
    let text = fetcher.refusal(&by_keys(endpoints(&url, &url)), &empty, &[HOST]).await;
    assert_eq!(
        text,
        "login acme: step identity: the Secret with the keys has no text under accessKeyId: add it"
    );
    assert!(cloud.server.requests().is_empty());
}
