//! The mapping and the certificate: loaded before the ports are open, and again when their files change.

use std::{
    fmt::Display,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tracing::{error, info};

use super::{
    admission::Admission,
    metrics::Metrics,
    watch::{Change, Fingerprint, LoadError, Watch},
};
use crate::{
    core::rules::Mapping,
    errors::with_causes,
    mapping::{self, MappingError},
    pki::{
        served::{Certificate, CertificateError, ServedCertificate},
        time::{date, now},
    },
    supervise::Guard,
};

/// Where the serving certificate comes from.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// A chain and its key, in PEM.
    Files {
        /// The chain, leaf first.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// Made in memory.
    SelfSigned,
}

/// The consumers of mapping and certificate, which a reload updates.
#[derive(Debug, Clone)]
pub struct Consumers {
    /// Uses the mapping.
    pub admission: Arc<Admission>,
    /// Uses the certificate in TLS handshakes.
    pub served: Arc<ServedCertificate>,
    /// Counts loads.
    pub metrics: Arc<Metrics>,
    /// Shows on the admin port what is in force.
    pub in_force: Arc<InForce>,
}

/// Descriptions of the mapping and the certificate in force, and of problems with newer ones.
#[derive(Debug, Default)]
pub struct InForce {
    config: Mutex<Source>,
    certificate: Mutex<Source>,
}

/// The state of the mapping or the certificate, for people.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// What was loaded last; empty if nothing was.
    pub loaded: String,
    /// Why the content of the files is not in force; `None` if it is.
    pub problem: Option<String>,
}

/// The mapping file and its last content.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    watch: Watch,
    own_namespace: Option<Box<str>>,
}

/// The mapping that a process starts with, or why it is not usable.
pub type FirstMapping = Result<Loaded<Mapping>, String>;

/// The files of the certificate; `None` if it was made in memory.
#[derive(Debug)]
pub struct CertificateFiles(Option<Watch>);

/// A loaded value with a description for people.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The mapping or the certificate.
    pub value: T,
    description: String,
}

/// Starts a thread that checks the files every `interval`. It is a thread of its own so that a file system that hangs delays
/// no request. The thread owns `running`.
///
/// # Errors
///
/// If the operating system refuses a thread.
pub fn start_reloading(
    mut config: ConfigFile,
    mut certificate: CertificateFiles,
    consumers: Consumers,
    interval: Duration,
    running: Guard,
) -> io::Result<()> {
    let reload = move || {
        let _running = running;
        loop {
            thread::sleep(interval);
            config.check(&consumers);
            certificate.check(&consumers, now());
        }
    };
    thread::Builder::new().name("reload".to_owned()).spawn(reload).map(drop)
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads the mapping for the first time. A mapping with a mistake does not stop the process: it would be restarted again
    /// and again, with the reason in the log of a container that is gone. The mistake is returned as text.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn start(
        path: PathBuf,
        own_namespace: Option<Box<str>>,
    ) -> Result<(Self, FirstMapping), LoadError<MappingError>> {
        let mut file = Self { watch: Watch::unread(vec![path.clone()]), path, own_namespace };
        let loaded = match file.watch.check(parse_mapping) {
            Change::Usable(mapping, fingerprint) => Ok(file.loaded(mapping, fingerprint)),
            Change::Unusable(problem @ LoadError::Read { .. }) => return Err(problem),
            Change::Unusable(problem) => Err(with_causes(&problem)),
            Change::Unchanged => Err(format!("{} changed while it was read", file.path.display())),
        };
        Ok((file, loaded))
    }

    fn check(&mut self, consumers: &Consumers) {
        match self.watch.check(parse_mapping) {
            Change::Unchanged => {}
            Change::Usable(mapping, fingerprint) => {
                let loaded = self.loaded(mapping, fingerprint);
                consumers.in_force.config_loaded(&loaded, &consumers.metrics);
                consumers.admission.state().set_mapping(loaded.value);
            }
            Change::Unusable(problem) => {
                consumers.metrics.config.failed();
                let problem = with_causes(&problem);
                if consumers.in_force.config().loaded.is_empty() {
                    consumers.in_force.config_unusable(problem);
                    return;
                }
                error!(
                    error = problem,
                    "the new mapping is not usable: the last good one stays in force"
                );
                set_problem(&consumers.in_force.config, problem);
            }
        }
    }

    fn loaded(&self, mapping: Mapping, fingerprint: Fingerprint) -> Loaded<Mapping> {
        let rules = mapping.rules().len();
        Loaded {
            description: format!(
                "{rules} rules from {}, sha256 {fingerprint}",
                self.path.display()
            ),
            value: mapping.with_own_namespace(self.own_namespace.clone()),
        }
    }
}

