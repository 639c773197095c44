//! Any text is changed into a text that other readers of YAML take, too, and that needs no second change; or it is
//! refused.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use pullcred::{
    cluster::ClusterOptions,
    commands::{
        Exit, Failure, Streams,
        inject::{self, Options, Output},
        manifests::Source,
    },
};

fuzz_target!(|text: &str| {
    let Ok(changed) = run(text, Output::Yaml) else { return };
    let meant = run(text, Output::Json).expect("what can be changed has a meaning");
    let again = run(&changed, Output::Yaml).expect("what is written can be read");
    assert_eq!(again, changed, "a second pass changes nothing");
    let read = run(&changed, Output::Json).expect("what is written has a meaning");
    // What only holds anchors may change with them.
    if !text.contains("x-") {
        assert_eq!(read, meant);
    }
});

fn run(text: &str, output: Output) -> Result<String, Failure> {
    static MAPPING: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let mapping = MAPPING.get_or_init(|| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let rule = "rules:\n- registries: [docker.io, quay.io]\n  secret: hub\n- registries: [quay.io]\n  secret: quay\n";
        std::fs::write(file.path(), rule).expect("a mapping");
        file
    });
    let options = Options {
        config: mapping.path().to_owned(),
        sources: vec![Source::Stdin],
        output,
        check: false,
        namespace: None,
        paths: Vec::new(),
        reports: None,
        service_accounts: Vec::new(),
        cluster: ClusterOptions::default(),
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut streams = Streams {
        stdin: &mut text.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        colour: false,
    };
    let exit = inject::run(&options, &mut streams)?;
    assert_eq!(exit, Exit::Fine);
    Ok(String::from_utf8(stdout).expect("text"))
}
