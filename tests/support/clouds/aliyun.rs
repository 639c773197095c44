//! Alibaba Cloud: STS, and the registries' API of both editions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{
    Authority, Issued, Ledger, Received, Reply, Server,
    identity::{Distrust, Trust},
    server::value,
    signed::{Signed, sha256},
};

pub(crate) const ROLE: &str = "acs:ram::111:role/pull";
pub(crate) const PROVIDER: &str = "acs:ram::111:oidc-provider/c1";
pub(crate) const INSTANCE: &str = "cri-0123456789abcdef";
pub(crate) const NAMES: [&str; 2] = ["sts.cn-shanghai.aliyuncs.com", "cr.cn-shanghai.aliyuncs.com"];

/// To whom logins to the Personal Edition are given.
const PERSONAL: &str = "personal";

/// By how many seconds a request's date may differ from Alibaba Cloud's clock.
const WINDOW: i64 = 900;

/// A running account of Alibaba Cloud.
pub(crate) struct Aliyun {
    pub(crate) server: Server,
    pub(crate) ledger: Ledger,
    state: Arc<State>,
}

struct State {
    ledger: Ledger,
    trust: Trust,
    role: String,
    provider: String,
    keys: Mutex<BTreeMap<String, Key>>,
    nonces: Mutex<BTreeSet<String>>,
}

struct Key {
    secret: String,
    session: Option<String>,
    expires_at: i64,
}

impl Aliyun {
    pub(crate) fn start(authority: &Authority, trust: Trust) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), authority, trust, (ROLE, PROVIDER))
    }

    /// The same at an address of this machine, with an account's role and OIDC provider.
    pub(crate) fn start_at(
        address: IpAddr,
        authority: &Authority,
        trust: Trust,
        (role, provider): (&str, &str),
    ) -> Self {
        let ledger = Ledger::default();
        let state = Arc::new(State {
            ledger: ledger.clone(),
            trust,
            role: role.to_owned(),
            provider: provider.to_owned(),
            keys: Mutex::default(),
            nonces: Mutex::default(),
        });
        let answering = Arc::clone(&state);
        let server = Server::start_at(address, authority, &NAMES, move |it| answering.answer(it));
        Self { server, ledger, state }
    }

    /// The logins to registries that it gave.
    pub(crate) fn logins(&self) -> Vec<Issued> {
        logins(&self.ledger)
    }

    /// Gives a user an access key.
    pub(crate) fn user(&self, id: &str, secret: &str) {
        self.key(id, secret, None);
    }

    /// Sets a key, which may be a session's.
    pub(crate) fn key(&self, id: &str, secret: &str, session: Option<&str>) {
        let (session, expires_at) = (session.map(str::to_owned), i64::MAX);
        let key = Key { secret: secret.to_owned(), session, expires_at };
        self.state.keys.lock().unwrap().insert(id.to_owned(), key);
    }

    /// Gives a session, as STS does: id, secret half and token.
    pub(crate) fn session(&self) -> (String, String, String) {
        let (id, secret, session, _) = self.state.session();
        (id, secret, session)
    }

    /// What it answers, without a network.
    pub(crate) fn ask(&self, request: &Received) -> Reply {
        self.state.answer(request)
    }
}

impl State {
    fn answer(&self, request: &Received) -> Reply {
        let query = request.query();
        let reply = if value(&query, "Action") == "AssumeRoleWithOIDC" {
            self.sts(request, &query)
        } else {
            self.registries(request, &query)
        };
        let date = std::time::UNIX_EPOCH
            + std::time::Duration::from_secs(self.ledger.now().unsigned_abs());
        reply.with("date", httpdate::fmt_http_date(date))
    }

    fn session(&self) -> (String, String, String, i64) {
        let [id, secret, session] =
            ["STS.", "s3cret", "s3ssion"].map(|kind| self.ledger.unique(kind));
        let expires_at = self.ledger.now() + 3600;
        let key = Key { secret: secret.clone(), session: Some(session.clone()), expires_at };
        self.keys.lock().unwrap().insert(id.clone(), key);
        for secret in [&secret, &session] {
            let (user, to) = (id.clone(), self.role.clone());
            self.ledger.issue(Issued { user, password: secret.clone(), to, expires_at });
        }
        (id, secret, session, expires_at)
    }

    fn is_new(&self, nonce: &str) -> bool {
        !nonce.is_empty() && self.nonces.lock().unwrap().insert(nonce.to_owned())
    }

    fn in_time(&self, date: &str) -> bool {
        let date = date.ends_with('Z').then(|| date.parse::<Timestamp>().ok()).flatten();
        date.is_some_and(|date| (date.as_second() - self.ledger.now()).abs() <= WINDOW)
    }

