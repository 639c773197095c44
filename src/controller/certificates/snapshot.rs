//! The three objects, read one after the other, and their view for the plan.

use super::{
    certificate::{CaCertificate, CertificateAuthority, CertificateError, ServingCertificate},
    durations::Durations,
    metrics::Object,
    plan::{Action, Bundles, CaId, Issuer, Leaf, Observed, Timestamp},
    secrets::{CaSecret, Found, Previous},
    webhook_configuration::{Entries, Ours},
};

/// The names of the objects and of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of the Secrets and of the webhook's Service.
    pub namespace: String,
    /// The webhook's Service, which the certificate is for.
    pub service: String,
    /// The `MutatingWebhookConfiguration`.
    pub configuration: String,
    /// The webhook in it to write to; `None` for all that call the Service.
    pub webhook: Option<String>,
    /// The CA Secret.
    pub ca_secret: String,
    /// The TLS Secret.
    pub tls_secret: String,
}

/// A source of the objects: the API server, or the model of the tests.
#[expect(async_fn_in_trait, reason = "no caller needs the futures to be Send")]
pub trait Source {
    /// The webhook configuration.
    type Configuration;
    /// The TLS Secret.
    type Tls;
    /// The CA Secret.
    type Ca;
    /// Why one of them cannot be read.
    type Error;

    /// Reads the webhook configuration.
    async fn configuration(&self) -> Result<Self::Configuration, Self::Error>;
    /// Reads the TLS Secret.
    async fn tls(&self) -> Result<Self::Tls, Self::Error>;
    /// Reads the CA Secret.
    async fn ca(&self) -> Result<Self::Ca, Self::Error>;
}

/// Reads the objects in the order that the plan relies on: the CA Secret last. Both the model and the controller use this.
///
/// # Errors
///
/// The first error of the source.
pub async fn read<S: Source>(source: &S) -> Result<(S::Configuration, S::Tls, S::Ca), S::Error> {
    let configuration = source.configuration().await?;
    let tls = source.tls().await?;
    let ca = source.ca().await?;
    Ok((configuration, tls, ca))
}

/// The objects as they were read.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) entries: Option<Entries>,
    pub(super) tls: Found<ServingCertificate>,
    pub(super) ca: Found<CaSecret>,
}

// === impl Names ===

impl Names {
    /// The names that the certificate is for: of them the API server asks for the first
    /// (apiserver: pkg/util/webhook/client.go), people and probes for any.
    #[must_use]
    pub fn dns(&self) -> [String; 3] {
        let Self { namespace, service, .. } = self;
        [
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]
    }

    /// Which webhooks of the webhook configuration are ours.
    #[must_use]
    pub fn ours(&self) -> Ours {
        match &self.webhook {
            Some(name) => Ours::Named(name.clone()),
            None => {
                Ours::Calling { namespace: self.namespace.clone(), service: self.service.clone() }
            }
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    pub(super) async fn take<S>(source: &S) -> Result<Self, S::Error>
    where
        S: Source<
                Configuration = Option<Entries>,
                Tls = Found<ServingCertificate>,
                Ca = Found<CaSecret>,
            >,
    {
        let (entries, tls, ca) = read(source).await?;
        Ok(Self { entries, tls, ca })
    }

    pub(super) fn observed(&self) -> Observed {
        let leaf = self.tls.usable().map(|leaf| Leaf {
            issuer: self.known().find(|&ca| leaf.is_signed_by(ca)).map(CaCertificate::id),
            validity: leaf.validity(),
        });
        let bundles = self.entries.as_ref().map_or_else(Bundles::default, Entries::bundles);
        Observed { authorities: self.ca.usable().map(CaSecret::authorities), leaf, bundles }
    }

    /// The CA Secret after the action; `None` if the action writes another object.
    pub(super) fn ca_after(
        &self,
        action: &Action,
        durations: Durations,
        now: Timestamp,
    ) -> Result<Option<CaSecret>, CertificateError> {
        let after = match (action, self.ca.usable()) {
            (Action::MakeAuthority { previous }, _) => {
                let newest = CertificateAuthority::make(now, durations.ca())?;
                let previous = previous.iter().filter_map(|&id| self.keep(id)).collect();
                CaSecret { newest, previous }
            }
            (Action::AdoptPrevious(id), Some(ca)) => {
                let previous = ca.previous.iter().cloned().chain(self.keep(*id)).collect();
                CaSecret { newest: ca.newest.clone(), previous }
            }
            (Action::DropPrevious, Some(ca)) => {
                CaSecret { newest: ca.newest.clone(), previous: Vec::new() }
            }
            _ => return Ok(None),
        };
        Ok(Some(after))
    }

    /// The version of the object that an action writes.
    pub(super) fn version(&self, object: Object) -> &str {
        match object {
            Object::Ca => self.ca.version(),
            Object::Serving => self.tls.version(),
            Object::WebhookConfiguration => self.entries.as_ref().map_or("", Entries::version),
        }
    }

    pub(super) fn signer(&self, issuer: Issuer) -> Option<&CertificateAuthority> {
        let ca = self.ca.usable()?;
        match issuer {
            Issuer::Newest => Some(&ca.newest),
            Issuer::Previous(id) => ca.previous_signer(id),
        }
    }

    /// A CA that stays trusted, with its key if the CA Secret has it.
    fn keep(&self, id: CaId) -> Option<Previous> {
        let newest = self.ca.usable().map(|ca| &ca.newest).filter(|it| it.certificate().id() == id);
        match newest {
            Some(newest) => Some(Previous::Signing(newest.clone())),
            None => self.known().find(|ca| ca.id() == id).cloned().map(Previous::Certificate),
        }
    }

    /// All CA certificates of the CA Secret and the webhook configuration.
    fn known(&self) -> impl Iterator<Item = &CaCertificate> {
        let published = self.entries.iter().flat_map(Entries::certificates);
        self.ca.usable().into_iter().flat_map(CaSecret::certificates).chain(published)
    }
}
