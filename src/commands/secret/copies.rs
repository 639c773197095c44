//! `pullcred secret copies`: the Secrets that the credentials controller keeps in a namespace, as manifests.
//!
//! Which they are and what is in them is decided by [`core::copies`](crate::core::copies), as in the controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::PathBuf,
};

use serde::Serialize;

use super::{Output, how_to_make, pull_secret::PullSecret, text};
use crate::{
    commands::{
        DEFAULT_NAMESPACE, Exit, Failure, Streams,
        constraints::NAMESPACE_NAME,
        load_mapping,
        logins::{self, Found},
        manifests::{SecretManifest, Source},
        printable::Printable,
    },
    core::{
        copies::{CONTENT, Copies, LOGIN, MARK, Recipe},
        credentials::{Credentials, SECRET_MAX},
        pod::{INJECT_LABEL, OPTED_IN},
        rules::{EXCLUDED_NAMESPACES, Login, Mapping, NamespaceLabel, RegistryPattern, Rule},
    },
};

/// Which copies to write, and of what.
#[derive(Debug)]
pub struct CopiesOptions {
    /// The mapping.
    pub config: PathBuf,
    /// Manifests with the Secrets of the logins.
    pub sources: Vec<Source>,
    /// The namespace that the copies are for; `default` where it is not given.
    pub namespace: Option<String>,
    /// The labels of that namespace. It is taken to have opted in, unless they say otherwise.
    pub labels: Vec<NamespaceLabel>,
    /// The namespace of pullcred, with the Secrets of the logins.
    pub installed_in: String,
    /// How the copies are written.
    pub output: Output,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    api_version: &'static str,
    kind: &'static str,
    items: Vec<PullSecret>,
}

/// What the copies are made from.
struct Plan<'o> {
    options: &'o CopiesOptions,
    namespace: &'o str,
    mapping: &'o Mapping,
    copies: Copies,
    secrets: Vec<SecretManifest>,
}

/// A login that can be used.
struct Usable<'p> {
    login: &'p Login,
    secret: &'p SecretManifest,
    credentials: Credentials,
}

/// Writes the copies of a namespace, all of them or none.
///
/// # Errors
///
/// [`Failure`] where a login's Secret is not there, cannot be used, or lacks a login for a rule.
pub(super) fn run(options: &CopiesOptions, streams: &mut Streams<'_>) -> Result<Exit, Failure> {
    let CopiesOptions { config, sources, installed_in, output, .. } = options;
    if Source::share_stdin(sources) {
        let message = "`-` stands there twice, but standard input can be read only once";
        return Err(Failure::usage(message));
    }
    let mapping = &load_mapping(config)?;
    let mut secrets = Vec::new();
    for source in sources {
        secrets.extend(SecretManifest::all_of(source, streams.stdin)?);
    }
    let namespace = options.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let copies = Copies::of(mapping, installed_in);
    let plan = Plan { options, namespace, mapping, copies, secrets };
    let items = plan.items(streams.stderr)?;
    plan.notes(items.is_empty(), streams.stderr)?;
    let list = List { api_version: "v1", kind: "List", items };
    streams.stdout.write_all(text(&list, *output)?.as_bytes())?;
    streams.stdout.flush()?;
    Ok(Exit::Fine)
}

// === impl Plan ===