fn parse_mapping(contents: &[Vec<u8>]) -> Result<Mapping, MappingError> {
    // Invalid UTF-8 becomes U+FFFD, which no name allows: the parser reports its position.
    mapping::parse(&String::from_utf8_lossy(contents.first().map_or(&[], Vec::as_slice)))
}

// === impl CertificateFiles ===

impl CertificateFiles {
    /// Reads or makes the certificate for the first time. One that is expired or not yet valid is served as well, since there
    /// is no better one; `/readyz` fails until it is valid.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, or certificate and key are not usable together.
    pub fn start(
        source: CertificateSource,
    ) -> Result<(Self, Loaded<Certificate>), LoadError<CertificateError>> {
        match source {
            CertificateSource::Files { chain, key } => {
                let (watch, certificate, fingerprint) =
                    Watch::start(vec![chain, key], parse_certificate)?;
                Ok((Self(Some(watch)), certificate_loaded(certificate, &fingerprint)))
            }
            CertificateSource::SelfSigned => {
                let certificate = Certificate::self_signed().map_err(|source| {
                    LoadError::Content { path: "--tls-self-signed".into(), source }
                })?;
                Ok((Self(None), certificate_loaded(certificate, &"none: made in memory")))
            }
        }
    }

    fn check(&mut self, consumers: &Consumers, now: i64) {
        let Some(watch) = &mut self.0 else { return };
        let current_is_valid = consumers.served.current().check_validity(now).is_ok();
        let parse = |contents: &[Vec<u8>]| -> Result<Certificate, CertificateError> {
            let certificate = parse_certificate(contents)?;
            // A certificate that clients reject now must not replace one that they accept.
            if current_is_valid {
                certificate.check_validity(now)?;
            }
            Ok(certificate)
        };
        match watch.check(parse) {
            Change::Unchanged => {}
            Change::Usable(certificate, fingerprint) => {
                let loaded = certificate_loaded(certificate, &fingerprint);
                consumers.in_force.certificate_loaded(&loaded, &consumers.metrics);
                consumers.served.replace(loaded.value);
            }
            Change::Unusable(problem) => {
                consumers.metrics.certificate.failed();
                let problem = with_causes(&problem);
                error!(
                    error = problem,
                    "the new certificate is not usable: the last good one stays in use"
                );
                set_problem(&consumers.in_force.certificate, problem);
            }
        }
    }
}

fn parse_certificate(contents: &[Vec<u8>]) -> Result<Certificate, CertificateError> {
    let [chain, key] = contents else { return Err(CertificateError::NoCertificate) };
    Certificate::from_pem(chain, key)
}

fn certificate_loaded(value: Certificate, fingerprint: &dyn Display) -> Loaded<Certificate> {
    let description = format!("expires {}, sha256 {fingerprint}", date(value.validity().not_after));
    Loaded { value, description }
}

// === impl InForce ===

impl InForce {
    /// Records, counts and logs that a mapping is in force.
    pub fn config_loaded(&self, loaded: &Loaded<Mapping>, metrics: &Metrics) {
        metrics.config.succeeded();
        info!(mapping = loaded.description, "the mapping is in force");
        set_loaded(&self.config, &loaded.description);
    }

    /// Records and logs that there has been no usable mapping since the start.
    pub fn config_unusable(&self, problem: String) {
        error!(error = problem, "the mapping is not usable: not ready until there is a good one");
        set_problem(&self.config, problem);
    }

    /// Records, counts and logs that a certificate is in use.
    pub fn certificate_loaded(&self, loaded: &Loaded<Certificate>, metrics: &Metrics) {
        metrics.certificate.succeeded();
        metrics.certificate_serves(loaded.value.validity());
        info!(certificate = loaded.description, "the certificate is in use");
        set_loaded(&self.certificate, &loaded.description);
    }

    /// The state of the mapping.
    #[must_use]
    pub fn config(&self) -> Source {
        lock(&self.config).clone()
    }

    /// The state of the certificate.
    #[must_use]
    pub fn certificate(&self) -> Source {
        lock(&self.certificate).clone()
    }
}

fn set_loaded(source: &Mutex<Source>, description: &str) {
    *lock(source) = Source { loaded: description.to_owned(), problem: None };
}

fn set_problem(source: &Mutex<Source>, problem: String) {
    lock(source).problem = Some(problem);
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // No code panics while it is locked, and even then the text would be complete.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
