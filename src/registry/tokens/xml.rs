//! A reader of the XML that AWS STS answers: elements and text, and nothing that could make one text out of several.
//!
//! Comments, CDATA, processing instructions, document types, prefixes of namespaces, and entities other than the five of XML
//! itself are refused, as is a second element where one is expected.

use super::secret_text::SecretText;

/// How deep elements can be in one another.
const DEPTH_MAX: usize = 16;

/// The texts at these paths, such as `["Answer", "Result", "Key"]`; none where there is no such element.
///
/// # Errors
///
/// What in the text is not expected, in words that repeat nothing of it.
pub fn texts<const N: usize>(
    xml: &[u8],
    paths: [&[&str]; N],
) -> Result<[Option<SecretText>; N], &'static str> {
    let xml = str::from_utf8(xml).map_err(|_| "it is not UTF-8")?;
    let mut reader = Reader { rest: xml };
    let mut found = [const { None }; N];
    let mut open: Vec<&str> = Vec::new();
    let mut seen_root = false;
    reader.declaration()?;
    loop {
        let text = reader.text()?;
        let Some(tag) = reader.tag()? else {
            return match (text.trim().is_empty(), open.is_empty(), seen_root) {
                (true, true, true) => Ok(found),
                (true, true, false) => Err("it has no element"),
                (false, true, _) => Err("there is text outside of the elements"),
                (_, false, _) => Err("an element is not closed"),
            };
        };
        if open.is_empty() && !text.trim().is_empty() {
            return Err("there is text outside of the elements");
        }
        if let Tag::Close(name) = tag {
            let at = paths.iter().position(|path| *path == open.as_slice());
            if open.pop() != Some(name) {
                return Err("an element is closed that is not open");
            }
            if let Some(at) = at {
                let slot = found.get_mut(at).ok_or("it has no element")?;
                if slot.replace(unescaped(text)?).is_some() {
                    return Err("an element is there twice");
                }
            }
            continue;
        }
        let (Tag::Open(name) | Tag::Empty(name) | Tag::Close(name)) = tag;
        if paths.contains(&open.as_slice()) {
            return Err("there is an element in a text");
        }
        if open.is_empty() && std::mem::replace(&mut seen_root, true) {
            return Err("it has more than one root");
        }
        if matches!(tag, Tag::Open(_)) {
            open.push(name);
        }
        if open.len() > DEPTH_MAX {
            return Err("its elements are too deep");
        }
    }
}

enum Tag<'x> {
    Open(&'x str),
    Close(&'x str),
    Empty(&'x str),
}

struct Reader<'x> {
    rest: &'x str,
}

impl<'x> Reader<'x> {
    /// `<?xml …?>` at the very beginning, which may be left out.
    fn declaration(&mut self) -> Result<(), &'static str> {
        if let Some(rest) = self.rest.strip_prefix("<?xml ") {
            let (inner, rest) = rest.split_once("?>").ok_or("its declaration does not end")?;
            if inner.contains(['<', '>']) {
                return Err("its declaration does not end");
            }
            self.rest = rest;
        }
        Ok(())
    }

    /// What is before the next tag, or the end.
    fn text(&mut self) -> Result<&'x str, &'static str> {
        let at = self.rest.find('<').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(at);
        self.rest = rest;
        if text.contains('>') { Err("there is a bare > in it") } else { Ok(text) }
    }

    /// The next tag; none at the end.
    fn tag(&mut self) -> Result<Option<Tag<'x>>, &'static str> {
        let Some(rest) = self.rest.strip_prefix('<') else { return Ok(None) };
        if rest.starts_with(['!', '?']) {
            return Err("it has a comment, a document type, CDATA or an instruction");
        }
        let (is_close, rest) = rest.strip_prefix('/').map_or((false, rest), |rest| (true, rest));
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        if name.is_empty() {
            return Err("a tag has no name");
        }
        if rest.starts_with(':') {
            return Err("a name has a prefix");
        }
        let rest = attributes(rest)?;
        if let Some(rest) = rest.strip_prefix("/>").filter(|_| !is_close) {
            self.rest = rest;
            return Ok(Some(Tag::Empty(name)));
        }
        self.rest = rest.strip_prefix('>').ok_or("a tag does not end")?;
        Ok(Some(if is_close { Tag::Close(name) } else { Tag::Open(name) }))
    }
}

