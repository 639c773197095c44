//! A client to container registries, and to the clouds that give logins to them.
//!
//! | module | what it is |
//! |---|---|
//! | [`challenge`] | `WWW-Authenticate`: what a registry asks for |
//! | [`client`], [`proxy`] | HTTP requests, the way to the server, and which of them may carry a login |
//! | [`login`] | a user and a password, which show nothing of themselves |
//! | [`probe`](mod@probe) | whether a registry takes a login, and opens an image for it |
//! | [`verdict`] | what a registry says, in words |
//! | [`tokens`] | short-lived logins, fetched from the clouds |

mod address;
pub mod challenge;
pub mod client;
pub mod login;
mod percent;
pub mod probe;
pub mod proxy;
pub mod tokens;
pub mod verdict;

use std::net::IpAddr;

pub use self::{
    client::{Http, NoAnswer},
    login::{Login, LoginError},
    probe::{Outcome, Probed, Question, TokenServer, probe},
    proxy::{Proxy, ProxyError},
    verdict::Verdict,
};

/// Whether a host, perhaps with a port, is the machine itself: `localhost`, or a loopback address.
///
/// An address is parsed, as containerd does before it asks a registry over plain HTTP: `127.example.com` begins like an
/// address and is a name that anybody can register.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_an_address_and_not_a_prefix() {
        for (host, local) in [
            ("localhost", true),
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("127.255.255.254", true),
            ("[::1]:5000", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]:5000", true),
            ("[fd00::1]", false),
            ("127.example.com", false),
            ("127.0.0.1.nip.io", false),
            ("127.0.0.1.nip.io:5000", false),
            ("127.1", false),
            ("127.", false),
            ("128.0.0.1", false),
            ("localhost.example.com", false),
            ("registry.localhost.io", false),
            ("127.0.0.1@example.com", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), local, "{host}");
        }
    }
}
