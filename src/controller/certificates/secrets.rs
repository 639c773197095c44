//! The content of the two Secrets, parsed from and rendered to Kubernetes objects.

use std::{collections::BTreeMap, fmt, iter};

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::{
    certificate::{
        CaCertificate, CertificateAuthority, CertificateError, PrivateKey, ServingCertificate,
    },
    plan::{Authorities, Authority, CaId},
};

/// The label of the controller's Secrets. A Secret without it is never written.
pub(super) const OWNER_LABEL: (&str, &str) =
    ("app.kubernetes.io/managed-by", "pullcred-controller");

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const PREVIOUS_CERTIFICATES: &str = "previous.crt";
const PREVIOUS_KEY: &str = "previous.key";
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";

/// A Secret as it was read.
#[derive(Debug)]
pub enum Found<T> {
    /// The Secret does not exist.
    Absent,
    /// The Secret lacks the label of the controller.
    Foreign,
    /// The Secret is the controller's, but its content is not usable.
    Unusable {
        /// The object's resourceVersion.
        version: Box<str>,
        /// Why the content is not usable.
        error: CertificateError,
    },
    /// The Secret is the controller's and usable.
    Usable {
        /// The object's resourceVersion.
        version: Box<str>,
        /// The parsed content.
        value: T,
    },
}

/// The CA Secret: type `Opaque`, with `ca.crt` and `ca.key`, and during a rotation `previous.crt` and `previous.key`.
#[derive(Debug)]
pub struct CaSecret {
    /// The CA that issues leaves, or soon will.
    pub newest: CertificateAuthority,
    /// Older CAs that are still trusted.
    pub previous: Vec<Previous>,
}

/// An older CA that is still trusted.
#[derive(Debug, Clone)]
pub enum Previous {
    /// The Secret has only its certificate.
    Certificate(CaCertificate),
    /// The Secret has its key as well.
    Signing(CertificateAuthority),
}

/// The data to write to a Secret. `None` removes a key.
pub struct Data(BTreeMap<&'static str, Option<String>>);

/// The type and content of a Secret to write.
pub trait Content {
    /// The `type` of the Secret, which is immutable.
    const TYPE: &'static str;

    /// The data to write.
    fn data(&self) -> Data;
}

/// A leaf together with the CA that issued it, as the TLS Secret holds them: type `kubernetes.io/tls`, with `tls.crt`,
/// `tls.key` and `ca.crt`.
#[derive(Debug)]
pub struct TlsContent<'a> {
    /// The leaf.
    pub leaf: &'a ServingCertificate,
    /// Its issuer: informational, the webhook does not read it.
    pub issuer: &'a CaCertificate,
}

// === impl Found ===

impl<T> Found<T> {
    fn read(
        secret: Option<&Secret>,
        content: impl FnOnce(&Secret) -> Result<T, CertificateError>,
    ) -> Self {
        let Some(secret) = secret else { return Self::Absent };
        let (key, owner) = OWNER_LABEL;
        let labels = secret.metadata.labels.as_ref();
        if labels.and_then(|labels| labels.get(key)).is_none_or(|value| value != owner) {
            return Self::Foreign;
        }
        let version = secret.metadata.resource_version.as_deref().unwrap_or_default().into();
        match content(secret) {
            Ok(value) => Self::Usable { version, value },
            Err(error) => Self::Unusable { version, error },
        }
    }

    /// The resourceVersion; a fixed word if the Secret is absent or foreign.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Absent => "absent",
            Self::Foreign => "foreign",
            Self::Unusable { version, .. } | Self::Usable { version, .. } => version,
        }
    }

    /// The parsed content, if it is usable.
    #[must_use]
    pub fn usable(&self) -> Option<&T> {
        match self {
            Self::Usable { value, .. } => Some(value),
            Self::Absent | Self::Foreign | Self::Unusable { .. } => None,
        }
    }
}

impl Found<CaSecret> {
    /// Reads the CA Secret.
    #[must_use]
    pub fn ca(secret: Option<&Secret>) -> Self {
        Self::read(secret, CaSecret::from_secret)
    }
}

