use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use x509_parser::time::ASN1Time;

use super::*;

const NOW: Timestamp = 1_800_000_000;
const DAY: Timestamp = 86_400;
const NAME: &str = "pullcred.home.svc";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Valid from `from` days from now, to `to`.
fn params(name: &str, from: Timestamp, to: Timestamp) -> CertificateParams {
    let moment =
        |days: Timestamp| ASN1Time::from_timestamp(NOW + days * DAY).unwrap().to_datetime();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (moment(from), moment(to));
    params
}

fn authority(from: Timestamp, to: Timestamp) -> Authority {
    let mut params = params("ca", from, to);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(authority: &Authority, name: &str, from: Timestamp, to: Timestamp) -> Chain {
    let key = KeyPair::generate().unwrap();
    vec![params(name, from, to).signed_by(&key, authority).unwrap().der().clone()]
}

type Chain = Vec<CertificateDer<'static>>;

fn bundle(text: &str) -> String {
    let mut report = Report::default();
    Bundle::judge("registration x", text.as_bytes(), NOW, &mut report);
    report.json()
}

fn judged(chain: &Chain, authorities: &[&Authority]) -> String {
    let bundle = authorities.iter().map(|it| it.der().clone()).collect();
    let mut report = Report::default();
    let name = ServerName::try_from(NAME).unwrap();
    judge_served("pod x", chain, &Bundle(bundle), &name, NOW, &mut report);
    report.json()
}

#[test]
fn a_bundle_is_judged_by_what_is_in_it() {
    let (sound, expired) = (authority(-1, 300).pem(), authority(-300, -1).pem());
    assert_eq!(bundle(&sound), "");
    for (text, severity, part) in [
        (String::new(), "error", "caBundle is empty"),
        ("no PEM".to_owned(), "error", "no X.509 certificate"),
        (expired.clone(), "error", "is of no use: it expired on Jan 14"),
        (authority(1, 300).pem(), "error", "is of no use: it is valid only from"),
        (sound.clone() + &expired, "warning", "a certificate in caBundle is of no use"),
        (authority(-300, 30).pem(), "warning", "should have a successor by now"),
    ] {
        let reported = bundle(&text);
        assert_eq!(reported.lines().count(), 1, "{reported}");
        assert!(reported.contains(part) && reported.contains(severity), "{part}: {reported}");
    }
}

#[test]
fn what_is_served_is_trusted_or_told_of() {
    let (ours, strangers) = (authority(-1, 300), authority(-1, 300));
    let sound = leaf(&ours, NAME, -1, 30);
    assert_eq!(judged(&sound, &[&ours]), "");
    assert_eq!(judged(&sound, &[&strangers, &ours]), "");
    for (chain, authorities, severity, part) in [
        (&sound, vec![&strangers], "error", "signed by none of the certificates in caBundle"),
        (&sound, vec![], "error", "signed by none"),
        (&vec![], vec![&ours], "error", "there is none"),
        (&leaf(&ours, "x.home.svc", -1, 30), vec![&ours], "error", "not for pullcred.home.svc"),
        (&leaf(&ours, NAME, -30, -1), vec![&ours], "error", "it expired on"),
        (&leaf(&ours, NAME, 1, 30), vec![&ours], "error", "valid only from"),
        (&leaf(&ours, NAME, -30, 2), vec![&ours], "warning", "should have a successor by now"),
    ] {
        let reported = judged(chain, &authorities);
        assert!(reported.contains(part) && reported.contains(severity), "{part}: {reported}");
    }
}

/// As `openssl req -x509` makes it: signed by itself, and marked as a CA's.
#[test]
fn a_certificate_that_is_its_own_authority_is_trusted() {
    let with_name = |name| {
        let mut params = params(name, -1, 300);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let own = with_name(NAME);
    assert_eq!(judged(&vec![own.der().clone()], &[&own]), "");
    let other = with_name("x.home.svc");
    assert!(judged(&vec![other.der().clone()], &[&other]).contains("not for pullcred.home.svc"));
}

#[test]
fn a_certificate_comes_with_those_between_it_and_the_authority() {
    let root = authority(-1, 300);
    let mut middle = params("middle", -1, 300);
    middle.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let middle = CertifiedIssuer::signed_by(middle, KeyPair::generate().unwrap(), &root).unwrap();
    let mut chain = leaf(&middle, NAME, -1, 30);
    assert!(judged(&chain, &[&root]).contains("signed by none"));
    chain.push(middle.der().clone());
    assert_eq!(judged(&chain, &[&root]), "");
}
