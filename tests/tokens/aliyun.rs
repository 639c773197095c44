//! Alibaba Cloud Container Registry, both editions.

use pullcred::{
    core::rules::{Aliyun, AliyunAccess, Endpoints, LoginSource, TokenSource},
    registry::tokens::{Proof, Renewal},
};

use super::{
    Fetcher,
    clouds::{
        Authority,
        aliyun::{Aliyun as Cloud, INSTANCE, PROVIDER, ROLE},
        identity::{Key, SUBJECT, Trust},
    },
    endpoints, keys, now, the_login,
};

pub(crate) const AUDIENCE: &str = "sts.aliyuncs.com";
pub(crate) const PERSONAL: &str = "registry.cn-shanghai.aliyuncs.com";
pub(crate) const ENTERPRISE: &str = "acme-registry.cn-shanghai.cr.aliyuncs.com";

pub(crate) fn cloud(authority: &Authority) -> Cloud {
    Cloud::start(authority, Trust::of(AUDIENCE))
}

pub(crate) fn by_role(instance: Option<&str>, endpoints: Endpoints) -> LoginSource {
    let token = TokenSource::ServiceAccount { audience: AUDIENCE.into() };
    let access = AliyunAccess::Role { role: ROLE.into(), oidc_provider: PROVIDER.into(), token };
    of(access, instance, endpoints)
}

pub(crate) fn by_keys(instance: Option<&str>, endpoints: Endpoints) -> LoginSource {
    of(AliyunAccess::Keys("ali-keys".parse().unwrap()), instance, endpoints)
}

fn of(access: AliyunAccess, instance: Option<&str>, endpoints: Endpoints) -> LoginSource {
    let instance = instance.map(Into::into);
    LoginSource::Aliyun(Aliyun { access, instance, region: None, hosts: Vec::new(), endpoints })
}

pub(crate) fn token() -> Proof {
    Proof::Token(Key::read("issuer").service_account(AUDIENCE, SUBJECT, now()).into())
}

#[tokio::test]
async fn a_role_gives_a_login_to_either_edition() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    for (instance, host, to) in
        [(Some(INSTANCE), ENTERPRISE, INSTANCE), (None, PERSONAL, "personal")]
    {
        let source = by_role(instance, endpoints(&url, &url));
        let minted = Fetcher::new(&authority).mint(&source, &token(), &[host]).await.unwrap();
        let login = the_login(&minted, &cloud.ledger, to);
        assert_eq!(login.user, "cr_temp_user");
        assert!(matches!(minted.renewal, Renewal::Half(3595..=3600)), "{minted:?}");
    }
    // The token is in the body of a request alone: addresses are logged.
    for request in cloud.server.requests() {
        let Proof::Token(token) = token() else { unreachable!() };
        let begin = token.split('.').next().unwrap();
        assert!(!request.uri.to_string().contains(begin), "{}", request.uri);
    }
}

#[tokio::test]
async fn an_access_key_gives_a_login() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    cloud.user("LTAI", "s3cret");
    let proof = keys([("accessKeyId", "LTAI"), ("accessKeySecret", "s3cret")]);
    let source = by_keys(Some(INSTANCE), endpoints(&url, &url));
    let minted = Fetcher::new(&authority).mint(&source, &proof, &[ENTERPRISE]).await.unwrap();
    the_login(&minted, &cloud.ledger, INSTANCE);
    assert_eq!(cloud.server.requests().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_date_is_signed_once_more() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    cloud.user("LTAI", "s3cret");
    cloud.ledger.set_ahead(7200);
    let proof = keys([("accessKeyId", "LTAI"), ("accessKeySecret", "s3cret")]);
    for source in [by_keys(None, endpoints(&url, &url))] {
        let minted = Fetcher::new(&authority).mint(&source, &proof, &[PERSONAL]).await.unwrap();
        assert_eq!(cloud.server.requests().len(), 2);
        assert!((7195..=7205).contains(&minted.skew.unwrap()), "{minted:?}");
    }
    // STS dates its requests, too.
    cloud.ledger.set_ahead(1800);
    let source = by_role(None, endpoints(&url, &url));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[PERSONAL]).await.unwrap();
    assert!((3595..=3605).contains(&minted.life), "{minted:?}");
    assert_eq!(cloud.server.requests().len(), 5);
}

#[tokio::test]
async fn a_role_or_key_that_does_not_fit_says_so() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    cloud.user("LTAI", "s3cret");
    let fetcher = Fetcher::new(&authority);
    let role = by_role(None, endpoints(&url, &url));
    let other = Key::read("issuer").service_account(AUDIENCE, "system:serviceaccount:x:y", now());
    let good = keys([("accessKeyId", "LTAI"), ("accessKeySecret", "s3cret")]);
    let bad = keys([("accessKeyId", "LTAI"), ("accessKeySecret", "other")]);
    let unknown = keys([("accessKeyId", "LTAX"), ("accessKeySecret", "s3cret")]);
    let personal = by_keys(None, endpoints(&url, &url));
    let instance = by_keys(Some("cri-other"), endpoints(&url, &url));
    for (source, proof, host, words) in [
        (
            &role,
            &Proof::Token(other.into()),
            PERSONAL,
            "step token at HOST: 403 AuthenticationFail.NoPermission: let the trust policy",
        ),
        (
            &personal,
            &bad,
            PERSONAL,
            "step registry at HOST: 400 SignatureDoesNotMatch: Alibaba Cloud computes another",
        ),
        (
            &personal,
            &unknown,
            PERSONAL,
            "step registry at HOST: 404 InvalidAccessKeyId.NotFound: Alibaba Cloud does not know",
        ),
        (
            &instance,
            &good,
            ENTERPRISE,
            "step registry at HOST: 200 INSTANCE_NOT_EXIST: let the policy",
        ),
        (
            &personal,
            &good,
            ENTERPRISE,
            "step identity: acme-registry.cn-shanghai.cr.aliyuncs.com: a registry of the Enterprise Edition needs",
        ),
        (
            &personal,
            &good,
            "crpi-x.cn-shanghai.personal.cr.aliyuncs.com",
            "step identity: crpi-x.cn-shanghai.personal.cr.aliyuncs.com: this edition of the registry gives no short-lived logins",
        ),
    ] {
        let text = fetcher.refusal(source, proof, &[host]).await;
        let host = format!("localhost:{}", cloud.server.address.port());
        assert!(
            text.starts_with(&format!("login acme: {}", words.replace("HOST", &host))),
            "{text}"
        );
    }
}
