//! Artifact Registry.

use pullcred::{
    core::rules::{Endpoints, Google, GoogleAccess, LoginSource, TokenSource},
    registry::tokens::{Proof, Renewal},
};

use super::{
    Fetcher,
    clouds::{
        Authority,
        google::{ACCOUNT, Google as Cloud, PROVIDER},
        identity::{Key, SUBJECT, Trust},
    },
    endpoints, now, the_login,
};

pub(crate) const HOST: &str = "europe-west1-docker.pkg.dev";

pub(crate) fn audience() -> String {
    format!("//iam.googleapis.com/{PROVIDER}")
}

pub(crate) fn cloud(authority: &Authority) -> Cloud {
    Cloud::start(authority, Trust::of(&audience()))
}

pub(crate) fn source(impersonate: Option<&str>, endpoints: Endpoints) -> LoginSource {
    let token = TokenSource::ServiceAccount { audience: audience().into() };
    let access = GoogleAccess::Federation { provider: PROVIDER.into(), token };
    LoginSource::Google(Google { access, impersonate: impersonate.map(Into::into), endpoints })
}

pub(crate) fn token() -> Proof {
    Proof::Token(Key::read("issuer").service_account(&audience(), SUBJECT, now()).into())
}

#[tokio::test]
async fn a_pool_gives_a_login() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = source(None, endpoints(&cloud.server.url(), &cloud.server.url()));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[HOST, "gcr.io"]).await.unwrap();
    assert_eq!(minted.logins[0].password, minted.logins[1].password);
    assert_eq!(&*minted.logins[1].host, "gcr.io");
    assert_eq!(&*minted.logins[0].username, "oauth2accesstoken");
    assert!(matches!(minted.renewal, Renewal::Half(3595..=3600)), "{minted:?}");
    assert_eq!(cloud.server.requests().len(), 1);
}

#[tokio::test]
async fn a_service_account_is_impersonated() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let source = source(Some(ACCOUNT), endpoints(&cloud.server.url(), &cloud.server.url()));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[HOST]).await.unwrap();
    the_login(&minted, &cloud.ledger, "impersonated");
    assert_eq!(cloud.server.requests().len(), 2);
}

#[tokio::test]
async fn the_metadata_server_gives_a_login_where_the_mapping_names_it() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let mut fetcher = Fetcher::new(&authority);
    fetcher.machine.google = format!("http://{}", cloud.metadata.address).into();
    let (access, impersonate) = (GoogleAccess::Metadata, None);
    let endpoints = Endpoints::default();
    let source = LoginSource::Google(Google { access, impersonate, endpoints });
    let minted = fetcher.mint(&source, &Proof::Machine, &[HOST]).await.unwrap();
    the_login(&minted, &cloud.ledger, "cloud-platform");
}

#[tokio::test]
async fn a_pool_or_account_that_does_not_fit_says_so() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    let url = cloud.server.url();
    let at = format!("at localhost:{}", cloud.server.address.port());
    let fetcher = Fetcher::new(&authority);
    let wrong = Key::read("issuer").service_account("other", SUBJECT, now());
    let text = fetcher
        .refusal(&source(None, endpoints(&url, &url)), &Proof::Token(wrong.into()), &[HOST])
        .await;
    assert!(
        text.starts_with(&format!(
            "login acme: step token {at}: 400 invalid_grant: let the provider"
        )),
        "{text}"
    );
    let other = Some("other@acme.iam.gserviceaccount.com");
    let text = fetcher.refusal(&source(other, endpoints(&url, &url)), &token(), &[HOST]).await;
    assert_eq!(
        text,
        format!(
            "login acme: step exchange {at}: 404 NOT_FOUND: check the mail address of the service account"
        )
    );
}

#[tokio::test]
async fn a_token_that_lives_as_long_as_its_proof_is_renewed_by_that() {
    let authority = Authority::new();
    let cloud = cloud(&authority);
    cloud.ledger.set_life(900);
    let source = source(None, endpoints(&cloud.server.url(), &cloud.server.url()));
    let minted = Fetcher::new(&authority).mint(&source, &token(), &[HOST]).await.unwrap();
    assert!(matches!(minted.renewal, Renewal::Half(895..=900)), "{minted:?}");
    cloud.ledger.set_life(30);
    let text = Fetcher::new(&authority).refusal(&source, &token(), &[HOST]).await;
    assert!(text.contains("200: the login lives for 30 s only"), "{text}");
}
