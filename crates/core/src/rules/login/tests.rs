use super::*;

fn aliyun(instance: Option<&str>, hosts: &[&str]) -> LoginSource {
    LoginSource::Aliyun(Aliyun {
        access: AliyunAccess::Keys("keys".parse().unwrap()),
        instance: instance.map(Into::into),
        region: None,
        hosts: hosts.iter().map(|&it| it.into()).collect(),
        endpoints: Endpoints::default(),
    })
}

#[test]
fn a_login_is_kept_in_one_secret() {
    let name: LoginName = "ecr-eu".parse().unwrap();
    let of = |source| Login { name: name.clone(), source, line: 1 };
    let kept = of(LoginSource::Secret("robot".parse().unwrap()));
    assert_eq!((kept.secret().as_str(), kept.is_fetched()), ("robot", false));
    let fetched = of(LoginSource::File("/run/config.json".into()));
    assert_eq!((fetched.secret().as_str(), fetched.is_fetched()), ("pullcred-login-ecr-eu", true));
    assert!(fetched.secret().as_str().parse::<SecretName>().is_ok());
}

#[test]
fn a_login_serves_the_hosts_of_its_provider() {
    let personal = "registry.cn-shanghai.aliyuncs.com";
    let enterprise = "acme-registry.cn-shanghai.cr.aliyuncs.com";
    for (source, host, expected) in [
        (aliyun(None, &[]), personal, Ok(())),
        (aliyun(Some("cri-1"), &[]), enterprise, Ok(())),
        (aliyun(None, &[]), enterprise, Err(HostMismatch::NoInstance)),
        (aliyun(Some("cri-1"), &[]), personal, Err(HostMismatch::Instance)),
        (
            aliyun(None, &[]),
            "crpi-x.cn-shanghai.personal.cr.aliyuncs.com",
            Err(HostMismatch::NoShortLived),
        ),
        (aliyun(Some("cri-1"), &["cr.acme.com"]), "cr.acme.com", Ok(())),
        (aliyun(None, &["cr.acme.com"]), "cr.acme.com", Err(HostMismatch::NoInstance)),
        (LoginSource::File("/x".into()), "anything.example.com", Ok(())),
    ] {
        assert_eq!(source.serves(host), expected, "{host}");
    }
    assert!(matches!(aliyun(None, &[]).serves("quay.io"), Err(HostMismatch::Provider(_))));
}

#[test]
fn endpoints_are_https_and_nothing_else() {
    for (text, kept, authority) in [
        ("https://sts.example.com", "https://sts.example.com", "sts.example.com"),
        ("https://sts.example.com/", "https://sts.example.com", "sts.example.com"),
        ("https://10.0.0.1:8443/sts", "https://10.0.0.1:8443/sts", "10.0.0.1:8443"),
        ("https://localhost:1/a/b/", "https://localhost:1/a/b", "localhost:1"),
        ("https://[fd00::1]:1", "https://[fd00::1]:1", "[fd00::1]:1"),
    ] {
        let endpoint: Endpoint = text.parse().unwrap();
        assert_eq!((endpoint.as_str(), endpoint.authority()), (kept, authority), "{text}");
    }
    for text in [
        "",
        "http://sts.example.com",
        "HTTPS://sts.example.com",
        "sts.example.com",
        "https://",
        "https://user:pass@sts.example.com",
        "https://sts.example.com?x=1",
        "https://sts.example.com#x",
        "https://sts.example.com/../x",
        "https://sts.example.com//x",
        "https://sts.example.com/a b",
        "https://*.example.com",
        "https://sts.example.com:0",
        "https://sts.example.com:99999",
        "https://sts.example.com\r\nHost: evil",
    ] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

#[test]
fn the_environment_of_a_plugin_is_not_shown() {
    let plugin = Plugin {
        name: "p".into(),
        args: Vec::new(),
        env: BTreeMap::from([("URL".into(), "hunter2".into())]),
        audience: None,
        refresh: None,
    };
    let shown = format!("{:?}", LoginSource::Plugin(plugin));
    assert!(shown.contains("URL") && !shown.contains("hunter2"), "{shown}");
}
