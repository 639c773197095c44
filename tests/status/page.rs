//! The page: read by a strict parser, so that markup in names and messages could not hide.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest::{SHA256, digest};
use roxmltree::{Document, Node, ParsingOptions};

use super::{Asked, EVIL, HTML, REPORTS, found, hostile};

const ELEMENTS: [&str; 31] = [
    "body", "code", "div", "footer", "h1", "h2", "head", "header", "html", "li", "line", "main",
    "meta", "ol", "p", "rect", "section", "span", "strong", "style", "svg", "table", "tbody", "td",
    "text", "th", "thead", "time", "title", "tr", "ul",
];
/// None of them loads, links to or runs anything.
const ATTRIBUTES: [&str; 22] = [
    "aria-hidden",
    "charset",
    "class",
    "content",
    "data-label",
    "datetime",
    "height",
    "http-equiv",
    "lang",
    "name",
    "role",
    "rx",
    "scope",
    "text-anchor",
    "title",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

fn parse(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}\n{page}"))
}

fn named<'a>(document: &'a Document<'_>, name: &str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

fn pages() -> [String; 4] {
    [
        found(REPORTS, HTML),
        found(REPORTS, Asked { namespace: Some("shop"), ..HTML }),
        found(&hostile(), HTML),
        found(&hostile(), Asked { namespace: Some(EVIL), ..HTML }),
    ]
}

#[test]
fn the_page_reads_like_this() {
    let page = found(REPORTS, HTML);
    let (before, rest) = page.split_once("<style>").unwrap();
    let (style, after) = rest.split_once("</style>").unwrap();
    // The style sheet is a file of its own, and its hash follows it.
    let hash = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let shown = format!("{before}<style>…</style>{after}").replace(&hash, "HASH");
    super::snapshot::snapshot("status", "page", &shown);
}

#[test]
fn the_page_has_known_elements_and_attributes_only() {
    for page in pages() {
        for node in parse(&page).descendants().filter(Node::is_element) {
            let name = node.tag_name().name();
            assert!(ELEMENTS.contains(&name), "<{name}>");
            for attribute in node.attributes() {
                assert!(ATTRIBUTES.contains(&attribute.name()), "<{name} {}>", attribute.name());
            }
        }
    }
}

#[test]
fn text_of_others_is_text() {
    let page = found(&hostile(), HTML);
    let document = parse(&page);
    assert!(named(&document, "script").is_empty());
    let shown: String = document.descendants().filter_map(|node| node.text()).collect();
    let printable = "</td><script>alert(1)</script>'\"&amp;\\u{1b}[31m\\u{202e}; rm -rf ~ #\\n";
    assert!(shown.matches(printable).count() >= 8, "{shown}");
    assert!(!page.contains(['\u{1b}', '\u{202e}']));
    let of_one = found(&hostile(), Asked { namespace: Some(EVIL), ..HTML });
    let document = parse(&of_one);
    assert!(named(&document, "title")[0].text().unwrap().contains(printable));
}

#[test]
fn the_page_allows_its_own_style_sheet_and_nothing_else() {
    for page in pages() {
        let document = parse(&page);
        let [style] = named(&document, "style")[..] else { panic!("not one style sheet") };
        let hash = BASE64_STANDARD.encode(digest(&SHA256, style.text().unwrap().as_bytes()));
        let policy = named(&document, "meta").into_iter();
        let policy =
            policy.filter(|it| it.attribute("http-equiv") == Some("Content-Security-Policy"));
        let policy: Vec<_> = policy.filter_map(|it| it.attribute("content")).collect();
        let expected = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
        );
        assert_eq!(policy, [expected]);
        assert!(document.descendants().all(|it| !it.has_attribute("style")));
    }
}

#[test]
fn the_page_has_an_order_that_can_be_heard() {
    for page in pages() {
        let document = parse(&page);
        assert_eq!(named(&document, "h1").len(), 1);
        assert_eq!(document.root_element().attribute("lang"), Some("en"));
        for table in named(&document, "table") {
            let heads = table.descendants().filter(|it| it.attribute("scope") == Some("col"));
            let heads: Vec<_> = heads.map(|it| it.text().unwrap()).collect();
            for row in table.descendants().filter(|it| it.has_tag_name("tr")).skip(1) {
                let cells = row.children().filter(Node::is_element).collect::<Vec<_>>();
                assert_eq!(cells.len(), heads.len());
                assert_eq!(cells[0].attribute("scope"), Some("row"));
                // A phone shows these in place of the headings.
                let labels: Vec<_> =
                    cells[1..].iter().map(|it| it.attribute("data-label").unwrap()).collect();
                assert_eq!(labels, heads[1..]);
            }
        }
    }
}

/// The colours of the light and of the dark theme.
fn themes(style: &str) -> Vec<BTreeMap<&str, [f64; 3]>> {
    let blocks = style.split(":root {").skip(1).take(2);
    let themes = blocks.map(|block| {
        let block = block.split('}').next().unwrap();
        let declarations = block.split(';').filter_map(|it| it.trim().split_once(": #"));
        declarations.map(|(name, hex)| (name, channels(hex))).collect()
    });
    themes.collect()
}

fn channels(hex: &str) -> [f64; 3] {
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0)
}

/// WCAG 2.2, "contrast ratio".
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [red, green, blue] = colour
            .map(|it| if it <= 0.040_45 { it / 12.92 } else { ((it + 0.055) / 1.055).powf(2.4) });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
    if one > other { one / other } else { other / one }
}

#[test]
fn texts_and_bars_have_contrast_in_both_themes() {
    let page = found(REPORTS, HTML);
    let document = parse(&page);
    let themes = themes(named(&document, "style")[0].text().unwrap());
    assert_eq!(themes.len(), 2);
    let mut checked = BTreeSet::new();
    for theme in &themes {
        // 4.5 for text (1.4.3), 3 for what a graphic is understood by (1.4.11).
        let mut texts = vec![
            ("--ink", "--paper"),
            ("--ink", "--card"),
            ("--muted", "--paper"),
            ("--muted", "--card"),
        ];
        for (level, soft) in [
            ("--ok", "--ok-soft"),
            ("--note", "--note-soft"),
            ("--warning", "--warning-soft"),
            ("--error", "--error-soft"),
        ] {
            texts.extend([(level, soft), (level, "--card"), (level, "--paper")]);
        }
        let graphs = [("--graph", "--card"), ("--warning", "--card")];
        let pairs = texts.into_iter().map(|it| (it, 4.5)).chain(graphs.map(|it| (it, 3.0)));
        for ((front, back), least) in pairs {
            let ratio = contrast(theme[front], theme[back]);
            assert!(ratio >= least, "{front} on {back}: {ratio:.2}");
            checked.insert((front, back));
        }
    }
    assert_eq!(checked.len(), 17);
}
