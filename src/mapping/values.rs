//! The values of a login: texts that a provider or another program gets.

use std::ops::RangeInclusive;

use serde_saphyr::Spanned;

use super::{
    Problem, Reader,
    yaml::{Names, place},
    yaml_login::{RawEndpoints, RawKeys},
};
use crate::{
    core::{
        rules::{Endpoint, Endpoints, RegistryPattern, SecretName},
        shorten,
    },
    duration::duration,
};

/// The longest text of a source. No name or ARN of a provider is longer.
const TEXT_MAX: usize = 2048;
/// How often a plugin may be asked, in seconds.
const REFRESH: RangeInclusive<u64> = 60..=86_400;

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn audience(&mut self, written: &Spanned<String>, usual: &str) -> Option<Box<str>> {
        if written.value.trim().is_empty() {
            let message = format!(
                "an empty audience is that of the API server itself, and such a token must not leave the cluster: \
                 write {usual}"
            );
            self.refuse(place(written.referenced), message);
            return None;
        }
        self.text(written, |_| true, "an audience without spaces")
    }

    pub(super) fn endpoints(
        &mut self,
        written: Option<&RawEndpoints>,
        ca_bundle: Option<&Spanned<String>>,
    ) -> Option<Endpoints> {
        let (token, api) = written.map_or((None, None), |it| (it.token.as_ref(), it.api.as_ref()));
        let token = self.endpoint(token);
        let api = self.endpoint(api);
        let ca_bundle = match ca_bundle {
            Some(it) => Some(self.certificates(it)?),
            None => None,
        };
        Some(Endpoints { token: token?, api: api?, ca_bundle })
    }

    /// `None` where the address is refused.
    #[expect(clippy::option_option, reason = "refused, absent, or there")]
    fn endpoint(&mut self, written: Option<&Spanned<String>>) -> Option<Option<Endpoint>> {
        let Some(written) = written else { return Some(None) };
        match written.value.parse() {
            Ok(endpoint) => Some(Some(endpoint)),
            Err(error) => {
                self.refuse(place(written.referenced), format!("{error}"));
                None
            }
        }
    }

    fn certificates(&mut self, written: &Spanned<String>) -> Option<Box<str>> {
        let blocks = pem::parse_many(&written.value).unwrap_or_default();
        if !blocks.is_empty() && blocks.iter().all(|it| it.tag() == "CERTIFICATE") {
            return Some(written.value.as_str().into());
        }
        let message = "the text has no certificates, or more than that: write them as PEM, each from \
                       `-----BEGIN CERTIFICATE-----` to its end, behind `caBundle: |`";
        self.report(|_| Problem::unshown(place(written.referenced), message.to_owned()));
        None
    }

    pub(super) fn keys(&mut self, written: &Spanned<RawKeys>) -> Option<SecretName> {
        self.name(&written.value.secret)
    }

    pub(super) fn ambient(&mut self, written: &Spanned<String>, only: &str) -> Option<()> {
        if written.value == only {
            return Some(());
        }
        self.refuse(
            place(written.referenced),
            format!("the only ambient identity here is `ambient: {only}`"),
        );
        None
    }

    /// Hosts by their names.
    pub(super) fn hosts(&mut self, written: &Names) -> Option<Vec<Box<str>>> {
        let host = |it: &Spanned<String>| {
            let pattern: RegistryPattern = self.name(it)?;
            if !pattern.is_glob() && pattern.path().is_empty() {
                return Some(pattern.host().into());
            }
            self.refuse(
                place(it.referenced),
                "a host belongs here, without a path and without `*`",
            );
            None
        };
        written.value.iter().map(host).collect()
    }

    pub(super) fn refresh(&mut self, written: &Spanned<String>) -> Option<u32> {
        let at = place(written.referenced);
        let seconds = match duration(&written.value) {
            Ok(it) => it.as_secs(),
            Err(why) => {
                self.refuse(at, format!("{:?} is no duration: {why}", shorten(&written.value, 40)));
                return None;
            }
        };
        let fits = REFRESH.contains(&seconds);
        if !fits {
            self.refuse(
                at,
                "a plugin can be asked every minute to every day: write a duration from 1m to 24h",
            );
        }
        u32::try_from(seconds).ok().filter(|_| fits)
    }

    pub(super) fn path(&mut self, written: &Spanned<String>) -> Option<Box<str>> {
        let is_path = |it: &str| it.starts_with('/') && !it.ends_with('/') && !it.contains("/../");
        self.text(
            written,
            is_path,
            "the path of a file from the root, such as /run/logins/config.json",
        )
    }

    /// A variable for another program, and its value.
    pub(super) fn variable(
        &mut self,
        key: &str,
        value: &Spanned<String>,
    ) -> Option<(Box<str>, Box<str>)> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_key = !key.is_empty() && key.len() <= TEXT_MAX && key.chars().all(fits);
        if !is_key || key.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!(
                "{:?} is not the name of a variable: write letters, digits and `_`, such as REGION",
                shorten(key, 40)
            );
            self.refuse(place(value.referenced), message);
            return None;
        }
        Some((key.into(), self.argument(value)?))
    }

    /// A text for another program: anything that it can be given.
    pub(super) fn argument(&mut self, written: &Spanned<String>) -> Option<Box<str>> {
        if written.value.len() <= TEXT_MAX && !written.value.contains('\0') {
            return Some(written.value.as_str().into());
        }
        let message = format!("the text is longer than {TEXT_MAX} characters, or has a NUL");
        self.report(|_| Problem::unshown(place(written.referenced), message));
        None
    }

    /// A text without spaces and control characters, if it is what is to be written.
    pub(super) fn text(
        &mut self,
        written: &Spanned<String>,
        fits: impl Fn(&str) -> bool,
        write: &str,
    ) -> Option<Box<str>> {
        let text = &*written.value;
        let is_plain = text.chars().all(|c| c.is_ascii_graphic());
        if !text.is_empty() && text.len() <= TEXT_MAX && is_plain && fits(text) {
            return Some(text.into());
        }
        self.refuse(place(written.referenced), format!("write {write}"));
        None
    }
}