    fn sts(&self, request: &Received, query: &[(String, String)]) -> Reply {
        let of = |name: &str| value(query, name);
        if request.method != "POST" || of("Version") != "2015-04-01" || of("Format") != "JSON" {
            return error(400, "InvalidParameter");
        }
        if !of("OIDCToken").is_empty() {
            // The real one takes it. Addresses are logged, so nobody should send it there.
            return error(400, "InvalidParameter.OIDCToken");
        }
        if !self.in_time(of("Timestamp")) {
            return error(400, "InvalidTimeStamp.Expired");
        }
        if !self.is_new(of("SignatureNonce")) {
            return error(400, "SignatureNonceUsed");
        }
        if of("RoleArn") != self.role || of("OIDCProviderArn") != self.provider {
            return error(404, "EntityNotExist.Role");
        }
        let name = of("RoleSessionName");
        let seconds = of("DurationSeconds").parse().unwrap_or(0);
        if !(2..=64).contains(&name.len()) || !(900..=3600).contains(&seconds) {
            return error(400, "InvalidParameter");
        }
        match self.trust.verify(value(&request.form(), "OIDCToken"), self.ledger.now()) {
            Ok(_) => {}
            Err(Distrust::Expired) => return error(400, "AuthenticationFail.OIDCToken.Expired"),
            Err(Distrust::Subject) => return error(403, "AuthenticationFail.NoPermission"),
            Err(_) => return error(400, "AuthenticationFail.OIDCToken.Invalid"),
        }
        let (id, secret, session, until) = self.session();
        let credentials = json!({
            "AccessKeyId": id,
            "AccessKeySecret": secret,
            "SecurityToken": session,
            "Expiration": Timestamp::from_second(until).unwrap().to_string(),
        });
        Reply::json(200, &json!({"RequestId": "r", "Credentials": credentials}))
    }

    fn registries(&self, request: &Received, query: &[(String, String)]) -> Reply {
        let enterprise =
            match (request.method.as_str(), request.uri.path(), request.header("x-acs-version")) {
                ("POST", "/", "2018-12-01") => true,
                ("GET", "/tokens", "2016-06-07") => false,
                _ => return error(404, "InvalidAction.NotFound"),
            };
        if let Err((status, code)) = self.signed(request) {
            return if enterprise { error(status, code) } else { small_error(status, code) };
        }
        if enterprise && value(query, "InstanceId") != INSTANCE {
            return Reply::json(
                200,
                &json!({"IsSuccess": false, "Code": "INSTANCE_NOT_EXIST", "RequestId": "r"}),
            );
        }
        let (user, password) = ("cr_temp_user".to_owned(), self.ledger.unique("p4ss"));
        let expires_at = self.ledger.now() + self.ledger.life(3600);
        let to = if enterprise { INSTANCE } else { PERSONAL };
        self.ledger.issue(Issued {
            user: user.clone(),
            password: password.clone(),
            to: to.into(),
            expires_at,
        });
        let milliseconds = expires_at * 1000;
        Reply::json(
            200,
            &if enterprise {
                json!({"IsSuccess": true, "Code": "success", "TempUsername": user, "AuthorizationToken": password,
                    "ExpireTime": milliseconds, "RequestId": "r"})
            } else {
                json!({"data": {"tempUserName": user, "authorizationToken": password, "expireDate": milliseconds},
                    "requestId": "r"})
            },
        )
    }

    /// ACS3-HMAC-SHA256.
    fn signed(&self, request: &Received) -> Result<(), (u16, &'static str)> {
        const ALGORITHM: &str = "ACS3-HMAC-SHA256";
        let signed = Signed::of(request, ALGORITHM).ok_or((400, "IncompleteSignature"))?;
        let needed = [
            "x-acs-action",
            "x-acs-content-sha256",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-version",
        ];
        let came = request.headers.keys().map(axum::http::HeaderName::as_str);
        let all = came.filter(|name| name.starts_with("x-acs-")).chain(needed).chain(["host"]);
        if !all.into_iter().all(|name| signed.covers(name)) {
            return Err((400, "IncompleteSignature"));
        }
        if request.header("x-acs-action") != "GetAuthorizationToken" {
            return Err((404, "InvalidAction.NotFound"));
        }
        if request.header("x-acs-content-sha256") != sha256(&request.body) {
            return Err((400, "SignatureDoesNotMatch"));
        }
        let keys = self.keys.lock().unwrap();
        let key = keys.get(&signed.credential).ok_or((404, "InvalidAccessKeyId.NotFound"))?;
        let is_session =
            key.session.as_deref().unwrap_or_default() == request.header("x-acs-security-token");
        if !is_session || key.expires_at <= self.ledger.now() {
            return Err((400, "InvalidSecurityToken.Expired"));
        }
        if !self.in_time(request.header("x-acs-date")) {
            return Err((400, "IllegalTimestamp"));
        }
        let text = format!("{ALGORITHM}\n{}", signed.digest(request));
        if !signed.is_by(key.secret.as_bytes(), &text) {
            return Err((400, "SignatureDoesNotMatch"));
        }
        let is_new = self.is_new(request.header("x-acs-signature-nonce"));
        if is_new { Ok(()) } else { Err((400, "SignatureNonceUsed")) }
    }
}

/// The logins to registries, and not the sessions, that an account gave.
pub(crate) fn logins(ledger: &Ledger) -> Vec<Issued> {
    let mut issued = ledger.issued();
    issued.retain(|it| [INSTANCE, PERSONAL].contains(&&*it.to));
    issued
}

fn error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"Code": code, "Message": "no", "RequestId": "r"}))
}

/// The older API writes its names small.
fn small_error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": "no", "requestId": "r"}))
}
