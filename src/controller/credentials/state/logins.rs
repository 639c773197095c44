//! What has been read of the logins, and what is made of it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use super::{
    super::{health::schedule::Trial, plan::Wanted, seen::Fingerprint},
    expiry::{Annotated, Expiry},
    overview::Fault,
    tried::Tried,
};
use crate::core::{
    copies::{Copies, Recipe},
    credentials::{Credentials, CredentialsError, SECRET_MAX},
    rules::{LoginName, Mapping, RegistryPattern, SecretName},
};
use crate::fetch::Marks;

/// All logins of a mapping, by name.
#[derive(Debug, Default)]
pub struct Logins {
    pub(super) all: BTreeMap<LoginName, Login>,
    /// Whether a content is tried before it is copied.
    pub(super) tries: bool,
}

/// A login, and what has been made of it.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) secret: SecretName,
    /// Whether pullcred fetches it, and keeps it in the Secret.
    pub(super) fetched: bool,
    /// When it ends, if pullcred does not fetch it.
    pub(super) expiry: Expiry,
    content: LoginContent,
    /// Whether its Secret has not changed since it was read.
    fresh: bool,
    /// What its registries say of the content.
    pub(super) tried: Tried,
}

/// What was read of a login's Secret.
#[derive(Debug)]
pub struct LoginRead {
    /// The uid of the Secret.
    pub uid: Box<str>,
    /// Its `resourceVersion`.
    pub version: Box<str>,
    /// Its annotation [`ACCEPT`](crate::core::copies::ACCEPT).
    pub accept: Option<Box<str>>,
    /// Its credentials, or why it has none.
    pub credentials: Result<Credentials, CredentialsError>,
    /// What its annotation says of its end.
    pub expires_at: Annotated,
}

/// What is known of a login's content.
#[derive(Debug, Default)]
enum LoginContent {
    /// Not read yet.
    #[default]
    Unknown,
    /// It cannot be used.
    Unusable(LoginProblem),
    /// It was read. The credentials themselves are kept only while they are being written.
    Known {
        uid: Box<str>,
        version: Box<str>,
        credentials: Option<Credentials>,
        /// The first registry of a rule that it does not serve.
        unserved: Option<RegistryPattern>,
        made: HashMap<Recipe, Made>,
    },
}

/// Why a login fills nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginProblem {
    /// There is no such Secret.
    #[error("there is no Secret {0}")]
    Missing(SecretName),
    /// It has no logins that a kubelet could use.
    #[error("Secret {secret} is no pull Secret: {why}")]
    Unreadable {
        /// The Secret.
        secret: SecretName,
        /// What is wrong with it.
        why: CredentialsError,
    },
    /// What its copies would hold fits into no Secret.
    #[error("the logins of Secret {0} are longer than 1 MiB, which no copy can hold")]
    TooLong(SecretName),
    /// It has none for any registry of a rule.
    #[error("Secret {secret} has no login for {registry}")]
    NotFor {
        /// The Secret.
        secret: SecretName,
        /// The first registry of a rule that it does not serve.
        registry: RegistryPattern,
    },
}

/// What a recipe makes of a login.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// `None` where the login has nothing for any registry of the recipe.
    pub(super) fingerprint: Option<Fingerprint>,
    /// What is written; kept as long as the credentials.
    pub(super) content: Option<Arc<Content>>,
}

/// The content of a copy, wiped when the last write of it is over.
#[derive(Debug)]
pub struct Content {
    /// The name of the login.
    pub login: LoginName,
    /// The fingerprint, as it goes into the annotation.
    pub fingerprint: String,
    /// The life of what pullcred fetched; none of a copy.
    pub marks: Option<Marks>,
    /// The Docker config. Its `Debug` shows nothing of it.
    pub config: Config,
}

/// A rendered Docker config.
pub struct Config(pub zeroize::Zeroizing<Vec<u8>>);

// === impl Logins ===

