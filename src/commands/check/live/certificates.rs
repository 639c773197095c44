//! What the API server trusts, and whether it would trust what is served. The clock is the caller's.

use std::{sync::Arc, time::Duration};

use super::super::{Check, finding::Report};
use crate::pki::{
    time::date,
    validity::{NotValid, Validity},
};
use rustls::{
    CertificateError, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier, verify_server_name},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

/// A certificate with less than this part of its duration left has no successor in time: all that renew by themselves
/// do so earlier.
const LAST_PART: i64 = 10;

/// Seconds since the Unix epoch.
pub(super) type Timestamp = i64;

/// The certificates of a webhook configuration's `caBundle`.
#[derive(Debug, Clone, Default)]
pub(super) struct Bundle(Vec<CertificateDer<'static>>);

/// Why the API server would not take a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Distrust {
    #[error("it is not for {0}, the name that the API server asks for: make one that names it")]
    Name(String),
    #[error("it {0}")]
    NotValid(#[from] NotValid),
    #[error("it is signed by none of the certificates in caBundle")]
    OtherAuthority,
    #[error("{0}")]
    Other(String),
}

/// The certificates of a PEM text, as far as they are some.
pub(super) fn chain(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).map_while(Result::ok).collect()
}

/// Whether the API server would trust the leaf at the head of `chain`, under the name by which it asks.
pub(super) fn judge_served(
    place: &str,
    chain: &[CertificateDer<'_>],
    bundle: &Bundle,
    name: &ServerName<'_>,
    now: Timestamp,
    report: &mut Report,
) {
    match served(chain, bundle, name, now) {
        Err(why) => {
            let message = format!("the API server does not trust its certificate: {why}");
            report.error(Check::Certificate, place, message);
        }
        Ok(validity) if validity.has_less_than_a_part_left(LAST_PART, now) => {
            let message = format!(
                "its certificate ends on {}, and should have a successor by now: see what renews it",
                date(validity.not_after)
            );
            report.warning(Check::Certificate, place, message);
        }
        Ok(_) => {}
    }
}

fn served(
    chain: &[CertificateDer<'_>],
    bundle: &Bundle,
    name: &ServerName<'_>,
    now: Timestamp,
) -> Result<Validity, Distrust> {
    let other = |error: rustls::Error| Distrust::Other(error.to_string());
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(Distrust::Other("there is none".to_owned()));
    };
    let validity = Validity::of_der(leaf)
        .ok_or_else(|| Distrust::Other("it is no X.509 certificate".to_owned()))?;
    validity.check(now)?;
    if bundle.0.iter().any(|trusted| trusted == leaf) {
        // Go, and so the API server, takes a leaf that is itself in the bundle, also one that is marked as a CA's.
        let leaf = ParsedCertificate::try_from(leaf).map_err(other)?;
        return match verify_server_name(&leaf, name) {
            Ok(()) => Ok(validity),
            Err(_) => Err(Distrust::Name(name.to_str().into_owned())),
        };
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(bundle.0.iter().cloned());
    let provider = Arc::new(ring::default_provider());
    // A store without anything in it cannot be verified by.
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let verifier = verifier.map_err(|_| Distrust::OtherAuthority)?;
    let seconds = Duration::from_secs(u64::try_from(now).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(seconds);
    match verifier.verify_server_cert(leaf, intermediates, name, &[], now) {
        Ok(_) => Ok(validity),
        Err(rustls::Error::InvalidCertificate(error)) => Err(match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Distrust::OtherAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Distrust::Name(name.to_str().into_owned())
            }
            error => Distrust::Other(error.to_string()),
        }),
        Err(error) => Err(other(error)),
    }
}

// === impl Bundle ===

impl Bundle {
    /// Reads a `caBundle`, and judges it.
    pub(super) fn judge(place: &str, text: &[u8], now: Timestamp, report: &mut Report) -> Self {
        let certificates = chain(text);
        let validities: Vec<Validity> =
            certificates.iter().filter_map(|it| Validity::of_der(it)).collect();
        if text.is_empty() {
            let message = "caBundle is empty, so the API server trusts no webhook of this cluster: see the log of what \
                           writes it, which is pullcred's controller, or cert-manager's CA injector";
            report.error(Check::CaBundle, place, message);
        } else if validities.is_empty() {
            let message = "caBundle holds no X.509 certificate in PEM: write that of the CA";
            report.error(Check::CaBundle, place, message);
        }
        let usable = validities.iter().any(|it| it.check(now).is_ok());
        for validity in &validities {
            match validity.check(now) {
                Err(why) if usable => {
                    // Beside a good one it does no harm.
                    let message = format!("a certificate in caBundle is of no use: it {why}");
                    report.warning(Check::CaBundle, place, message);
                }
                Err(why) => {
                    let message = format!("the certificate in caBundle is of no use: it {why}");
                    report.error(Check::CaBundle, place, message);
                }
                Ok(()) if validity.has_less_than_a_part_left(LAST_PART, now) => {
                    let message = format!(
                        "a certificate in caBundle ends on {}, and should have a successor by now: see what renews it",
                        date(validity.not_after)
                    );
                    report.warning(Check::CaBundle, place, message);
                }
                Ok(()) => {}
            }
        }
        Self(certificates)
    }

    /// Whether there is nothing to trust.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