impl Plan<'_> {
    /// The copies, or all that is in their way.
    fn items(&self, stderr: &mut dyn Write) -> Result<Vec<PullSecret>, Failure> {
        let recipes = if self.is_opted_out() {
            Vec::new()
        } else {
            self.copies.wanted(self.namespace, |key| self.label(key))
        };
        let wanted: BTreeSet<_> = recipes.iter().filter_map(|it| self.copies.login(it)).collect();
        let mut usable = Vec::new();
        let mut problems = Vec::new();
        // In the order of the file.
        for login in self.mapping.logins().iter().filter(|login| wanted.contains(&login.name)) {
            match self.usable(login) {
                Ok(it) => usable.push(it),
                Err(why) => problems.push((login.line, of_login(login, &why))),
            }
        }
        let mut items = Vec::new();
        for recipe in &recipes {
            let login = self.copies.login(recipe);
            let usable = usable.iter().find(|it| Some(&it.login.name) == login);
            match usable.map(|usable| self.copy(recipe, usable)) {
                Some(Ok(copy)) => items.extend(copy),
                Some(Err((line, why))) => problems.extend(why.into_iter().map(|why| (line, why))),
                // That its login cannot be used is a problem already.
                None => {}
            }
        }
        for Usable { login, secret, .. } in &usable {
            for flaw in secret.flaws() {
                writeln!(stderr, "warning: {}", of_login(login, &Printable(flaw).to_string()))?;
            }
        }
        if problems.is_empty() {
            return Ok(items);
        }
        problems.sort_by_key(|(line, _)| *line);
        let problems: Vec<_> = problems.into_iter().map(|(_, problem)| problem).collect();
        Err(Failure::trouble(format!("no copy was written:\n  {}", problems.join("\n  "))))
    }

    /// The Secret of a login, or why it cannot be used and what to do.
    fn usable<'p>(&'p self, login: &'p Login) -> Result<Usable<'p>, String> {
        let home = &self.options.installed_in;
        let secret = match logins::find(&self.secrets, login, home) {
            Found::Here(secret) => secret,
            Found::Elsewhere(namespace) => {
                return Err(format!(
                    "Secret {} is in namespace {namespace}, but pullcred reads it in its own, {home}: \
                     correct the manifest, or name pullcred's namespace with --installed-in",
                    login.secret()
                ));
            }
            Found::Nowhere => return Err(self.missing(login)),
        };
        match logins::credentials(secret) {
            Ok(credentials) => Ok(Usable { login, secret, credentials }),
            Err(fault) => {
                let name = login.secret();
                if login.is_fetched() {
                    let fetch = logins::how_to_fetch(login);
                    return Err(format!(
                        "Secret {name} cannot be used: {fault}. Fetch it: {fetch}"
                    ));
                }
                let rules = logins::rules_of(self.mapping, &login.name);
                let hosts = logins::hosts(rules.flat_map(|rule| &rule.patterns));
                let make = how_to_make(name.as_str(), home, &hosts);
                Err(format!("Secret {name} cannot be used: {fault}. {}: {make}", fault.remedy()))
            }
        }
    }

    /// That the Secret of a login is not among the manifests.
    fn missing(&self, login: &Login) -> String {
        let (name, home) = (login.secret(), &self.options.installed_in);
        let sources: Vec<_> = self.options.sources.iter().map(ToString::to_string).collect();
        let by_hand = if login.is_fetched() {
            format!(", or of {}, which fetches it", logins::how_to_fetch(login))
        } else {
            String::new()
        };
        format!(
            "there is no Secret {name} in {}: give its manifest with --from, such as that of \
             kubectl get secret {name} -n {home} -o yaml{by_hand}",
            sources.join(", ")
        )
    }

    /// One copy; or what is in its way, with the line of its login.
    fn copy(
        &self,
        recipe: &Recipe,
        usable: &Usable<'_>,
    ) -> Result<Option<PullSecret>, (u32, Vec<String>)> {
        let line = usable.login.line;
        let Some(name) = self.copies.secrets().nth(recipe.copy) else { return Ok(None) };
        let slice = self.copies.slice(recipe, &usable.credentials);
        if !slice.unserved().is_empty() {
            let problem = |pattern| self.unserved(usable, name.as_str(), pattern);
            return Err((line, slice.unserved().iter().map(problem).collect()));
        }
        let config = slice.render();
        if config.len() > SECRET_MAX {
            let message = format!(
                "Secret {name} would have more than {SECRET_MAX} bytes, which the API server refuses: \
                 split the rules, each with a `secret` of its own"
            );
            return Err((line, vec![of_login(usable.login, &message)]));
        }
        let mut annotations = BTreeMap::from([(LOGIN, usable.login.name.to_string())]);
        // The fingerprint is keyed with what only an API server gives.
        if let Some(uid) = &usable.secret.uid {
            annotations.insert(CONTENT, slice.fingerprint(uid.as_bytes()));
        }
        let labels = BTreeMap::from([(MARK.0, MARK.1.to_owned())]);
        let copy = PullSecret::of_config(name, Some(self.namespace.to_owned()), &config);
        Ok(Some(copy.marked(labels, annotations)))
    }

    /// That a login's Secret has nothing for a registry of a rule.
    fn unserved(&self, usable: &Usable<'_>, copy: &str, pattern: &RegistryPattern) -> String {
        let Usable { login, credentials, .. } = usable;
        let names_it =
            |rule: &&Rule| rule.secret.as_str() == copy && rule.patterns.contains(pattern);
        let rule = logins::rules_of(self.mapping, &login.name).find(names_it);
        let line = rule.map_or_else(String::new, |rule| format!(" (line {})", rule.line));
        let message = format!(
            "Secret {} has no login for {pattern}{line}: it has {}. Put one into it, or take {pattern} out of the rule",
            login.secret(),
            logins::keys(credentials)
        );
        of_login(login, &message)
    }

    /// The value of a label of the namespace. Every namespace has its own name as one.
    fn label<'p>(&'p self, key: &str) -> Option<&'p str> {
        let written = self.options.labels.iter().find(|label| label.key() == key);
        let own_name = (key == NAMESPACE_NAME).then_some(self.namespace);
        own_name.or(written.map(NamespaceLabel::value))
    }

    /// Whether the labels say that the namespace has not opted in.
    fn is_opted_out(&self) -> bool {
        self.label(INJECT_LABEL).is_some_and(|value| value != OPTED_IN)
    }

    /// Says why there is no copy, and which labels would bring more.
    fn notes(&self, none: bool, stderr: &mut dyn Write) -> io::Result<()> {
        let (namespace, mapping) = (self.namespace, self.mapping);
        let why_none = if mapping.logins().is_empty() {
            Some("the mapping has no logins".to_owned())
        } else if self.is_opted_out() {
            Some(format!("its label {INJECT_LABEL} is not {OPTED_IN}"))
        } else if namespace == self.options.installed_in {
            Some("it is pullcred's own, where the logins are".to_owned())
        } else if EXCLUDED_NAMESPACES.contains(&namespace) {
            Some("it is a namespace of Kubernetes itself".to_owned())
        } else {
            None
        };
        if let Some(why) = why_none {
            return writeln!(stderr, "note: namespace {namespace} gets no copy: {why}");
        }
        let filled = mapping.rules().iter().filter_map(|rule| Some((rule, rule.fill.as_ref()?)));
        let lacking = filled.filter(|(rule, fill)| {
            rule.holds_in(namespace) && !fill.includes(|key| self.label(key))
        });
        if none {
            let hint = match self.options.namespace {
                None => ": name the namespace with -n",
                Some(_) => "",
            };
            writeln!(
                stderr,
                "note: namespace {namespace} gets no copy: no rule with a login holds in it{hint}"
            )?;
        }
        for (rule, fill) in lacking {
            let labels: Vec<_> = fill.labels.iter().map(ToString::to_string).collect();
            writeln!(
                stderr,
                "note: line {}: the rule fills Secret {} only where the namespace has the labels {}: \
                 name the labels of {namespace} with -l",
                rule.line,
                rule.secret,
                labels.join(",")
            )?;
        }
        Ok(())
    }
}

fn of_login(login: &Login, message: &str) -> String {
    format!("login {} (line {}): {message}", login.name, login.line)
}
