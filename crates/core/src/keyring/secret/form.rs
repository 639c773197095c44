//! The two forms of a pull Secret, each with its type and its data key.

/// How a Docker config is kept in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `config.json`, which has its entries under `auths`.
    DockerConfigJson,
    /// The older `.dockercfg`, which has its entries at the top.
    DockerCfg,
}

// === impl Form ===

impl Form {
    /// The form that a Secret of this type has; none where the kubelet does not read the type.
    #[must_use]
    pub fn of_type(type_: &str) -> Option<Self> {
        [Self::DockerConfigJson, Self::DockerCfg].into_iter().find(|form| form.type_() == type_)
    }

    /// The type of such a Secret.
    #[must_use]
    pub const fn type_(self) -> &'static str {
        match self {
            Self::DockerConfigJson => "kubernetes.io/dockerconfigjson",
            Self::DockerCfg => "kubernetes.io/dockercfg",
        }
    }

    /// Where the data of such a Secret has the config.
    #[must_use]
    pub const fn data_key(self) -> &'static str {
        match self {
            Self::DockerConfigJson => ".dockerconfigjson",
            Self::DockerCfg => ".dockercfg",
        }
    }

    /// The other form.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::DockerConfigJson => Self::DockerCfg,
            Self::DockerCfg => Self::DockerConfigJson,
        }
    }
}
