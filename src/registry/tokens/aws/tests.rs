use super::*;
use crate::registry::tokens::problem::Malformed;

/// The answer in the documentation of `AssumeRoleWithWebIdentity`, shortened, with a prefix of spaces as it is sent.
const SESSION_XML: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:pullcred:pullcred-pull</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/pull/pullcred-ecr</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:pullcred-ecr</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE</SessionToken>
      <SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY</SecretAccessKey>
      <Expiration>2014-10-24T23:00:23Z</Expiration>
      <AccessKeyId>ASgeIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <Provider>arn:aws:iam::123456789012:oidc-provider/oidc.example.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>"#;

fn service(host: &str) -> Service<'_> {
    Service::of(EcrHost::parse(host).unwrap())
}

fn key() -> AccessKey {
    AccessKey { id: "AKID".to_owned(), secret: "s3cret".into(), session: Some("session".into()) }
}

#[test]
fn a_host_says_which_service_is_asked() {
    for (host, sts, api) in [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "https://sts.eu-west-1.amazonaws.com",
            "https://api.ecr.eu-west-1.amazonaws.com/",
        ),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
            "https://sts.cn-north-1.amazonaws.com.cn",
            "https://api.ecr.cn-north-1.amazonaws.com.cn/",
        ),
        (
            "123456789012.dkr-ecr-fips.us-east-2.on.aws",
            "https://sts.us-east-2.amazonaws.com",
            "https://ecr-fips.us-east-2.amazonaws.com/",
        ),
        (
            "public.ecr.aws",
            "https://sts.us-east-1.amazonaws.com",
            "https://api.ecr-public.us-east-1.amazonaws.com/",
        ),
    ] {
        let service = service(host);
        assert_eq!(service.sts(), sts);
        assert_eq!(service.login_request(None, &key(), 0).url(), api);
    }
    let private = service("123456789012.dkr.ecr.eu-west-1.amazonaws.com");
    let request = private.login_request(Some("https://vpce-1.example.com/ecr"), &key(), 0);
    assert_eq!(request.url(), "https://vpce-1.example.com/ecr/");
}

#[test]
fn accounts_of_a_region_have_one_service() {
    let one = service("123456789012.dkr.ecr.eu-west-1.amazonaws.com");
    assert_eq!(one, service("210987654321.dkr.ecr.eu-west-1.amazonaws.com"));
    assert_ne!(one, service("123456789012.dkr.ecr.eu-west-2.amazonaws.com"));
    assert_ne!(one, service("123456789012.dkr.ecr-fips.eu-west-1.amazonaws.com"));
    assert_ne!(service("123456789012.dkr.ecr.us-east-1.amazonaws.com"), service("public.ecr.aws"));
}

#[test]
fn a_session_is_asked_for_in_the_body_and_unsigned() {
    let request = session_request(
        "https://sts.eu-west-1.amazonaws.com",
        "arn:aws:iam::1:role/pull",
        "pullcred-ecr",
        &"ey.J+/=".into(),
    );
    assert_eq!((request.method(), request.url()), ("POST", "https://sts.eu-west-1.amazonaws.com/"));
    assert_eq!(
        str::from_utf8(request.body()).unwrap(),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpull&\
         RoleSessionName=pullcred-ecr&DurationSeconds=3600&WebIdentityToken=ey.J%2B%2F%3D"
    );
    let headers: Vec<_> = request.headers().collect();
    assert_eq!(headers, [("content-type", "application/x-www-form-urlencoded")]);
}

#[test]
fn the_answers_of_the_documentation_are_read() {
    let session = read_session(&Answer::new(200, SESSION_XML)).unwrap();
    assert_eq!(session.key.id, "ASgeIAIOSFODNN7EXAMPLE");
    assert_eq!(&*session.key.secret, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY");
    assert_eq!(
        session.key.session.as_deref(),
        Some("AQoDYXdzEE0a8ANXXXXXXXXNO1ewxE5TijQyp+IEXAMPLE")
    );
    assert_eq!(session.expires_at, time::read("2014-10-24T23:00:23Z").unwrap());

    let token = BASE64_STANDARD.encode("AWS:p4ss=");
    let private = format!(
        r#"{{"authorizationData":[{{"authorizationToken":"{token}","expiresAt":1448926547.984,"proxyEndpoint":"https://x"}}]}}"#
    );
    let public = format!(
        r#"{{"authorizationData":{{"authorizationToken":"{token}","expiresAt":1.448926547984E9}}}}"#
    );
    for (host, body) in
        [("123456789012.dkr.ecr.eu-west-1.amazonaws.com", &private), ("public.ecr.aws", &public)]
    {
        let login = service(host).read_login(&Answer::new(200, body.as_str())).unwrap();
        assert_eq!((&*login.username, &*login.password), ("AWS", "p4ss="));
        assert_eq!(login.expires_at, 1_448_926_547);
    }
    // Each service has its own form.
    assert!(service("public.ecr.aws").read_login(&Answer::new(200, private)).is_err());

    let agent = r#"{"AccessKeyId":"A","SecretAccessKey":"S","Token":"T","AccountId":"1","Expiration":"2026-11-26T10:00:00Z"}"#;
    let session = read_agent(&Answer::new(200, agent)).unwrap();
    assert_eq!((session.key.id.as_str(), session.key.session.as_deref()), ("A", Some("T")));
}

#[test]
fn a_refusal_says_what_to_do() {
    let xml = |code: &str| {
        format!(
            "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code><Message>hunter2</Message></Error></ErrorResponse>"
        )
    };
    for (status, code, words) in [
        (403, "AccessDenied", "403 AccessDenied: let the trust policy"),
        (
            400,
            "ExpiredTokenException",
            "400 ExpiredTokenException: the ServiceAccount's token has ended",
        ),
        (400, "InvalidIdentityToken", "400 InvalidIdentityToken: register the issuer"),
        (
            400,
            "IDPCommunicationError",
            "400 IDPCommunicationError: the service does not answer requests now",
        ),
        (503, "ServiceUnavailable", "503 ServiceUnavailable: the service does not answer"),
        (418, "hunter2 hunter2", "418: let the trust policy"),
    ] {
        let problem = read_session(&Answer::new(status, xml(code))).unwrap_err();
        let text = problem.to_string();
        assert!(text.starts_with(words) && !text.contains("hunter2"), "{text}");
    }
    let host = service("123456789012.dkr.ecr.eu-west-1.amazonaws.com");
    let body = r#"{"__type":"com.amazonaws.ecr#AccessDeniedException","Message":"hunter2"}"#;
    let text = host.read_login(&Answer::new(400, body)).unwrap_err().to_string();
    assert!(
        text.starts_with("400 AccessDeniedException: let the policy") && !text.contains("hunter2")
    );
    let text =
        service("public.ecr.aws").read_login(&Answer::new(400, body)).unwrap_err().to_string();
    assert!(text.contains("sts:GetServiceBearerToken"), "{text}");
    let skewed = r#"{"__type":"InvalidSignatureException"}"#;
    let problem = host.read_login(&Answer::new(403, skewed)).unwrap_err();
    assert!(matches!(problem, Problem::Denied { perhaps_clock: true, .. }));
    assert_eq!(
        read_session(&Answer::new(200, "<!DOCTYPE html><html></html>")).unwrap_err(),
        Problem::Malformed { status: 200, what: Malformed::Html }
    );
}
