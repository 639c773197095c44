//! AWS: STS, ECR and ECR Public, all at one address, as `AWS_ENDPOINT_URL` wants it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    Authority, Issued, Ledger, Received, Reply, Server,
    identity::{Distrust, Trust},
    server::value,
    signed::{Signed, hex, mac},
};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/pull";

/// The names that AWS's own addresses have for a region.
pub(crate) const NAMES: [&str; 3] = [
    "sts.eu-west-1.amazonaws.com",
    "api.ecr.eu-west-1.amazonaws.com",
    "api.ecr-public.us-east-1.amazonaws.com",
];

/// By how many seconds a request's date may differ from AWS's clock.
const WINDOW: i64 = 300;

/// A running AWS.
pub(crate) struct Aws {
    pub(crate) server: Server,
    pub(crate) ledger: Ledger,
    state: Arc<State>,
}

struct State {
    ledger: Ledger,
    /// The roles, and whom they trust.
    roles: BTreeMap<String, Trust>,
    region: String,
    keys: Mutex<BTreeMap<String, Key>>,
}

/// An access key: a user's, or a session's.
struct Key {
    secret: String,
    session: Option<String>,
    expires_at: i64,
    owner: String,
}

// === impl Aws ===

impl Aws {
    /// A region with one role.
    pub(crate) fn start(authority: &Authority, region: &str, trust: Trust) -> Self {
        Self::with_roles(authority, region, [(ROLE.to_owned(), trust)])
    }

    pub(crate) fn with_roles(
        authority: &Authority,
        region: &str,
        roles: impl IntoIterator<Item = (String, Trust)>,
    ) -> Self {
        let ledger = Ledger::default();
        let state = Arc::new(State {
            ledger: ledger.clone(),
            roles: roles.into_iter().collect(),
            region: region.to_owned(),
            keys: Mutex::default(),
        });
        let answering = Arc::clone(&state);
        let server = Server::start(authority, &NAMES, move |request| answering.answer(request));
        Self { server, ledger, state }
    }

    /// Gives a user an access key.
    pub(crate) fn user(&self, id: &str, secret: &str) {
        self.key(id, secret, None);
    }

    /// Sets a key, which may be a session's.
    pub(crate) fn key(&self, id: &str, secret: &str, session: Option<&str>) {
        let (session, expires_at) = (session.map(str::to_owned), i64::MAX);
        let key = Key { secret: secret.to_owned(), session, expires_at, owner: id.to_owned() };
        self.state.keys.lock().unwrap().insert(id.into(), key);
    }

    /// Gives a session, as STS and the agent of EKS Pod Identity do: id, secret half, token and end.
    pub(crate) fn session(&self, owner: &str) -> (String, String, String, i64) {
        self.state.session(owner, 3600)
    }

    /// What it answers, without a network.
    pub(crate) fn ask(&self, request: &Received) -> Reply {
        self.state.answer(request)
    }
}

impl State {
    fn answer(&self, request: &Received) -> Reply {
        let reply = match request.header("x-amz-target") {
            "" => self.sts(request),
            "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" => {
                self.ecr(request, "ecr", &self.region, false)
            }
            "SpencerFrontendService.GetAuthorizationToken" => {
                self.ecr(request, "ecr-public", "us-east-1", true)
            }
            _ => json_error(400, "UnknownOperationException"),
        };
        let date = std::time::UNIX_EPOCH
            + std::time::Duration::from_secs(self.ledger.now().unsigned_abs());
        reply.with("date", httpdate::fmt_http_date(date))
    }

    fn session(&self, owner: &str, seconds: i64) -> (String, String, String, i64) {
        let [id, secret, session] =
            ["ASIA", "s3cret/", "s3ssion+"].map(|kind| self.ledger.unique(kind));
        let expires_at = self.ledger.now() + seconds;
        let key = Key {
            secret: secret.clone(),
            session: Some(session.clone()),
            expires_at,
            owner: owner.to_owned(),
        };
        self.keys.lock().unwrap().insert(id.clone(), key);
        for secret in [&secret, &session] {
            // Listed so that a search for secrets finds them.
            let (user, to) = (id.clone(), owner.to_owned());
            self.ledger.issue(Issued { user, password: secret.clone(), to, expires_at });
        }
        (id, secret, session, expires_at)
    }

