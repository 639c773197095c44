//! When a login ends, as its password says itself. Nothing is verified: it is a login that we are given, and not one that we
//! trust. No request is made for it, and no clock is read.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use zeroize::Zeroizing;

/// The longest password that is read, in bytes. Tokens have a few kilobytes.
const PASSWORD_MAX: usize = 64 << 10;
/// The last second of the year 9999, after which RFC 3339 has no time.
const LAST: i64 = 253_402_300_799;
/// How long a login of ECR lives, which its password does not say (`GetAuthorizationToken`: 12 hours).
const ECR_LIFE: i64 = 12 * 3600;
/// A login ends soon from so many seconds before its end on.
const SOON: i64 = 7 * 24 * 3600;
/// The same, as a part of its life, where that is known and comes later.
const SOON_PART: i64 = 5;

/// The life of a login, in seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it began; `None` where that is not known.
    pub issued: Option<i64>,
    /// When it ends.
    pub ends: i64,
}

/// How far a life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// There is time.
    Fresh,
    /// It ends within seven days, or within a fifth of its life if that is less.
    EndsSoon,
    /// It has ended.
    Ended,
}

/// The payload of ECR's authorization token: keys, and the only field that matters here.
#[derive(Deserialize)]
struct EcrPassword {
    #[serde(rename = "payload")]
    _payload: IgnoredAny,
    expiration: i64,
}

#[derive(Deserialize)]
struct Expires {
    exp: Date,
}

#[derive(Deserialize)]
struct Issued {
    iat: Date,
}

/// A number of seconds, which may have a fraction (RFC 7519, section 2, `NumericDate`).
#[derive(Deserialize)]
struct Date(f64);

// === impl Life ===

impl Life {
    /// The life that a password says: that of a JSON Web Token (Azure's registries, Artifactory and others) or of ECR. `None`
    /// where it says none.
    #[must_use]
    pub fn of_password(password: &[u8]) -> Option<Self> {
        if password.len() > PASSWORD_MAX {
            return None;
        }
        let text = str::from_utf8(password).ok()?;
        Self::of_token(text).or_else(|| Self::of_ecr(text))
    }

    /// The life of a JSON Web Token.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        let ends = claims::<Expires>(token)?.exp.seconds()?;
        let issued = claims::<Issued>(token).and_then(|it| it.iat.seconds());
        Some(Self { issued: issued.filter(|it| *it < ends), ends })
    }

    fn of_ecr(text: &str) -> Option<Self> {
        let decoded = Zeroizing::new(BASE64_STANDARD.decode(text).ok()?);
        let EcrPassword { expiration, .. } = serde_json::from_slice(&decoded).ok()?;
        let ends = (1..=LAST).contains(&expiration).then_some(expiration)?;
        Some(Self { issued: Some(ends - ECR_LIFE), ends })
    }

    /// From when on it ends soon.
    #[must_use]
    pub fn soon(&self) -> i64 {
        let part = self.issued.map(|it| self.ends.saturating_sub(it) / SOON_PART);
        self.ends.saturating_sub(part.map_or(SOON, |it| it.clamp(0, SOON)))
    }

    /// How far it has gone.
    #[must_use]
    pub fn phase(&self, now: i64) -> Phase {
        match now {
            _ if now >= self.ends => Phase::Ended,
            _ if now >= self.soon() => Phase::EndsSoon,
            _ => Phase::Fresh,
        }
    }

    /// When the phase changes next; `None` after the end.
    #[must_use]
    pub fn next_phase(&self, now: i64) -> Option<i64> {
        [self.soon(), self.ends].into_iter().find(|at| *at > now)
    }
}

/// The claims of a JSON Web Token; `None` where the text is no such token.
#[must_use]
pub fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let claims = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&claims).ok()
}

// === impl Date ===

