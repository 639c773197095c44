//! The keys that decide by what is known of a namespace's Secrets: `whenMissing` of a rule, and `discover`.

use serde_saphyr::Spanned;

use super::{
    Reader,
    yaml::{RawDiscover, place},
};
use crate::core::rules::{NamespacePattern, WhenMissing};

const NOWHERE: &str =
    "nothing would be discovered: name namespaces, such as [\"sandbox-*\"], or remove `discover`";

impl Reader<'_> {
    pub(super) fn when_missing(&mut self, written: Option<&Spanned<String>>) -> WhenMissing {
        let Some(written) = written else { return WhenMissing::default() };
        match written.value.as_str() {
            "inject" => return WhenMissing::Inject,
            "skip" => return WhenMissing::Skip,
            _ => {}
        }
        // The text is shown by the snippet, which cuts it.
        let message = "this is no value of `whenMissing`: write `inject`, which is what holds without the key, \
                       or `skip`, which leaves the Secret out where it is known to be missing";
        self.refuse(place(written.referenced), message);
        WhenMissing::default()
    }

    pub(super) fn discover(&mut self, written: &RawDiscover) -> Vec<NamespacePattern> {
        let namespaces = &written.namespaces;
        if namespaces.value.is_empty() {
            self.refuse(place(namespaces.referenced), NOWHERE);
        }
        self.names(namespaces)
    }
}
