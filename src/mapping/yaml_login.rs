//! Logins as they are written, before their values are checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::yaml::{Names, not_null};

pub(super) type Text = Option<Spanned<String>>;

/// A map of a mapping file, of which every key but those before `..` may be left out, but not its value.
macro_rules! raw {
    ($(#[$doc:meta])* $name:ident { $($required:ident: $type:ty,)* .. $($optional:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(super) struct $name {
            $(pub(super) $required: $type,)*
            $(
                #[serde(default, deserialize_with = "not_null")]
                pub(super) $optional: Option<$of>,
            )*
        }
    };
}

raw!(
    /// A login.
    RawLogin {
        name: Spanned<String>,
        ..
        secret: Spanned<String>,
        aws: Spanned<RawAws>,
        google: Spanned<RawGoogle>,
        azure: Spanned<RawAzure>,
        aliyun: Spanned<RawAliyun>,
        github: Spanned<RawGithub>,
        plugin: Spanned<RawPlugin>,
        file: Spanned<String>,
    }
);

raw!(
    /// Amazon ECR.
    RawAws {
        ..
        role: Spanned<String>,
        keys: Spanned<RawKeys>,
        ambient: Spanned<String>,
        audience: Spanned<String>,
        token_file: Spanned<String>,
        endpoints: RawEndpoints,
        ca_bundle: Spanned<String>,
    }
);

raw!(
    /// Google Artifact Registry.
    RawGoogle {
        ..
        provider: Spanned<String>,
        impersonate: Spanned<String>,
        ambient: Spanned<String>,
        audience: Spanned<String>,
        token_file: Spanned<String>,
        endpoints: RawEndpoints,
        ca_bundle: Spanned<String>,
    }
);

raw!(
    /// Azure Container Registry.
    RawAzure {
        ..
        tenant: Spanned<String>,
        client: Spanned<String>,
        ambient: Spanned<String>,
        audience: Spanned<String>,
        token_file: Spanned<String>,
        hosts: Names,
        endpoints: RawEndpoints,
        ca_bundle: Spanned<String>,
    }
);

raw!(
    /// Alibaba Cloud Container Registry.
    RawAliyun {
        ..
        role: Spanned<String>,
        oidc_provider: Spanned<String>,
        keys: Spanned<RawKeys>,
        instance: Spanned<String>,
        region: Spanned<String>,
        audience: Spanned<String>,
        token_file: Spanned<String>,
        hosts: Names,
        endpoints: RawEndpoints,
        ca_bundle: Spanned<String>,
    }
);

raw!(
    /// GitHub's container registry.
    RawGithub {
        ..
        app: Spanned<String>,
        installation: Spanned<String>,
        keys: Spanned<RawKeys>,
        repositories: Names,
        hosts: Names,
        endpoints: RawEndpoints,
        ca_bundle: Spanned<String>,
    }
);

raw!(
    /// A plugin of the kubelet.
    RawPlugin {
        ..
        name: Spanned<String>,
        args: Names,
        env: Spanned<BTreeMap<String, Spanned<String>>>,
        audience: Spanned<String>,
        refresh: Spanned<String>,
    }
);

raw!(
    /// Addresses other than the provider's own.
    RawEndpoints {
        ..
        token: Spanned<String>,
        api: Spanned<String>,
    }
);

raw!(
    /// The Secret with keys.
    RawKeys {
        secret: Spanned<String>,
        ..
    }
);
