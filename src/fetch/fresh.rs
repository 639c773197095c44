//! A new login, and whether a registry takes it.

use zeroize::Zeroizing;

use super::{failure::Failure, life::Life, marks::Marks, spec::Spec, world::World};
use crate::{
    core::{
        credentials::{Credentials, SECRET_MAX},
        image::ImageRef,
        keyring::secret::Form,
    },
    registry::{
        Login, Question, Verdict,
        tokens::{Proof, Renewal},
    },
};

/// A login that was fetched just now.
#[derive(Debug)]
pub struct Fresh {
    /// User and password for each host.
    pub credentials: Credentials,
    /// Its life by this process's clock.
    pub life: Life,
    /// Its life as it is written into annotations.
    pub marks: Option<Marks>,
    /// The clock of the service less ours, where it said the time.
    pub skew: Option<i64>,
}

/// Fetches a login that lives long enough to be given out.
///
/// # Errors
///
/// [`Failure`]
pub async fn fetch(world: &dyn World, spec: &Spec, proof: &Proof) -> Result<Fresh, Failure> {
    let minted = world.fetch(spec, proof).await?;
    let now = world.now();
    let renewal = match minted.renewal {
        Renewal::Half(life) => life,
        Renewal::After(pause) => pause.saturating_mul(2),
    };
    let life = Life::new(now, minted.life, renewal);
    if !life.is_publishable(now) {
        return Err(Failure::ShortLived(minted.life));
    }
    let logins = minted.logins.iter().map(|it| (&*it.host, &*it.username, &*it.password));
    let credentials = Credentials::of_hosts(logins);
    let marks = Marks::new(&life, minted.expires_at);
    Ok(Fresh { credentials, life, marks, skew: minted.skew })
}

/// The logins in a file with a Docker config.
///
/// # Errors
///
/// [`Failure::NoConfig`]
pub fn of_file(path: &str, bytes: &[u8]) -> Result<Credentials, Failure> {
    let form = Form::DockerConfigJson;
    let credentials =
        Credentials::read(form.type_(), |key| (key == form.data_key()).then_some(bytes));
    credentials.map_err(|why| Failure::NoConfig { path: path.into(), why })
}

/// The Docker config of a login's Secret: what the rules need of a new login, and no more.
///
/// # Errors
///
/// [`Failure::NotFor`] a registry of a rule, or [`Failure::TooLong`]
pub fn config(spec: &Spec, credentials: &Credentials) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let slice = credentials.slice(&spec.patterns);
    if let Some(pattern) = slice.unserved().first() {
        return Err(Failure::NotFor(pattern.clone()));
    }
    let config = slice.render();
    if config.len() > SECRET_MAX { Err(Failure::TooLong) } else { Ok(config) }
}

/// Asks the registries whether they take a new login. Answers what they said of each image.
///
/// # Errors
///
/// [`Failure`] at the first image that is not opened.
pub async fn verify(
    world: &dyn World,
    spec: &Spec,
    credentials: &Credentials,
) -> Result<Vec<Verdict>, Failure> {
    let mut verdicts = Vec::with_capacity(spec.images.len());
    for image in &spec.images {
        let untried = || Failure::Untried(image.clone());
        let parsed = ImageRef::parse(image).map_err(|_| untried())?;
        let (user, password) = credentials.login_for(&parsed).ok_or_else(untried)?;
        let login = Login::new(user.to_string(), password.to_string()).map_err(|_| untried())?;
        let probed = world.probe(&parsed, Question::Image, &login).await;
        let verdict = Verdict { user: user.to_string(), probed };
        if !verdict.is_good() {
            let verdict = Box::new(verdict);
            return Err(Failure::Unverified { image: image.clone(), verdict });
        }
        verdicts.push(verdict);
    }
    Ok(verdicts)
}
