//! The image made without an engine: the same one each time, well formed, and what the Dockerfile says.

#![expect(clippy::unwrap_used, reason = "clippy knows the tests here, but not their helpers")]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use pullcred::allocator;
use serde_json::{Value, json};
use tempfile::TempDir;

const EPOCH: &str = "1700000000";

/// An image of a small static program, unpacked.
struct Image {
    folder: TempDir,
    digest: String,
}

// === impl Image ===

impl Image {
    fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = static_program(folder.path());
        let archive = folder.path().join("image.tar");
        let digest = build(&[&program], &archive, "022");
        run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()));
        Self { folder, digest }
    }

    fn index(&self) -> Value {
        read(&self.folder.path().join("index.json"))
    }

    /// The path of what a descriptor describes, of which size and digest are right.
    fn blob(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = self.folder.path().join("blobs").join(digest.replace(':', "/"));
        assert_eq!(sha256(&path), digest);
        assert_eq!(descriptor["size"], fs::metadata(&path).unwrap().len());
        path
    }

    fn manifest(&self) -> Value {
        read(&self.blob(&self.index()["manifests"][0]))
    }

    fn config(&self) -> Value {
        read(&self.blob(&self.manifest()["config"]))
    }

    /// A folder with what is in the image.
    fn unpacked(&self) -> PathBuf {
        let root = self.folder.path().join("root");
        fs::create_dir(&root).unwrap();
        let layer = self.blob(&self.manifest()["layers"][0]);
        run(Command::new("tar").arg("-xzf").arg(layer).arg("-C").arg(&root));
        root
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn sha256(path: &Path) -> String {
    let sum = run(Command::new("sha256sum").arg(path));
    format!("sha256:{}", sum.split_whitespace().next().unwrap())
}

/// A program that needs no loader, as the image has none.
fn static_program(folder: &Path) -> PathBuf {
    let source = folder.join("program.rs");
    let program = folder.join("program");
    fs::write(&source, "fn main() { println!(\"it runs\"); }").unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(rustc)
        .args(["-Ctarget-feature=+crt-static", "-o"])
        .arg(&program)
        .arg(&source));
    program
}

/// Runs image/build.sh under a umask of the caller's; gives the digest it prints.
fn build(programs: &[&Path], archive: &Path, umask: &str) -> String {
    let script = format!("umask {umask} && exec \"$0\" \"$@\"");
    run(Command::new("bash")
        .args(["-c", &script])
        .arg(repository().join("image/build.sh"))
        .arg(archive)
        .args(programs)
        .envs([("SOURCE_DATE_EPOCH", EPOCH), ("REVISION", "abc")])
        .current_dir("/"))
    .trim_end()
    .to_owned()
}

#[test]
fn the_same_binary_makes_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let program = static_program(folder.path());
    let archive = |name: &str| folder.path().join(name);
    let first = build(&[&program], &archive("first.tar"), "022");

    // Another name, mode, time and umask.
    let copy = archive("copy");
    fs::copy(&program, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
    let second = build(&[&copy], &archive("second.tar"), "077");
    assert_eq!(first, second);
    assert_eq!(sha256(&archive("first.tar")), sha256(&archive("second.tar")));

    // Another binary makes another image.
    fs::write(&copy, [fs::read(&program).unwrap(), vec![0]].concat()).unwrap();
    assert_ne!(build(&[&copy], &archive("third.tar"), "022"), first);
}

#[test]
fn the_layout_holds_together() {
    let image = Image::build();
    let index = image.index();
    assert_eq!(index["manifests"][0]["digest"], *image.digest);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        index["manifests"][0]["annotations"],
        json!({
            "io.containerd.image.name": format!("registry.example.com/pullcred/pullcred:{version}"),
            "org.opencontainers.image.ref.name": version,
        })
    );
    let layout = read(&image.folder.path().join("oci-layout"));
    assert_eq!(layout, json!({"imageLayoutVersion": "1.0.0"}));

    let layer = image.blob(&image.manifest()["layers"][0]);
    let tar = image.folder.path().join("layer.tar");
    fs::write(&tar, Command::new("gzip").arg("-dc").arg(&layer).output().unwrap().stdout).unwrap();
    assert_eq!(image.config()["rootfs"]["diff_ids"], json!([sha256(&tar)]));
}

#[test]
fn the_layer_holds_one_program_authorities_and_licences() {
    let image = Image::build();
    let layer = image.blob(&image.manifest()["layers"][0]);
    let listing = run(Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner", "--full-time", "--gzip", "--file"])
        .arg(layer)
        .env("TZ", "UTC"));
    let entries: Vec<_> = listing
        .lines()
        .map(|line| {
            let [mode, owner, _size, date, time, name] =
                *line.split_whitespace().collect::<Vec<_>>()
            else {
                panic!("{line}")
            };
            [mode, owner, date, time, name].join(" ")
        })
        .collect();
    assert_eq!(
        entries,
        [
            "drwxr-xr-x 0/0 2023-11-14 22:13:20 ./",
            "drwxr-xr-x 0/0 2023-11-14 22:13:20 ./etc/",
            "drwxr-xr-x 0/0 2023-11-14 22:13:20 ./etc/ssl/",
            "drwxr-xr-x 0/0 2023-11-14 22:13:20 ./etc/ssl/certs/",
            "-r--r--r-- 0/0 2023-11-14 22:13:20 ./etc/ssl/certs/ca-certificates.crt",
            "drwxr-xr-x 0/0 2023-11-14 22:13:20 ./licenses/",
            "-r--r--r-- 0/0 2023-11-14 22:13:20 ./licenses/LICENSE",
            "-r--r--r-- 0/0 2023-11-14 22:13:20 ./licenses/webpki-root-certs",
            "-r-xr-xr-x 0/0 2023-11-14 22:13:20 ./pullcred",
        ]
    );
}

