//! `pullcred secret --login`: a login that pullcred fetches, made once by hand. Each step is told as it is done, so that a
//! trust policy can be debugged.
//!
//! The steps are those of the credentials controller, and what is written is what it takes over.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use tokio::sync::mpsc::unbounded_channel;

use super::{Output, apply::refusal, how_to_make, pull_secret::PullSecret, text};
use crate::{
    cluster::{Cluster, ClusterOptions, Collection, client::block_on},
    commands::{Exit, Failure, Streams, load_mapping, logins, printable::Printable},
    core::{
        copies::{CONTENT, LOGIN, MANAGER, MARK},
        credentials::Credentials,
        image::ImageRef,
        rules::{LoginName, LoginSource, Mapping, TokenSource},
    },
    errors::with_causes,
    fetch::{self, Asker, Fresh, IDENTITY, Marks, Outside, Spec, World},
    registry::tokens::{Outcome, Proof, jwt},
};

/// Which login to fetch, and where it goes.
#[derive(Debug)]
pub struct FetchOptions {
    /// The login.
    pub login: LoginName,
    /// The mapping.
    pub config: PathBuf,
    /// The namespace of pullcred, with the ServiceAccount that asks and the Secret of the login.
    pub installed_in: String,
    /// The cluster that says who asks.
    pub cluster: ClusterOptions,
    /// The socket at which plugins run.
    pub plugins: Option<PathBuf>,
    /// How the Secret is written to standard output; without, it is applied to the cluster.
    pub output: Option<Output>,
}

/// A fetch under way.
struct Fetch<'f> {
    spec: &'f Spec,
    home: &'f str,
    cluster: &'f Cluster,
}

/// Fetches a login, and writes or applies its Secret.
///
/// # Errors
///
/// [`Failure`] where the mapping has no such login, and with the step at which there is none.
pub(super) fn run(options: &FetchOptions, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let FetchOptions { login, config, installed_in: home, cluster, plugins, output } = options;
    let mapping = load_mapping(config)?;
    let spec = &spec(&mapping, login, home)?;
    let Streams { stdout, stderr, .. } = streams;
    block_on(async {
        let cluster = &cluster.connect().await?;
        let fetch = Fetch { spec, home, cluster };
        let secret = fetch.secret(plugins.clone(), *stderr).await?;
        let name = spec.login.secret();
        if let Some(output) = output {
            writeln!(
                stderr,
                "publish: Secret {name} to standard output; --apply writes it to namespace {home}"
            )?;
            stdout.write_all(text(&secret, *output)?.as_bytes())?;
        } else {
            fetch.publish(secret).await?;
            writeln!(stderr, "publish: Secret {home}/{name} is written")?;
            writeln!(stdout, "secret/{name} applied in namespace {home}")?;
        }
        stdout.flush()?;
        Ok(Exit::Fine)
    })
}