impl Logins {
    /// From now on, these are the logins. What has been read of those whose Secret is still the same stays.
    pub(super) fn set_mapping(&mut self, mapping: &Mapping, copies: &Copies) {
        let mut before = std::mem::take(&mut self.all);
        for login in mapping.logins().iter().filter(|it| copies.is_copied(&it.name)) {
            let (secret, fetched) = (login.secret(), login.is_fetched());
            let known = before.remove(&login.name).filter(|it| it.secret == secret);
            let mut known = known.unwrap_or_else(|| Login::unread(secret.clone(), fetched));
            known.fetched = fetched;
            let is_gated = self.tries;
            if let LoginContent::Known { uid, credentials, unserved, made, .. } = &mut known.content
            {
                // Recipes are numbered by the mapping.
                made.clear();
                if let Some(it) = credentials {
                    let slice = it.slice(&copies.registries(&login.name));
                    *unserved = slice.unserved().first().cloned();
                    known.expiry.set_life(slice.life().filter(|_| !fetched));
                    known.tried.set_content(&slice, uid, is_gated);
                } else {
                    let tried = std::mem::take(&mut known.tried);
                    known = Login { tried, ..Login::unread(secret, fetched) };
                }
            }
            self.all.insert(login.name.clone(), known);
        }
    }

    /// The logins, with their Secrets.
    pub fn secrets(&self) -> impl Iterator<Item = (&LoginName, &SecretName)> {
        self.all.iter().map(|(name, login)| (name, &login.secret))
    }

    /// The Secret of a login.
    #[must_use]
    pub fn secret(&self, name: &LoginName) -> Option<&SecretName> {
        self.all.get(name).map(|login| &login.secret)
    }

    /// Whether pullcred fetches a login.
    #[must_use]
    pub fn is_fetched(&self, name: &LoginName) -> bool {
        self.all.get(name).is_some_and(|login| login.fetched)
    }

    /// The logins that are in this Secret.
    pub fn in_secret<'s>(&'s self, secret: &'s str) -> impl Iterator<Item = &'s LoginName> {
        let found = self.all.iter().filter(move |(_, login)| login.secret.as_str() == secret);
        found.map(|(name, _)| name)
    }

    /// Notes what a login's Secret holds; `None` if there is no such Secret. Returns whether that differs from what was
    /// known.
    pub(super) fn set(
        &mut self,
        copies: &Copies,
        name: &LoginName,
        read: Option<LoginRead>,
    ) -> bool {
        let Some(login) = self.all.get_mut(name) else { return false };
        login.fresh = true;
        let secret = login.secret.clone();
        let annotated = read.as_ref().filter(|_| !login.fetched);
        let annotated = annotated.map(|it| it.expires_at).unwrap_or_default();
        let problem = match read {
            None => LoginProblem::Missing(secret),
            Some(LoginRead { credentials: Err(why), .. }) => {
                LoginProblem::Unreadable { secret, why }
            }
            Some(LoginRead { uid, version, accept, credentials: Ok(now), .. }) => {
                let slice = now.slice(&copies.registries(name));
                login.expiry.set(annotated, slice.life().filter(|_| !login.fetched));
                if slice.render().len() > SECRET_MAX {
                    LoginProblem::TooLong(secret)
                } else if let LoginContent::Known { uid: known, version: same, credentials, .. } =
                    &mut login.content
                    && (&uid, &version) == (known, same)
                {
                    // It was read again because its credentials had been wiped.
                    *credentials = Some(now);
                    return false;
                } else {
                    let unserved = slice.unserved().first().cloned();
                    login.tried.set_content(&slice, &uid, self.tries);
                    login.tried.set_accept(accept);
                    let (credentials, made) = (Some(now), HashMap::new());
                    login.content =
                        LoginContent::Known { uid, version, credentials, unserved, made };
                    return true;
                }
            }
        };
        login.expiry = Expiry::default();
        let same = matches!(&login.content, LoginContent::Unusable(known) if *known == problem);
        login.content = LoginContent::Unusable(problem);
        !same
    }

    /// Notes that a login's Secret has changed, so that it must be read again.
    pub fn forget(&mut self, name: &LoginName) {
        if let Some(login) = self.all.get_mut(name) {
            login.fresh = false;
        }
    }

    /// Wipes credentials and contents: nothing is being written. Fingerprints stay.
    pub fn wipe(&mut self) {
        for login in self.all.values_mut() {
            if let LoginContent::Known { credentials, made, .. } = &mut login.content {
                *credentials = None;
                for made in made.values_mut() {
                    made.content = None;
                }
            }
        }
    }

