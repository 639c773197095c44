//! What a command shows, held against a file of the test data.

use std::path::Path;

/// Holds what was shown against the snapshot of this name in a folder of the test data.
pub(crate) fn snapshot(folder: &str, name: &str, shown: &str) {
    insta::with_settings!({
        snapshot_path => Path::new("../testdata").join(folder),
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, shown);
    });
}
