//! Short-lived logins of registries, fetched from the clouds that give them.
//!
//! Each provider builds requests and reads answers, and does no I/O; [`mint`] sends them with the one client of this crate.
//! No redirection is followed, a token goes over HTTPS only, and only on behalf of a host that fits the provider's pattern.
//!
//! | module | what it is |
//! |---|---|
//! | [`aws`], [`google`], [`azure`], [`aliyun`], [`github`] | what each provider is asked, and how its answers are read |
//! | [`plugin`] | the protocol of kubelet credential providers, and running one |
//! | [`sign`], [`jwt`] | signatures of requests, and of tokens |
//! | [`wire`], [`xml`] | requests and answers as values, and the readers of answers |
//! | [`minted`] | the logins that come of it, and how long they live |
//! | [`problem`] | why there is none, and what to do |

pub mod aliyun;
pub mod aws;
pub mod azure;
mod driver;
pub mod github;
pub mod google;
pub mod jwt;
pub mod minted;
pub mod plugin;
pub mod problem;
mod progress;
mod proof;
mod secret_text;
pub mod sign;
mod time;
pub mod wire;
pub mod xml;

pub use self::{
    driver::{Context, mint},
    minted::{HostLogin, Minted, Renewal},
    plugin::PluginProblem,
    problem::{MintError, Outcome, Problem, Step},
    progress::{Listener, News, Progress},
    proof::{Machine, Proof},
    secret_text::SecretText,
};
