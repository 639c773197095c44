//! `pullcred plugins`

use std::path::PathBuf;

use clap::Args;

/// Run credential provider plugins of the kubelet for pullcred credentials, in a container without a token for the API server
#[derive(Debug, Args)]
#[command(
    after_help = "Each plugin gets the arguments and the environment of the mapping and nothing else, an image of the
rule's registry, and where the mapping has an audience a token for it. It is killed after a minute.

Example, beside pullcred credentials --plugins /run/pullcred/plugins.sock:
    pullcred plugins --socket /run/pullcred/plugins.sock --dir /plugins"
)]
pub struct PluginsArgs {
    /// The Unix socket to listen at, in a folder that only the two containers share
    #[arg(long, env = "PULLCRED_PLUGINS", value_name = "PATH")]
    pub socket: PathBuf,
    /// The folder with the plugins
    #[arg(long, env = "PULLCRED_PLUGINS_DIR", value_name = "DIR")]
    pub dir: PathBuf,
}