    /// What is wrong with each login; nothing where it can be used, or was not read yet.
    pub fn problems(&self) -> impl Iterator<Item = (&LoginName, Option<LoginProblem>)> {
        self.all.iter().map(|(name, login)| {
            let problem = match &login.content {
                LoginContent::Unknown => None,
                LoginContent::Unusable(problem) => Some(problem.clone()),
                LoginContent::Known { unserved, .. } => unserved.clone().map(|registry| {
                    LoginProblem::NotFor { secret: login.secret.clone(), registry }
                }),
            };
            (name, problem)
        })
    }

    /// Why a login fills nothing; of one that can be used, why a rule gets nothing of it.
    pub(super) fn fault(&self, name: &LoginName) -> Fault {
        match self.all.get(name) {
            Some(Login { content: LoginContent::Unusable(problem), .. }) => Fault::of(problem),
            Some(login) if login.tried.trial == Trial::Held => Fault::Refused,
            _ => Fault::NoLoginForRegistry,
        }
    }

    /// Whether all logins have been read once, or `is_unreadable` says that they could not be.
    pub fn are_known(&self, is_unreadable: impl Fn(&LoginName) -> bool) -> bool {
        let unknown = |login: &Login| matches!(login.content, LoginContent::Unknown);
        self.all.iter().all(|(name, login)| !unknown(login) || is_unreadable(name))
    }

    /// What is wanted by a recipe, as far as its login has been read.
    pub(super) fn known(&self, copies: &Copies, recipe: &Recipe) -> Option<Wanted> {
        let login = self.all.get(copies.login(recipe)?)?;
        match &login.content {
            LoginContent::Unknown => None,
            LoginContent::Unusable(_) => Some(Wanted::Unavailable),
            LoginContent::Known { .. } if login.tried.trial == Trial::Held => {
                Some(Wanted::Unavailable)
            }
            LoginContent::Known { .. } if login.tried.trial == Trial::Waiting => None,
            LoginContent::Known { made, .. } => Some(match made.get(recipe)?.fingerprint {
                Some(fingerprint) => Wanted::Content(fingerprint),
                None => Wanted::Unavailable,
            }),
        }
    }

    /// What a recipe makes of its login; `None` where the login cannot be used.
    ///
    /// # Errors
    ///
    /// The login, where it must be read first.
    pub(super) fn make(
        &mut self,
        copies: &Copies,
        recipe: &Recipe,
    ) -> Result<Option<Made>, Option<LoginName>> {
        let Some(name) = copies.login(recipe).cloned() else { return Err(None) };
        let Some(login) = self.all.get_mut(&name) else { return Err(None) };
        let (uid, credentials, made) = match &mut login.content {
            _ if !login.fresh => return Err(Some(name)),
            LoginContent::Unknown => return Err(Some(name)),
            LoginContent::Unusable(_) => return Ok(None),
            LoginContent::Known { .. } if login.tried.trial != Trial::Passed => return Ok(None),
            LoginContent::Known { uid, credentials, made, .. } => (uid, credentials, made),
        };
        if let Some(known) = made.get(recipe)
            && (known.content.is_some() || credentials.is_none() || known.fingerprint.is_none())
        {
            return Ok(Some(known.clone()));
        }
        let Some(credentials) = credentials else { return Err(Some(name)) };
        let slice = copies.slice(recipe, credentials);
        let content = (!slice.is_empty()).then(|| {
            let fingerprint = slice.fingerprint(uid.as_bytes());
            Arc::new(Content {
                login: name,
                fingerprint,
                marks: None,
                config: Config(slice.render()),
            })
        });
        let fingerprint = content.as_ref().and_then(|it| Fingerprint::parse(&it.fingerprint));
        let new = Made { fingerprint, content };
        made.insert(recipe.clone(), new.clone());
        Ok(Some(new))
    }
}

impl Login {
    fn unread(secret: SecretName, fetched: bool) -> Self {
        let (content, tried) = (LoginContent::Unknown, Tried::default());
        Self { secret, fetched, expiry: Expiry::default(), content, fresh: false, tried }
    }
}

// === impl Config ===

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Config")
    }
}
