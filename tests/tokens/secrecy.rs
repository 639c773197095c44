//! Nothing that a cloud hands out, and nothing that proves who asks, is in any log, error or `Debug`, at the level `trace`.

use std::{
    fmt::Write as _,
    io::Write,
    sync::{Arc, Mutex},
};

use pullcred::{core::rules::LoginSource, errors::with_causes, registry::tokens::Proof};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use super::{
    Fetcher,
    clouds::{
        Authority, Ledger, Reply, Server,
        aliyun::INSTANCE,
        azure,
        github::{APP, Github, INSTALLATION},
        google::ACCOUNT,
        identity::pem,
    },
    endpoints, keys,
};

/// A log that is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn nothing_secret_is_in_logs_errors_or_debug() {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(kept.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (secrets, shown) =
        tracing::subscriber::with_default(subscriber, || runtime.block_on(everything()));
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    // The log is one of HTTP at its most talkative, and not empty by mistake.
    assert!(log.contains("TRACE") && log.contains("hyper"), "{}", log.len());
    assert!(secrets.len() > 20, "{}", secrets.len());
    for secret in &secrets {
        assert!(secret.len() >= 8, "{secret}");
        for text in [&log, &shown] {
            let at = text.find(secret.as_str());
            assert!(at.is_none(), "…{}…", &text[at.unwrap().saturating_sub(200)..][..400]);
        }
    }
}

/// Fetches each kind of login, and has each refused. Returns what is secret, and all that could be shown.
async fn everything() -> (Vec<String>, String) {
    let authority = Authority::new();
    let fetcher = Fetcher::new(&authority);
    let (aws, google) = (super::aws::cloud(&authority), super::google::cloud(&authority));
    let (azure, aliyun) = (super::azure::cloud(&authority), super::aliyun::cloud(&authority));
    let github = Github::start(&authority);
    let at = |server: &Server| endpoints(&server.url(), &server.url());
    let app = pem("app");
    let ways: Vec<(&Server, &Ledger, LoginSource, Proof, &str)> = vec![
        (
            &aws.server,
            &aws.ledger,
            super::aws::by_role(at(&aws.server)),
            super::aws::token(),
            super::aws::HOST,
        ),
        (
            &google.server,
            &google.ledger,
            super::google::source(Some(ACCOUNT), at(&google.server)),
            super::google::token(),
            "gcr.io",
        ),
        (
            &azure.server,
            &azure.ledger,
            super::azure::source(azure::TENANT, azure::CLIENT, at(&azure.server)),
            super::azure::token(),
            azure::REGISTRY,
        ),
        (
            &aliyun.server,
            &aliyun.ledger,
            super::aliyun::by_role(Some(INSTANCE), at(&aliyun.server)),
            super::aliyun::token(),
            super::aliyun::ENTERPRISE,
        ),
        (
            &github.server,
            &github.ledger,
            super::github::source(APP, INSTALLATION, &[], &github.server.url()),
            keys([("privateKey", &app)]),
            super::github::HOST,
        ),
    ];
    let mut secrets: Vec<String> =
        app.lines().filter(|line| line.len() == 64).map(str::to_owned).collect();
    let mut shown = String::new();
    for (server, ledger, source, proof, host) in &ways {
        let minted = fetcher.mint(source, proof, &[host]).await.unwrap();
        write!(shown, "{minted:?} {source:?} {proof:?} {:?}", minted.logins[0].password).unwrap();
        for login in &minted.logins {
            secrets.push(login.password.to_string());
        }
        let body =
            ledger.issued().iter().map(|it| it.password.clone()).collect::<Vec<_>>().join(" ");
        for status in [200, 401, 500] {
            server.queue([Reply::new(status, body.clone()).with("x-secret", body.clone())]);
            let error = fetcher.mint(source, proof, &[host]).await.unwrap_err();
            write!(shown, "{error:?} {}", with_causes(&error)).unwrap();
        }
        secrets.extend(ledger.issued().into_iter().map(|it| it.password));
        if let Proof::Token(token) = proof {
            secrets.push(token.to_string());
        }
    }
    (secrets, shown)
}
