use super::*;

const NOW: Timestamp = 1_800_000_000;
const DAY: Duration = Duration::from_secs(86_400);

fn names() -> Vec<String> {
    vec!["pullcred.system.svc".to_owned(), "pullcred.system".to_owned()]
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::make(NOW, 365 * DAY).unwrap()
}

#[test]
fn a_leaf_survives_the_way_through_pem() {
    let authority = authority();
    let leaf = authority.issue(&names(), NOW, 30 * DAY).unwrap();
    let read =
        ServingCertificate::from_pem(leaf.to_pem().as_bytes(), leaf.key().to_pem().as_bytes())
            .unwrap();
    assert_eq!(read.validity(), leaf.validity());
    assert!(read.is_signed_by(authority.certificate()));
    read.check_names(&names()).unwrap();
    let other = ["pullcred.elsewhere.svc".to_owned()];
    let error = read.check_names(&other).unwrap_err();
    assert_eq!(error.to_string(), "the certificate is not for pullcred.elsewhere.svc");
}

#[test]
fn a_ca_survives_the_way_through_pem() {
    let authority = authority();
    let certificate = authority.certificate();
    let key = PrivateKey::from_pem(authority.key().to_pem().as_bytes()).unwrap();
    let read = CaCertificate::from_pem(certificate.to_pem().as_bytes()).unwrap();
    assert_eq!(&read, certificate);
    let read = CertificateAuthority::new(read, key).unwrap();
    let leaf = read.issue(&names(), NOW, DAY).unwrap();
    assert!(leaf.is_signed_by(certificate));
}

#[test]
fn certificates_are_back_dated_and_none_outlives_its_ca() {
    let day = CertificateAuthority::make(NOW, DAY).unwrap();
    let hour = Timestamp::try_from(BACK_DATE.as_secs()).unwrap();
    let validity = day.certificate().validity();
    assert_eq!(validity, Validity { not_before: NOW - hour, not_after: NOW + 24 * hour });
    let leaf = day.issue(&names(), NOW, 30 * DAY).unwrap();
    assert_eq!(leaf.validity(), validity);
    let half_a_minute = Duration::from_secs(30);
    let short = CertificateAuthority::make(NOW, half_a_minute).unwrap();
    let validity = Validity { not_before: NOW - 3, not_after: NOW + 30 };
    assert_eq!(short.certificate().validity(), validity);
}

#[test]
fn only_its_own_ca_has_signed_a_leaf() {
    let (one, other) = (authority(), authority());
    let leaf = one.issue(&names(), NOW, DAY).unwrap();
    assert!(leaf.is_signed_by(one.certificate()));
    assert!(!leaf.is_signed_by(other.certificate()));
    assert_ne!(one.certificate().id(), other.certificate().id());
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (one, other) = (authority(), authority());
    let error = CertificateAuthority::new(one.certificate, other.key).unwrap_err();
    assert!(matches!(error, CertificateError::OtherKey));
}

#[test]
fn a_bundle_may_hold_anything_but_only_cas_count() {
    let (one, other) = (authority(), authority());
    let leaf = one.issue(&names(), NOW, DAY).unwrap();
    let bundle = format!(
        "a comment\n{}{}\n{}",
        one.certificate().to_pem(),
        leaf.to_pem(),
        other.certificate().to_pem()
    );
    let read = CaCertificate::all_from_pem(bundle.as_bytes());
    assert_eq!(read, [one.certificate().clone(), other.certificate().clone()]);
    assert_eq!(CaCertificate::all_from_pem(b"no certificate"), []);
}

#[test]
fn no_key_is_ever_shown() {
    let authority = authority();
    let leaf = authority.issue(&names(), NOW, DAY).unwrap();
    for key in [authority.key().to_pem(), leaf.key().to_pem()] {
        let shown = format!("{authority:?} {leaf:?}");
        let lines: Vec<_> = key.lines().filter(|line| !line.starts_with("-----")).collect();
        assert!(lines.iter().all(|line| !shown.contains(line)), "{shown}");
        // Nor a part of one that cannot be read.
        let torn = key.replacen(lines[1], "", 1);
        let error = format!("{:?}", PrivateKey::from_pem(torn.as_bytes()).unwrap_err());
        assert!(lines.iter().all(|line| !error.contains(line)), "{error}");
    }
}
