//! Mounted files, changed as the kubelet changes them.

use std::{fs, path::Path};

/// The kubelet's way of changing all files of a volume at once: `..data` is a link to a folder, replaced by renaming.
pub(crate) fn swap(folder: &Path, files: &[(&str, &str)]) {
    let version = tempfile::Builder::new().prefix("..version_").tempdir_in(folder).unwrap().keep();
    for (name, content) in files {
        fs::write(version.join(name), content).unwrap();
        let link = folder.join(name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    let staged = folder.join("..data_tmp");
    std::os::unix::fs::symlink(version.file_name().unwrap(), &staged).unwrap();
    fs::rename(staged, folder.join("..data")).unwrap();
}