    fn sts(&self, request: &Received) -> Reply {
        let form = request.form();
        let of = |name: &str| value(&form, name);
        if request.method != "POST"
            || !matches!(request.uri.path(), "/")
            || request.uri.query().is_some()
        {
            return xml_error(400, "MalformedInput");
        }
        if !request.header("authorization").is_empty() {
            return xml_error(400, "IncompleteSignature");
        }
        if of("Action") != "AssumeRoleWithWebIdentity" || of("Version") != "2011-06-15" {
            return xml_error(400, "InvalidAction");
        }
        let name = of("RoleSessionName");
        let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let seconds = match of("DurationSeconds") {
            "" => 3600,
            seconds => seconds.parse().unwrap_or(0),
        };
        if !(2..=64).contains(&name.len())
            || !name.chars().all(fits)
            || !(900..=43_200).contains(&seconds)
        {
            return xml_error(400, "ValidationError");
        }
        let Some(trust) = self.roles.get(of("RoleArn")) else {
            return xml_error(403, "AccessDenied");
        };
        match trust.verify(of("WebIdentityToken"), self.ledger.now()) {
            Ok(_) => {}
            Err(Distrust::Expired) => return xml_error(400, "ExpiredTokenException"),
            Err(Distrust::Subject) => return xml_error(403, "AccessDenied"),
            Err(_) => return xml_error(400, "InvalidIdentityToken"),
        }
        if seconds > 3600 {
            return xml_error(400, "ValidationError");
        }
        let (id, secret, session, expires_at) = self.session(of("RoleArn"), seconds);
        let until = k8s_openapi::jiff::Timestamp::from_second(expires_at).unwrap();
        Reply::new(
            200,
            format!(
                "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  \
                 <AssumeRoleWithWebIdentityResult>\n    <Audience>sts.amazonaws.com</Audience>\n    <Credentials>\n      \
                 <AccessKeyId>{id}</AccessKeyId>\n      <SecretAccessKey>{secret}</SecretAccessKey>\n      \
                 <SessionToken>{session}</SessionToken>\n      <Expiration>{until}</Expiration>\n    </Credentials>\n  \
                 </AssumeRoleWithWebIdentityResult>\n</AssumeRoleWithWebIdentityResponse>\n"
            ),
        )
        .with("content-type", "text/xml")
    }

    /// Signature Version 4, and what ECR answers.
    fn ecr(&self, request: &Received, service: &str, region: &str, public: bool) -> Reply {
        let owner = match self.signer(request, service, region) {
            Ok(owner) => owner,
            Err(code) => return json_error(400, code),
        };
        let is_json = request.header("content-type") == "application/x-amz-json-1.1";
        if !is_json || serde_json::from_slice::<Value>(&request.body).ok() != Some(json!({})) {
            return json_error(400, "SerializationException");
        }
        let password = self.ledger.unique("p4ss");
        let expires_at = self.ledger.now() + self.ledger.life(12 * 3600);
        let token = BASE64_STANDARD.encode(format!("AWS:{password}"));
        let user = "AWS".to_owned();
        self.ledger.issue(Issued { user, password, to: owner, expires_at });
        #[expect(clippy::cast_precision_loss, reason = "AWS sends it so")]
        let login = json!({"authorizationToken": token, "expiresAt": expires_at as f64 + 0.5});
        let data = if public { login } else { json!([login]) };
        Reply::new(200, json!({"authorizationData": data}).to_string())
            .with("content-type", "application/x-amz-json-1.1")
    }

    /// Who signed the request.
    fn signer(
        &self,
        request: &Received,
        service: &str,
        region: &str,
    ) -> Result<String, &'static str> {
        const ALGORITHM: &str = "AWS4-HMAC-SHA256";
        let signed = Signed::of(request, ALGORITHM).ok_or("MissingAuthenticationTokenException")?;
        let scope: Vec<_> = signed.credential.split('/').collect();
        let [id, day, in_region, of_service, "aws4_request"] = scope[..] else {
            return Err("IncompleteSignatureException");
        };
        let keys = self.keys.lock().unwrap();
        let key = keys.get(id).ok_or("UnrecognizedClientException")?;
        if key.expires_at <= self.ledger.now() {
            return Err("ExpiredTokenException");
        }
        if key.session.as_deref().unwrap_or_default() != request.header("x-amz-security-token") {
            return Err("UnrecognizedClientException");
        }
        let date = request.header("x-amz-date");
        let at =
            k8s_openapi::jiff::fmt::strtime::parse("%Y%m%dT%H%M%S%#z", date.replace('Z', "+0000"));
        let at = at.and_then(|it| it.to_timestamp()).map_err(|_| "IncompleteSignatureException")?;
        if (at.as_second() - self.ledger.now()).abs() > WINDOW {
            return Err("InvalidSignatureException");
        }
        let needed = ["host", "x-amz-date", "x-amz-target"];
        let with_session = key.session.as_ref().map(|_| "x-amz-security-token");
        let all_covered = needed.into_iter().chain(with_session).all(|name| signed.covers(name));
        if in_region != region || of_service != service || !date.starts_with(day) || !all_covered {
            return Err("InvalidSignatureException");
        }
        let scope = [day, region, service, "aws4_request"];
        let text = format!("{ALGORITHM}\n{date}\n{}\n{}", scope.join("/"), signed.digest(request));
        let derived = scope
            .iter()
            .fold(format!("AWS4{}", key.secret).into_bytes(), |key, part| mac(&key, part));
        if !signed.is_by(&derived, &text) {
            return Err("InvalidSignatureException");
        }
        Ok(key.owner.clone())
    }
}

fn xml_error(status: u16, code: &str) -> Reply {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>no</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        hex(b"request")
    );
    Reply::new(status, body).with("content-type", "text/xml")
}

fn json_error(status: u16, code: &str) -> Reply {
    Reply::new(status, json!({"__type": code, "message": "no"}).to_string())
        .with("content-type", "application/x-amz-json-1.1")
}
