//! X.509: issues CAs and leaves, and parses them.

use std::{fmt, sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData,
};
use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, parse_x509_certificate, time::ASN1Time,
};

use super::plan::{CaId, Timestamp, Validity};

/// Clocks differ, so a certificate is valid from before it was made: by this, or by a tenth of its duration if that is less.
const BACK_DATE: Duration = Duration::from_secs(3600);

/// A private key. It is written only into a Secret.
#[derive(Clone)]
pub struct PrivateKey(Arc<KeyPair>);

/// The certificate of a CA, with its id and validity.
#[derive(Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    id: CaId,
    validity: Validity,
}

/// A CA certificate with its key, which can issue leaves.
#[derive(Debug, Clone)]
pub struct CertificateAuthority {
    certificate: CaCertificate,
    key: PrivateKey,
}

/// A leaf with its key.
#[derive(Debug)]
pub struct ServingCertificate {
    der: CertificateDer<'static>,
    key: PrivateKey,
    validity: Validity,
}

/// Why a certificate or a key is not usable. Never contains any part of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate is not a CA certificate.
    #[error("the certificate is not a CA certificate")]
    NotACa,
    /// The certificate is missing or not PEM.
    #[error("there is no X.509 certificate in PEM")]
    NoCertificate,
    /// The key is missing or not PEM.
    #[error("there is no private key in PEM (PKCS#8)")]
    NoKey,
    /// The key belongs to another certificate.
    #[error("certificate and key do not match")]
    OtherKey,
    /// The certificate lacks this name, which clients may ask for.
    #[error("the certificate is not for {0}")]
    OtherName(Box<str>),
    /// A key or a certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A time that X.509 cannot express.
    #[error("cannot make a certificate that is valid at {0} s since 1970")]
    Moment(Timestamp),
}

// === impl CertificateAuthority ===

impl CertificateAuthority {
    /// Makes a CA that is valid for `duration` from `now`.
    ///
    /// # Errors
    ///
    /// If the operating system has no random bytes, or X.509 cannot express the end of the validity.
    pub fn make(now: Timestamp, duration: Duration) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let validity = Validity::lasting(now, duration);
        // Each CA has a unique name, so that people and TLS libraries can distinguish them.
        let mut params =
            validity.params(&format!("pullcred CA {}", sha256(&key.subject_public_key_info())))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = CaCertificate::new(params.self_signed(&key)?.der().clone())?;
        Ok(Self { certificate, key: PrivateKey(Arc::new(key)) })
    }

    /// A CA of a certificate and its key.
    ///
    /// # Errors
    ///
    /// [`CertificateError::OtherKey`].
    pub fn new(certificate: CaCertificate, key: PrivateKey) -> Result<Self, CertificateError> {
        key.check(&certificate.der)?;
        Ok(Self { certificate, key })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The CA's key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// Issues a leaf for `names` that is valid for `duration` from `now`, but not longer than the CA.
    ///
    /// # Errors
    ///
    /// If the operating system has no random bytes, a name is not valid, or X.509 cannot express the end of the validity.
    pub fn issue(
        &self,
        names: &[String],
        now: Timestamp,
        duration: Duration,
    ) -> Result<ServingCertificate, CertificateError> {
        let mut validity = Validity::lasting(now, duration);
        validity.not_after = validity.not_after.min(self.certificate.validity.not_after);
        let mut params = validity.params("pullcred webhook")?;
        params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = rcgen::Issuer::from_ca_cert_der(&self.certificate.der, &*self.key.0)?;
        let der = params.signed_by(&key, &issuer)?.der().clone();
        Ok(ServingCertificate { der, key: PrivateKey(Arc::new(key)), validity })
    }
}

// === impl CaCertificate ===

impl CaCertificate {
    fn new(der: CertificateDer<'static>) -> Result<Self, CertificateError> {
        let parsed = parse(&der)?;
        if !parsed.is_ca() {
            return Err(CertificateError::NotACa);
        }
        let validity = Validity::of(&parsed);
        let id = sha256(&der);
        Ok(Self { der, id, validity })
    }

    /// Parses the CA certificates of a PEM text, and ignores everything else in it.
    #[must_use]
    pub fn all_from_pem(text: &[u8]) -> Vec<Self> {
        let certificates = CertificateDer::pem_slice_iter(text).map_while(Result::ok);
        certificates.filter_map(|der| Self::new(der).ok()).collect()
    }

