//! Certificates for tests, valid when the test wants them to be.

use std::{path::Path, time::Duration};

use rcgen::{CertificateParams, KeyPair};

use super::files::swap;

/// A chain and its key, in PEM.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
    /// The leaf as a client sees it.
    pub(crate) leaf: Vec<u8>,
}

/// A self-signed certificate for localhost that is valid from and until so many seconds from now.
pub(crate) fn pair(from: i64, until: i64) -> Pair {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(until);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Pair { chain: certificate.pem(), key: key.serialize_pem(), leaf: certificate.der().to_vec() }
}

/// One that is valid now.
pub(crate) fn valid_pair() -> Pair {
    pair(-3600, 3600)
}

fn since_epoch(from_now: i64) -> Duration {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Duration::from_secs(now.checked_add_signed(from_now).unwrap())
}

/// Writes the pair as the kubelet writes a Secret: into a new folder, to which a link is then swapped.
pub(crate) fn mount(folder: &Path, pair: &Pair) {
    swap(folder, &[("tls.crt", &pair.chain), ("tls.key", &pair.key)]);
}
