//! Short-lived logins: what has to be fetched for a mapping, who asks, and how long it lives. For the controller that keeps
//! them, and for the command that makes one by hand.
//!
//! | module | what it does |
//! |---|---|
//! | [`spec`] | what has to be fetched for a mapping (pure) |
//! | [`life`] | how long a login lives, when it is renewed, how failures are paced (pure) |
//! | [`marks`] | what a Secret's annotations say of the life of its login (pure) |
//! | [`world`] | clouds, registries, plugins, files and the clock |
//! | [`plugins`] | plugins of the kubelet, in a container of their own behind a socket |
//! | [`identity`] | what proves who asks |
//! | [`fresh`] | a new login, and whether a registry takes it |
//! | [`failure`] | why there is none, and at which step |

pub mod failure;
pub mod fresh;
pub mod identity;
pub mod life;
pub mod marks;
pub mod plugins;
pub mod spec;
pub mod world;

pub use self::{
    failure::Failure,
    fresh::{Fresh, config, fetch, of_file, verify},
    identity::{Asker, IDENTITY},
    life::{Life, Phase},
    marks::Marks,
    spec::Spec,
    world::{Outside, World},
};