impl Found<ServingCertificate> {
    /// Reads the TLS Secret. A leaf that is not for `names` is not usable.
    #[must_use]
    pub fn tls(secret: Option<&Secret>, names: &[String]) -> Self {
        Self::read(secret, |secret| {
            let key = bytes(secret, TLS_KEY);
            let leaf = ServingCertificate::from_pem(bytes(secret, TLS_CERTIFICATE), key)?;
            leaf.check_names(names)?;
            Ok(leaf)
        })
    }
}

// === impl CaSecret ===

impl CaSecret {
    fn from_secret(secret: &Secret) -> Result<Self, CertificateError> {
        let certificate = CaCertificate::from_pem(bytes(secret, CA_CERTIFICATE))?;
        let key = PrivateKey::from_pem(bytes(secret, CA_KEY))?;
        let newest = CertificateAuthority::new(certificate, key)?;
        let previous = CaCertificate::all_from_pem(bytes(secret, PREVIOUS_CERTIFICATES));
        let sign = |certificate: CaCertificate| {
            // There is at most one key. It belongs to one of them, or to none if they were adopted from the webhook configuration.
            let key = PrivateKey::from_pem(bytes(secret, PREVIOUS_KEY));
            match key.and_then(|key| CertificateAuthority::new(certificate.clone(), key)) {
                Ok(authority) => Previous::Signing(authority),
                Err(_) => Previous::Certificate(certificate),
            }
        };
        Ok(Self { newest, previous: previous.into_iter().map(sign).collect() })
    }

    /// All certificates, the newest first.
    pub fn certificates(&self) -> impl Iterator<Item = &CaCertificate> {
        let previous = self.previous.iter().map(Previous::certificate);
        iter::once(self.newest.certificate()).chain(previous)
    }

    /// The `caBundle` to publish: the CA certificates in PEM.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.certificates().map(CaCertificate::to_pem).collect()
    }

    /// The previous CA of this id, if it can sign.
    #[must_use]
    pub fn previous_signer(&self, id: CaId) -> Option<&CertificateAuthority> {
        self.previous.iter().find_map(|previous| match previous {
            Previous::Signing(authority) if authority.certificate().id() == id => Some(authority),
            Previous::Signing(_) | Previous::Certificate(_) => None,
        })
    }

    /// The view of the plan on it.
    #[must_use]
    pub fn authorities(&self) -> Authorities {
        let authority = |certificate: &CaCertificate, can_sign| Authority {
            id: certificate.id(),
            validity: certificate.validity(),
            can_sign,
        };
        let previous = self.previous.iter().map(|previous| {
            authority(previous.certificate(), matches!(previous, Previous::Signing(_)))
        });
        Authorities {
            newest: authority(self.newest.certificate(), true),
            previous: previous.collect(),
        }
    }
}

impl Content for CaSecret {
    const TYPE: &'static str = "Opaque";

    fn data(&self) -> Data {
        let certificates: String =
            self.previous.iter().map(|previous| previous.certificate().to_pem()).collect();
        let key = self.previous.iter().find_map(|previous| match previous {
            Previous::Signing(authority) => Some(authority.key().to_pem()),
            Previous::Certificate(_) => None,
        });
        Data(BTreeMap::from([
            (CA_CERTIFICATE, Some(self.newest.certificate().to_pem())),
            (CA_KEY, Some(self.newest.key().to_pem())),
            (PREVIOUS_CERTIFICATES, Some(certificates).filter(|text| !text.is_empty())),
            (PREVIOUS_KEY, key),
        ]))
    }
}

// === impl Previous ===

impl Previous {
    /// The CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        match self {
            Self::Certificate(certificate) => certificate,
            Self::Signing(authority) => authority.certificate(),
        }
    }
}

// === impl TlsContent ===

impl Content for TlsContent<'_> {
    const TYPE: &'static str = "kubernetes.io/tls";

    fn data(&self) -> Data {
        Data(BTreeMap::from([
            (CA_CERTIFICATE, Some(self.issuer.to_pem())),
            (TLS_CERTIFICATE, Some(self.leaf.to_pem())),
            (TLS_KEY, Some(self.leaf.key().to_pem())),
        ]))
    }
}

// === impl Data ===