impl Date {
    /// Whole seconds, where they are a time that can be written.
    fn seconds(&self) -> Option<i64> {
        #[expect(clippy::cast_precision_loss, reason = "a float holds it exactly")]
        let last = LAST as f64;
        #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds")]
        (1.0..=last).contains(&self.0).then_some(self.0 as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    fn life(password: &str) -> Option<(Option<i64>, i64)> {
        Life::of_password(password.as_bytes()).map(|it| (it.issued, it.ends))
    }

    #[test]
    fn passwords_of_registries_say_when_they_end() {
        let azure = r#"{"jti":"d2a8","sub":"00000000-0000-0000-0000-000000000000","nbf":1764144000,"exp":1764155700,
            "iat":1764144000,"iss":"Azure Container Registry","aud":"acme.azurecr.io","version":"1.0","grant_type":"refresh_token"}"#;
        assert_eq!(life(&token(azure)), Some((Some(1_764_144_000), 1_764_155_700)));
        let jfrog = r#"{"sub":"jfac@01h/users/robot","scp":"applied-permissions/user","aud":"*@*","iss":"jffe@01h",
            "exp":1795680000,"iat":1764144000,"jti":"f2d1"}"#;
        assert_eq!(life(&token(jfrog)), Some((Some(1_764_144_000), 1_795_680_000)));
        let ecr = BASE64_STANDARD.encode(
            r#"{"payload":"AbC=","datakey":"AQE=","version":"2","type":"DATA_KEY","expiration":1764187200}"#,
        );
        assert_eq!(life(&ecr), Some((Some(1_764_144_000), 1_764_187_200)));
    }

    #[test]
    fn others_say_nothing() {
        for password in [
            "",
            "hunter2",
            "glpat-2xYz_aBcDeFgHiJkLmNo",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "ya29.a0AfB_byC.x.y",
            "cmVmdGtuOjAxOjAwMDAwMDAwMDA6YWJj",
            "a.b.c",
            &token("{}"),
            &token(r#"{"exp":null}"#),
            &token(r#"{"exp":"1764155700"}"#),
            &token(r#"{"exp":-1}"#),
            &token(r#"{"exp":1e300}"#),
            &token(r#"{"exp":[1764155700]}"#),
            &token("[]"),
            &format!("{}.x", token(r#"{"exp":1764155700}"#)),
            &BASE64_STANDARD.encode(r#"{"expiration":1764187200}"#),
            &BASE64_STANDARD.encode(r#"{"payload":"","expiration":9223372036854775807}"#),
            &BASE64_STANDARD.encode(r#"{"payload":"","expiration":"soon"}"#),
            &token(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            &"a".repeat(PASSWORD_MAX + 1),
        ] {
            assert_eq!(life(password), None, "{}", &password[..password.len().min(60)]);
        }
        assert_eq!(Life::of_password(&[0xff, 0xfe]), None);
    }

    #[test]
    fn a_beginning_that_makes_no_sense_is_not_known() {
        for claims in [
            r#"{"exp":1764155700}"#,
            r#"{"exp":1764155700,"iat":"x"}"#,
            r#"{"exp":1764155700,"iat":1764155700}"#,
            r#"{"exp":1764155700.9,"iat":-5}"#,
        ] {
            assert_eq!(life(&token(claims)), Some((None, 1_764_155_700)), "{claims}");
        }
    }

    #[test]
    fn a_life_ends_soon_within_a_fifth_of_it_or_seven_days() {
        let of = |life: Option<i64>| {
            let life = Life { issued: life.map(|it| 100 * DAY - it), ends: 100 * DAY };
            life.ends - life.soon()
        };
        assert_eq!(of(None), 7 * DAY);
        assert_eq!(of(Some(90 * DAY)), 7 * DAY);
        assert_eq!(of(Some(10 * DAY)), 2 * DAY);
        assert_eq!(of(Some(12 * 3600)), 8640);
        let life = Life { issued: Some(0), ends: 1000 };
        for (now, phase, next) in [
            (0, Phase::Fresh, Some(800)),
            (799, Phase::Fresh, Some(800)),
            (800, Phase::EndsSoon, Some(1000)),
            (1000, Phase::Ended, None),
            (i64::MAX, Phase::Ended, None),
        ] {
            assert_eq!((life.phase(now), life.next_phase(now)), (phase, next), "{now}");
        }
        let oldest = Life { issued: None, ends: i64::MIN };
        assert_eq!((oldest.soon(), oldest.phase(0)), (i64::MIN, Phase::Ended));
    }
}