/// What is to be fetched for a login of this name.
fn spec(mapping: &Mapping, name: &LoginName, home: &str) -> Result<Spec, Failure> {
    let Some(login) = logins::named(mapping, name) else {
        let names: Vec<_> = mapping.logins().iter().map(|it| it.name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let why = format!("--login: the mapping has no login {name}; it has {names}");
        return Err(Failure::usage(why));
    };
    if let LoginSource::Secret(secret) = &login.source {
        let hosts = logins::hosts(logins::rules_of(mapping, name).flat_map(|rule| &rule.patterns));
        return Err(Failure::usage(format!(
            "--login: login {name} (line {}) is not fetched: it is Secret {secret}, which people keep. Make that: {}",
            login.line,
            how_to_make(secret.as_str(), home, &hosts)
        )));
    }
    Spec::shared(mapping).into_iter().find(|spec| spec.login.name == *name).ok_or_else(|| {
        Failure::usage(format!(
            "--login: all rules with login {name} have `as`, so the ServiceAccount of each namespace fetches it there: \
             remove `as` from a rule to try the login as {IDENTITY}"
        ))
    })
}

// === impl Fetch ===

impl Fetch<'_> {
    /// The Secret with the login, step by step.
    async fn secret(
        &self,
        plugins: Option<PathBuf>,
        stderr: &mut dyn Write,
    ) -> Result<PullSecret, Failure> {
        let Spec { login, patterns, .. } = self.spec;
        let registries: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        writeln!(
            stderr,
            "login {} (line {}): {} for {}",
            login.name,
            login.line,
            Printable(login.source.who()),
            registries.join(", ")
        )?;
        let (send, mut heard) = unbounded_channel();
        // The receiver has gone where an error has ended the command.
        let world = Outside::from_env(plugins).heard_by(move |progress| drop(send.send(progress)));
        let (credentials, marks) = if let LoginSource::File(path) = &login.source {
            (self.of_file(&world, path)?, None)
        } else {
            let proof = self.proof(&world, stderr).await?;
            let mut fetching = std::pin::pin!(fetch::fetch(&world, self.spec, &proof));
            let fetched = loop {
                tokio::select! {
                    biased;
                    Some(progress) = heard.recv() => writeln!(stderr, "{}", Printable(progress))?,
                    fetched = &mut fetching => break fetched,
                }
            };
            while let Ok(progress) = heard.try_recv() {
                writeln!(stderr, "{}", Printable(progress))?;
            }
            let Fresh { credentials, marks, .. } = fetched.map_err(|why| self.failure(&why))?;
            (credentials, marks)
        };
        self.tell_logins(&credentials, marks.as_ref(), stderr)?;
        let config = fetch::config(self.spec, &credentials).map_err(|why| self.failure(&why))?;
        let verdicts = fetch::verify(&world, self.spec, &credentials).await;
        let verdicts = verdicts.map_err(|why| self.failure(&why))?;
        for (image, verdict) in self.spec.images.iter().zip(verdicts) {
            writeln!(stderr, "verify: {image}: {}", Printable(verdict))?;
        }
        let mut annotations =
            BTreeMap::from([(CONTENT, self.spec.digest.clone()), (LOGIN, login.name.to_string())]);
        let lives = marks.iter().flat_map(Marks::annotations);
        annotations.extend(lives.map(|(key, value)| (key, value.to_owned())));
        let labels = BTreeMap::from([(MARK.0, MARK.1.to_owned())]);
        let secret = PullSecret::of_config(&login.secret(), Some(self.home.to_owned()), &config);
        Ok(secret.marked(labels, annotations))
    }

    /// What proves who asks.
    async fn proof(&self, world: &dyn World, stderr: &mut dyn Write) -> Result<Proof, Failure> {
        let Self { spec, home, cluster } = self;
        let asker = Asker { cluster, home, world };
        let proof = asker.proof(spec, home, None).await.map_err(|why| self.failure(&why))?;
        let source = spec.source();
        let who = match (source.keys(), source.audience(), source.token()) {
            (Some(keys), ..) => format!("the keys in Secret {home}/{keys}"),
            (_, Some(audience), _) => {
                format!("ServiceAccount {home}/{IDENTITY}, by a token for audience {audience}")
            }
            (.., Some(TokenSource::File(path))) => format!("the token in {path}"),
            _ => "nothing but what the machine or the plugin has".to_owned(),
        };
        write!(stderr, "identity: {}", Printable(who))?;
        if let Proof::Token(token) = &proof {
            match jwt::holder(token) {
                Some(jwt::Holder { issuer, subject }) => {
                    let (issuer, subject) = (Printable(issuer), Printable(subject));
                    write!(stderr, ", issuer {issuer}, subject {subject}")?;
                }
                None => write!(stderr, "; the token does not say its issuer")?,
            }
        }
        writeln!(stderr)?;
        Ok(proof)
    }

    fn of_file(&self, world: &dyn World, path: &str) -> Result<Credentials, Failure> {
        let file = |why| fetch::Failure::File { path: path.into(), why };
        let bytes = world.read(Path::new(path)).map_err(file);
        let credentials = bytes.and_then(|bytes| fetch::of_file(path, &bytes));
        credentials.map_err(|why| self.failure(&why))
    }

    /// Says whom the registries know, and until when.
    fn tell_logins(
        &self,
        credentials: &Credentials,
        marks: Option<&Marks>,
        stderr: &mut dyn Write,
    ) -> Result<(), Failure> {
        for host in &self.spec.hosts {
            let image = format!("{host}/app");
            let login = ImageRef::parse(&image).ok().and_then(|it| credentials.login_for(&it));
            let Some((user, _)) = login else { continue };
            let until = marks.map_or_else(String::new, |it| format!(", until {}", it.expires));
            writeln!(stderr, "registry: user {} for {host}{until}", Printable(&*user))?;
        }
        Ok(())
    }

    /// Writes the Secret as the credentials controller does: over its own only, and only as it was seen.
    async fn publish(&self, secret: PullSecret) -> Result<(), Failure> {
        let (name, secrets) = (self.spec.login.secret(), Collection::of::<Secret>(Some(self.home)));
        let found = self.cluster.get_metadata(&secrets, name.as_str()).await;
        let found: Option<PartialObjectMeta<Secret>> =
            found.map_err(|why| self.failure(&fetch::Failure::Api(why)))?;
        let (mut parameters, mut secret) = (PatchParams::apply(MANAGER), secret);
        if let Some(PartialObjectMeta { metadata, .. }) = found {
            let mark = metadata.labels.as_ref().and_then(|labels| labels.get(MARK.0));
            if mark.is_none_or(|it| it != MARK.1) {
                return Err(self.failure(&fetch::Failure::Foreign(name.as_str().into())));
            }
            parameters = parameters.force();
            secret = secret.over(metadata.uid, metadata.resource_version);
        }
        let patch = Patch::Apply(secret);
        let written =
            self.cluster.patch("apply", &secrets, name.as_str(), &parameters, &patch).await;
        written.map_err(|error| {
            Failure::trouble(format!(
                "login {}: step publish: {}",
                self.spec.login.name,
                refusal(error, self.home, &name)
            ))
        })
    }

    /// That there is no login, with its name and the step.
    fn failure(&self, why: &fetch::Failure) -> Failure {
        let mut text = with_causes(why);
        if why.outcome() == Outcome::Throttled {
            // What the text says is so of the controller.
            text.push_str("; this command does not: run it later");
        }
        Failure::trouble(match why {
            fetch::Failure::Mint(_) => text,
            _ => format!("login {}: {text}", self.spec.login.name),
        })
    }
}