/// Skips attributes, such as that of the namespace. Their values say nothing here.
fn attributes(text: &str) -> Result<&str, &'static str> {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        if trimmed.starts_with(['>', '/']) {
            return Ok(trimmed);
        }
        if trimmed.len() == rest.len() {
            return Err("a tag does not end");
        }
        let (name, after) = trimmed.split_once('=').ok_or("an attribute has no value")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c))
        {
            return Err("an attribute has no name");
        }
        let quote = after.chars().next().filter(|it| matches!(it, '"' | '\''));
        let quote = quote.ok_or("an attribute has no value")?;
        let (value, after) = after[1..].split_once(quote).ok_or("an attribute does not end")?;
        if value.contains('<') {
            return Err("an attribute does not end");
        }
        rest = after;
    }
}

/// A text with the five entities of XML itself.
fn unescaped(text: &str) -> Result<SecretText, &'static str> {
    let text = text.trim();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = entity.split_once(';').ok_or("an entity does not end")?;
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return Err("it has an entity that is not one of XML itself"),
        });
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATHS: [&[&str]; 2] = [&["A", "B", "Key"], &["A", "B", "Until"]];

    fn read(xml: &str) -> Result<[Option<String>; 2], &'static str> {
        texts(xml.as_bytes(), PATHS).map(|found| found.map(|it| it.map(|it| it.to_string())))
    }

    #[test]
    fn what_a_service_sends_is_read() {
        let both = Ok([Some("x+/=&".to_owned()), Some("2026".to_owned())]);
        for xml in [
            "<A xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><B><Key>x+/=&amp;</Key><Until>2026</Until></B></A>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A>\n  <B>\n <Key> x+/=&amp;\n</Key><Other a='<'.../>",
            "<A><C/><B ><Until>2026</Until ><D><Key>no</Key></D><Key>x+/=&amp;</Key></B></A>\n",
        ] {
            if xml.contains("...") {
                assert!(read(xml).is_err(), "{xml}");
            } else {
                assert_eq!(read(xml), both, "{xml}");
            }
        }
        assert_eq!(read("<A/>"), Ok([None, None]));
        assert_eq!(read("<A><B><Key/><Key></Key></B></A>"), Ok([Some(String::new()), None]));
        assert_eq!(read("<B><Key>x</Key></B>"), Ok([None, None]));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for xml in [
            "",
            "text",
            "<A>",
            "<A></B>",
            "</A>",
            "<A/><A/>",
            "<A/>text",
            "<A><B><Key>x<!-- y -->z</Key></B></A>",
            "<A><B><Key><![CDATA[x]]></Key></B></A>",
            "<!DOCTYPE A [<!ENTITY e \"x\">]><A/>",
            "<?xml version=\"1.0\"?><?pi?><A/>",
            "<A><B><Key>&e;</Key></B></A>",
            "<A><B><Key>&#65;</Key></B></A>",
            "<A><B><Key>&amp</Key></B></A>",
            "<A><B><Key>x</Key><Key>y</Key></B></A>",
            "<A><B><Key>x<C/></Key></B></A>",
            "<s:A xmlns:s=\"x\"/>",
            "<A b></A>",
            "<A b=c></A>",
            "<A b=\"c></A>",
            "<A b=\"c\"d=\"e\"></A>",
            "<A >></A>",
            "< A/>",
            "<A",
            "<A/",
            &"<A>".repeat(17),
        ] {
            assert!(read(xml).is_err(), "{xml}");
        }
        assert!(texts(b"<A>\xff</A>", PATHS).is_err());
    }
}