    /// Parses the first certificate of a PEM text.
    ///
    /// # Errors
    ///
    /// If there is no certificate, or it is not a CA certificate.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        Self::new(first_certificate(text)?)
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// The SHA-256 of the certificate.
    #[must_use]
    pub fn id(&self) -> CaId {
        self.id
    }

    /// The validity that the certificate states.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

// Without the certificate itself, which is long and not readable.
impl fmt::Debug for CaCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificate({})", self.id)
    }
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// Parses a leaf and its key.
    ///
    /// # Errors
    ///
    /// If one of them is missing or not PEM, or they do not match.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let der = first_certificate(certificate)?;
        let key = PrivateKey::from_pem(key)?;
        key.check(&der)?;
        let validity = Validity::of(&parse(&der)?);
        Ok(Self { der, key, validity })
    }

    /// Checks that the leaf has all of `names`.
    ///
    /// # Errors
    ///
    /// [`CertificateError::OtherName`], with the first missing name.
    pub fn check_names(&self, names: &[String]) -> Result<(), CertificateError> {
        let parsed = parse(&self.der)?;
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let alternatives = alternatives.map_or(&[][..], |it| &it.value.general_names);
        let has = |name: &&String| {
            let same = |it: &GeneralName<'_>| matches!(it, GeneralName::DNSName(it) if it == *name);
            !alternatives.iter().any(same)
        };
        match names.iter().find(has) {
            None => Ok(()),
            Some(missing) => Err(CertificateError::OtherName(missing.as_str().into())),
        }
    }

    /// Whether `authority` has signed it.
    #[must_use]
    pub fn is_signed_by(&self, authority: &CaCertificate) -> bool {
        let (Ok(leaf), Ok(authority)) = (parse(&self.der), parse(&authority.der)) else {
            return false;
        };
        leaf.issuer() == authority.subject()
            && leaf.verify_signature(Some(authority.public_key())).is_ok()
    }

    /// The validity that the certificate states.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The leaf as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        certificate_pem(&self.der)
    }

    /// The leaf's key.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        &self.key
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    /// Parses a key in PEM (PKCS#8).
    ///
    /// # Errors
    ///
    /// [`CertificateError::NoKey`].
    pub fn from_pem(text: &[u8]) -> Result<Self, CertificateError> {
        // The text must not be part of an error: it may be most of a key.
        let text = str::from_utf8(text).map_err(|_| CertificateError::NoKey)?;
        KeyPair::from_pem(text).map(|key| Self(Arc::new(key))).map_err(|_| CertificateError::NoKey)
    }

    /// The key as PEM, for the Secret.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    fn check(&self, certificate: &[u8]) -> Result<(), CertificateError> {
        let same = parse(certificate)?.public_key().raw == self.0.subject_public_key_info();
        if same { Ok(()) } else { Err(CertificateError::OtherKey) }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

// === impl Validity ===

impl Validity {
    fn lasting(now: Timestamp, duration: Duration) -> Self {
        let seconds =
            |time: Duration| Timestamp::try_from(time.as_secs()).unwrap_or(Timestamp::MAX);
        Self {
            not_before: now.saturating_sub(seconds(BACK_DATE.min(duration / 10))),
            not_after: now.saturating_add(seconds(duration)),
        }
    }

    fn params(self, name: &str) -> Result<CertificateParams, CertificateError> {
        let moment = |at| {
            let time = ASN1Time::from_timestamp(at).map_err(|_| CertificateError::Moment(at))?;
            Ok::<_, CertificateError>(time.to_datetime())
        };
        let mut params = CertificateParams::default();
        params.not_before = moment(self.not_before)?;
        params.not_after = moment(self.not_after)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(params)
    }
}

// === DER and PEM ===

fn sha256(bytes: &[u8]) -> CaId {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, bytes).as_ref());
    CaId(id)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    parse_x509_certificate(der)
        .map(|(_, certificate)| certificate)
        .map_err(|_| CertificateError::NoCertificate)
}

fn first_certificate(text: &[u8]) -> Result<CertificateDer<'static>, CertificateError> {
    CertificateDer::from_pem_slice(text).map_err(|_| CertificateError::NoCertificate)
}

fn certificate_pem(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", der), config)
}

#[cfg(test)]
mod tests;