/// They are where rustls-native-certs looks, and so do programs in Go.
#[test]
fn the_authorities_are_those_that_browsers_trust() {
    let image = Image::build();
    let root = image.unpacked();
    let bundle = root.join("etc/ssl/certs/ca-certificates.crt");
    let found = rustls_native_certs::load_certs_from_paths(Some(&bundle), None);
    assert!(found.errors.is_empty(), "{:?}", found.errors);
    let text = fs::read_to_string(&bundle).unwrap();
    assert_eq!(found.certs.len(), text.matches("-----BEGIN CERTIFICATE-----").count());
    assert!((100..200).contains(&found.certs.len()), "{}", found.certs.len());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in found.certs {
        roots.add(certificate).unwrap();
    }
    // The authorities of AWS, Google, Azure, Alibaba Cloud and GitHub, by their names within the certificates.
    let names: Vec<_> =
        roots.roots.iter().map(|it| String::from_utf8_lossy(&it.subject).into_owned()).collect();
    for name in
        ["Amazon Root CA 1", "GTS Root R1", "DigiCert Global Root G2", "GlobalSign", "USERTrust"]
    {
        assert!(names.iter().any(|it| it.contains(name)), "{name}");
    }
    assert!(fs::metadata(bundle).unwrap().len() < 300_000);
}

#[test]
fn the_program_runs_with_nothing_but_the_image() {
    let image = Image::build();
    let root = image.unpacked();
    // A user namespace, so that changing the root needs no privilege.
    let mut program = Command::new("unshare");
    program.args(["--user", "--map-root-user", "chroot"]).arg(&root).arg("/pullcred");
    assert_eq!(run(&mut program), "it runs\n");
}

#[test]
fn image_and_dockerfile_say_the_same() {
    let config = Image::build().config();
    let version = env!("CARGO_PKG_VERSION");
    let labels = json!({
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.description": env!("CARGO_PKG_DESCRIPTION"),
        "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
        "org.opencontainers.image.revision": "abc",
        "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.title": "pullcred",
        "org.opencontainers.image.url": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.version": version,
    });
    let allocator = format!("{}={}", allocator::VARIABLE, allocator::SETTING);
    assert_eq!(
        config["config"],
        json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", allocator],
            "User": "65532:65532",
            "ExposedPorts": {"8080/tcp": {}, "8443/tcp": {}},
            "Entrypoint": ["/pullcred"],
            "WorkingDir": "/",
            "Labels": labels,
        })
    );

    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).unwrap();
    let (_, last_stage) = dockerfile.split_once("FROM scratch").unwrap();
    assert!(dockerfile.contains("image/roots.sh /image\n"), "the Dockerfile has no authorities");
    let allocator = format!("ENV {allocator}");
    for line in [&allocator, "USER 65532:65532", "EXPOSE 8443 8080", "ENTRYPOINT [\"/pullcred\"]"] {
        assert!(last_stage.lines().any(|found| found == line), "the Dockerfile lacks {line}");
    }
    assert!(last_stage.contains(&format!("ARG VERSION={version}\n")), "the Dockerfile's VERSION");
    for (label, value) in labels.as_object().unwrap() {
        let value = match label.rsplit('.').next().unwrap() {
            // The builder's own `--source-date-epoch` and annotations give the time.
            "created" => continue,
            "revision" => "${REVISION}",
            "version" => "${VERSION}",
            _ => value.as_str().unwrap(),
        };
        let line = format!("{label}=\"{value}\"");
        assert!(last_stage.contains(&line), "the Dockerfile lacks {line}");
    }
}

/// One index over the same images that single binaries make; each runtime takes its own of them.
#[test]
fn programs_for_two_processors_make_one_index() {
    let folder = tempfile::tempdir().unwrap();
    let amd64 = static_program(folder.path());
    // Bytes 18 and 19 say the processor, and no other is at hand to build for.
    let arm64 = folder.path().join("arm64");
    let mut bytes = fs::read(&amd64).unwrap();
    let (here, there) = if bytes[18] == 0x3e { ("amd64", "arm64") } else { ("arm64", "amd64") };
    bytes[18] = if bytes[18] == 0x3e { 0xb7 } else { 0x3e };
    fs::write(&arm64, bytes).unwrap();

    let archive = folder.path().join("image.tar");
    let digest = build(&[&amd64, &arm64], &archive, "022");
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()));
    let image = Image { folder, digest };
    let described = &image.index()["manifests"][0];
    assert_eq!(described["digest"], *image.digest);
    assert_eq!(described["mediaType"], "application/vnd.oci.image.index.v1+json");
    let index = read(&image.blob(described));
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().collect();
    assert_eq!(platforms.len(), 2);
    for (platform, architecture) in platforms.iter().zip([here, there]) {
        assert_eq!(platform["platform"], json!({"architecture": architecture, "os": "linux"}));
        let manifest = read(&image.blob(platform));
        assert_eq!(read(&image.blob(&manifest["config"]))["architecture"], architecture);
    }
    let alone = build(&[&amd64], &archive, "022");
    assert_eq!(platforms[0]["digest"], *alone);
}

#[test]
fn what_is_no_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let attempt = |arguments: &[&Path]| -> Output {
        Command::new(repository().join("image/build.sh")).args(arguments).output().unwrap()
    };
    let usage = attempt(&[]);
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).starts_with("usage: "));
    let archive = folder.path().join("image.tar");
    let text = attempt(&[&archive, &repository().join("LICENSE")]);
    assert_eq!(text.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&text.stderr).contains("is no program for amd64 or arm64"));
    assert!(!archive.exists());
}