impl Data {
    /// A Secret to create, by server-side apply.
    #[must_use]
    pub fn to_new_secret(&self, namespace: &str, name: &str, kind: &str) -> Value {
        let (label, owner) = OWNER_LABEL;
        let data: BTreeMap<_, _> =
            self.encoded().filter_map(|(key, value)| Some((key, value?))).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {label: owner}},
            "type": kind,
            "data": data,
        })
    }

    /// A merge patch of a Secret, which the API server accepts only if the object still has this version.
    #[must_use]
    pub fn to_patch(&self, version: &str) -> Value {
        let data: BTreeMap<_, _> = self.encoded().collect();
        json!({"metadata": {"resourceVersion": version}, "data": data})
    }

    fn encoded(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        self.0
            .iter()
            .map(|(key, value)| (*key, value.as_ref().map(|value| BASE64_STANDARD.encode(value))))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The bytes of a key; empty if it is missing, which is equally unusable.
fn bytes<'a>(secret: &'a Secret, key: &str) -> &'a [u8] {
    secret.data.as_ref().and_then(|data| data.get(key)).map_or(&[], |bytes| &bytes.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn authority() -> CertificateAuthority {
        CertificateAuthority::make(1_800_000_000, DAY).unwrap()
    }

    /// As the API server would store it.
    fn stored<C: Content>(content: &C) -> Secret {
        let mut object = content.data().to_new_secret("system", "name", C::TYPE);
        object["metadata"]["resourceVersion"] = "7".into();
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_ca_secret_comes_back_as_it_was_written() {
        let adopted = authority().certificate().clone();
        let previous = vec![Previous::Certificate(adopted), Previous::Signing(authority())];
        let written = CaSecret { newest: authority(), previous };
        let found = Found::ca(Some(&stored(&written)));
        let read = found.usable().unwrap();
        assert_eq!(read.authorities(), written.authorities());
        assert_eq!(read.bundle(), written.bundle());
        assert_eq!(CaCertificate::all_from_pem(read.bundle().as_bytes()).len(), 3);
    }

    #[test]
    fn what_is_no_longer_needed_is_removed() {
        let ca = CaSecret { newest: authority(), previous: Vec::new() };
        let patch = ca.data().to_patch("7");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patch["data"][PREVIOUS_CERTIFICATES], Value::Null);
        assert_eq!(patch["data"][PREVIOUS_KEY], Value::Null);
        assert!(patch["data"][CA_KEY].is_string());
        let created = ca.data().to_new_secret("system", "ca", CaSecret::TYPE);
        assert_eq!(created["data"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_tls_secret_is_usable_for_its_names_only() {
        let authority = authority();
        let names = ["pullcred.system.svc".to_owned()];
        let leaf = authority.issue(&names, 1_800_000_000, DAY).unwrap();
        let secret = stored(&TlsContent { leaf: &leaf, issuer: authority.certificate() });
        assert!(Found::tls(Some(&secret), &names).usable().is_some());
        let others = ["pullcred.other.svc".to_owned()];
        assert!(matches!(
            Found::tls(Some(&secret), &others),
            Found::Unusable { error: CertificateError::OtherName(_), .. }
        ));
    }

    #[test]
    fn a_secret_without_the_mark_is_not_ours() {
        let mut secret = stored(&CaSecret { newest: authority(), previous: Vec::new() });
        secret.metadata.labels = None;
        assert!(matches!(Found::ca(Some(&secret)), Found::Foreign));
        assert!(matches!(Found::ca(None), Found::Absent));
    }

    #[test]
    fn a_secret_with_a_damaged_key_is_unusable_and_nothing_of_it_is_shown() {
        let ca = CaSecret { newest: authority(), previous: Vec::new() };
        let mut secret = stored(&ca);
        let key = ca.newest.key().to_pem();
        let torn = key.replacen('A', "", 1);
        if let Some(data) = &mut secret.data {
            data.insert(CA_KEY.to_owned(), k8s_openapi::ByteString(torn.clone().into_bytes()));
        }
        let shown = format!("{:?} {:?}", Found::ca(Some(&secret)), ca.data());
        assert!(shown.contains("NoKey") || shown.contains("OtherKey"), "{shown}");
        assert!(torn.lines().skip(1).take(2).all(|line| !shown.contains(line)), "{shown}");
    }
}
