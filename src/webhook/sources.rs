//! The mapping and the certificate: loaded once before anything is bound, and again whenever their files change.

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
    watch::{Fingerprint, LoadError, Look, Watch},
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

/// What serves by the sources, and is told when they change.
#[derive(Debug, Clone)]
pub struct Users {
    /// Decides by the mapping.
    pub admission: Arc<Admission>,
    /// Shakes hands with the certificate.
    pub served: Arc<ServedCertificate>,
    /// Counts loads.
    pub metrics: Arc<Metrics>,
    /// Tells people what is in force.
    pub in_force: Arc<InForce>,
}

/// What is in force, for people to read, and what is wrong with a newer version of it.
#[derive(Debug, Default)]
pub struct InForce {
    config: Mutex<Source>,
    certificate: Mutex<Source>,
}

/// One source, as people want to know of it.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// What was loaded last; empty where nothing was.
    pub loaded: String,
    /// Why what is in the files now is not in force.
    pub trouble: Option<String>,
}

/// The mapping file.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    watch: Watch,
    own_namespace: Option<Box<str>>,
}

/// The mapping that a process starts with, or what is wrong with it.
pub type FirstMapping = Result<Loaded<Mapping>, String>;

/// The certificate's files, or nothing where it was made in memory.
#[derive(Debug)]
pub struct CertificateFiles(Option<Watch>);

/// What was loaded, with a description for people.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The thing itself.
    pub value: T,
    description: String,
}

/// Looks at the files every `interval` for as long as the process lives, on a thread of its own: a file system that hangs
/// then delays no request. The thread owns `running`.
///
/// # Errors
///
/// Where the operating system has no thread left.
pub fn keep_looking(
    mut config: ConfigFile,
    mut certificate: CertificateFiles,
    users: Users,
    interval: Duration,
    running: Guard,
) -> io::Result<()> {
    let look = move || {
        let _running = running;
        loop {
            thread::sleep(interval);
            config.look(&users);
            certificate.look(&users, now());
        }
    };
    thread::Builder::new().name("reload".to_owned()).spawn(look).map(drop)
}

// === impl ConfigFile ===

impl ConfigFile {
    /// Reads the mapping for the first time. One with a mistake is no reason not to start: a process that ends would be
    /// started again and again, with the reason in the log of one that is gone. It comes as text, and the file is read on.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read.
    pub fn start(
        path: PathBuf,
        own_namespace: Option<Box<str>>,
    ) -> Result<(Self, FirstMapping), LoadError<MappingError>> {
        let mut file = Self { watch: Watch::unread(vec![path.clone()]), path, own_namespace };
        let loaded = match file.watch.look(parse_mapping) {
            Look::New(mapping, fingerprint) => Ok(file.loaded(mapping, fingerprint)),
            Look::Bad(problem @ LoadError::Read { .. }) => return Err(problem),
            Look::Bad(problem) => Err(with_causes(&problem)),
            Look::Same => Err(format!("{} changed while it was read", file.path.display())),
        };
        Ok((file, loaded))
    }

    fn look(&mut self, users: &Users) {
        match self.watch.look(parse_mapping) {
            Look::Same => {}
            Look::New(mapping, fingerprint) => {
                let loaded = self.loaded(mapping, fingerprint);
                users.in_force.config_loaded(&loaded, &users.metrics);
                users.admission.state().set_mapping(loaded.value);
            }
            Look::Bad(problem) => {
                users.metrics.config.failed();
                let problem = with_causes(&problem);
                if users.in_force.config().loaded.is_empty() {
                    users.in_force.config_refused(problem);
                    return;
                }
                error!(
                    error = problem,
                    "the new mapping is not usable: the last good one stays in force"
                );
                tell(&users.in_force.config, problem);
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
    // What is not UTF-8 becomes a character that no name allows, and so an error with its place.
    mapping::parse(&String::from_utf8_lossy(contents.first().map_or(&[], Vec::as_slice)))
}

// === impl CertificateFiles ===

impl CertificateFiles {
    /// Reads or makes the certificate for the first time. One that is expired or not yet valid is served all the same: there
    /// is no better one, and `/readyz` fails until it is valid.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read, or certificate and key are not usable together.
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

    fn look(&mut self, users: &Users, now: i64) {
        let Some(watch) = &mut self.0 else { return };
        let current_is_valid = users.served.current().check_validity(now).is_ok();
        let parse = |contents: &[Vec<u8>]| -> Result<Certificate, CertificateError> {
            let certificate = parse_certificate(contents)?;
            // A certificate that no client accepts now is no reason to give up one that they do.
            if current_is_valid {
                certificate.check_validity(now)?;
            }
            Ok(certificate)
        };
        match watch.look(parse) {
            Look::Same => {}
            Look::New(certificate, fingerprint) => {
                let loaded = certificate_loaded(certificate, &fingerprint);
                users.in_force.certificate_loaded(&loaded, &users.metrics);
                users.served.replace(loaded.value);
            }
            Look::Bad(problem) => {
                users.metrics.certificate.failed();
                let problem = with_causes(&problem);
                error!(
                    error = problem,
                    "the new certificate is not usable: the last good one stays in use"
                );
                tell(&users.in_force.certificate, problem);
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
    /// Notes, counts and logs that a mapping is in force.
    pub fn config_loaded(&self, loaded: &Loaded<Mapping>, metrics: &Metrics) {
        metrics.config.succeeded();
        info!(mapping = loaded.description, "the mapping is in force");
        settle(&self.config, &loaded.description);
    }

    /// Notes and logs that there is no usable mapping since the start.
    pub fn config_refused(&self, problem: String) {
        error!(error = problem, "the mapping is not usable: not ready until there is a good one");
        tell(&self.config, problem);
    }

    /// Notes, counts and logs that a certificate is in use.
    pub fn certificate_loaded(&self, loaded: &Loaded<Certificate>, metrics: &Metrics) {
        metrics.certificate.succeeded();
        metrics.certificate_serves(loaded.value.validity());
        info!(certificate = loaded.description, "the certificate is in use");
        settle(&self.certificate, &loaded.description);
    }

    /// The mapping in force.
    #[must_use]
    pub fn config(&self) -> Source {
        lock(&self.config).clone()
    }

    /// The certificate in use.
    #[must_use]
    pub fn certificate(&self) -> Source {
        lock(&self.certificate).clone()
    }
}

fn settle(source: &Mutex<Source>, description: &str) {
    *lock(source) = Source { loaded: description.to_owned(), trouble: None };
}

fn tell(source: &Mutex<Source>, trouble: String) {
    lock(source).trouble = Some(trouble);
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // Nothing can panic while it is held, and even then the text would be whole.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
