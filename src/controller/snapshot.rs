//! The three objects, read one after the other, and what the plan sees in them.

use super::{
    certificate::{CaCertificate, CertificateAuthority, CertificateError, ServingCertificate},
    objects::{CallError, Objects},
    plan::{Action, CaId, Issuer, Leaf, Observed, Registration, Timestamp},
    registration::{Entries, Ours},
    secrets::{CaSecret, Found, Previous},
    times::Times,
};

/// What the objects are called, and whom the certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of the Secrets and of the webhook's Service.
    pub namespace: String,
    /// The webhook's Service, which the certificate is for.
    pub service: String,
    /// The `MutatingWebhookConfiguration`.
    pub registration: String,
    /// The one webhook in it to write to. Without: those that call the Service.
    pub webhook: Option<String>,
    /// The CA Secret.
    pub ca_secret: String,
    /// The TLS Secret.
    pub tls_secret: String,
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

    /// Which webhooks of the registration are ours.
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
    /// Reads the objects in the order that the plan relies on: the CA Secret last.
    pub(super) async fn take(objects: &Objects, names: &Names) -> Result<Self, CallError> {
        let registration = objects.registration().await?;
        let tls = objects.secret(&names.tls_secret).await?;
        let ca = objects.secret(&names.ca_secret).await?;
        Ok(Self {
            entries: registration.map(|registration| Entries::of(&registration, &names.ours())),
            tls: Found::tls(tls.as_ref(), &names.dns()),
            ca: Found::ca(ca.as_ref()),
        })
    }

    pub(super) fn observed(&self) -> Observed {
        let leaf = self.tls.usable().map(|leaf| Leaf {
            issuer: self.known().find(|&ca| leaf.is_signed_by(ca)).map(CaCertificate::id),
            validity: leaf.validity(),
        });
        let registration =
            self.entries.as_ref().map_or_else(Registration::default, Entries::registration);
        Observed { authorities: self.ca.usable().map(CaSecret::authorities), leaf, registration }
    }

    /// The CA Secret as the action wants it; `None` where the action is about another object.
    pub(super) fn ca_after(
        &self,
        action: &Action,
        times: Times,
        now: Timestamp,
    ) -> Result<Option<CaSecret>, CertificateError> {
        let after = match (action, self.ca.usable()) {
            (Action::MakeAuthority { previous }, _) => {
                let newest = CertificateAuthority::make(now, times.ca_life())?;
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

    pub(super) fn signer(&self, issuer: Issuer) -> Option<&CertificateAuthority> {
        let ca = self.ca.usable()?;
        match issuer {
            Issuer::Newest => Some(&ca.newest),
            Issuer::Previous(id) => ca.previous_signer(id),
        }
    }

    /// A CA that is to stay trusted, with its key where that is at hand.
    fn keep(&self, id: CaId) -> Option<Previous> {
        let newest = self.ca.usable().map(|ca| &ca.newest).filter(|it| it.certificate().id() == id);
        match newest {
            Some(newest) => Some(Previous::Signing(newest.clone())),
            None => self.known().find(|ca| ca.id() == id).cloned().map(Previous::Certificate),
        }
    }

    /// All CA certificates at hand.
    fn known(&self) -> impl Iterator<Item = &CaCertificate> {
        let published = self.entries.iter().flat_map(Entries::certificates);
        self.ca.usable().into_iter().flat_map(CaSecret::certificates).chain(published)
    }
}
