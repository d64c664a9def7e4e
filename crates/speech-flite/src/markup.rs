//! A text as letters, marks and borders, each with its place in the text as it was sent.

/// What comes next in a text.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A letter, entities resolved; the characters it takes in the text.
    Letter { letter: char, position: u32, length: u32 },
    /// A mark's name, as the markup has it.
    Mark(String),
    /// A sentence or paragraph begins or ends.
    Border,
}

/// Whether `<` and `&` mean something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    Plain,
    Ssml,
}

/// Reads a text from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Markup<'t> {
    rest: &'t str,
    position: u32,
    form: Form,
}

/// The longest entity: `&#1114111;`.
const ENTITY_BYTES_MAX: usize = 10;

impl<'t> Markup<'t> {
    pub(crate) fn new(text: &'t str, form: Form) -> Self {
        Self { rest: text, position: 0, form }
    }

    /// Takes so many bytes, or all if there is no border of a character.
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        self.position += u32::try_from(taken.chars().count()).unwrap_or(0);
        taken
    }

    /// Takes one tag; most mean nothing here.
    fn tag(&mut self) -> Option<Event> {
        let tag = self.take(tag_bytes(self.rest));
        let inside = tag.trim_start_matches(['<', '/']);
        let name = inside.split(|c: char| c.is_whitespace() || "/>".contains(c)).next()?;
        match name {
            "s" | "p" | "sentence" | "paragraph" | "speak" => Some(Event::Border),
            "mark" => attribute(inside, "name").map(|name| Event::Mark(name.to_owned())),
            _ => None,
        }
    }

    fn letter(&mut self) -> Option<Event> {
        let position = self.position;
        let entity = match self.form {
            Form::Plain => None,
            Form::Ssml => entity(self.rest),
        };
        let (letter, bytes) = entity.or_else(|| {
            let letter = self.rest.chars().next()?;
            Some((letter, letter.len_utf8()))
        })?;
        self.take(bytes);
        Some(Event::Letter { letter, position, length: self.position - position })
    }
}

impl Iterator for Markup<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.form == Form::Ssml && self.rest.starts_with('<') {
            if let Some(event) = self.tag() {
                return Some(event);
            }
        }
        self.letter()
    }
}

/// The length of the tag or comment that `text` begins with; one without an end takes all.
fn tag_bytes(text: &str) -> usize {
    if text.starts_with("<!--") {
        return text.find("-->").map_or(text.len(), |at| at + 3);
    }
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (_, Some(open)) if letter == open => quote = None,
            ('>', None) => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The value of an attribute in the inside of a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = tag;
    loop {
        let (before, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let quote = after.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        let (value, behind) = after.get(1..)?.split_once(quote)?;
        if before.trim_end().ends_with(name) {
            return Some(value);
        }
        rest = behind;
    }
}

/// The letter of the entity that `text` begins with, and the entity's length.
fn entity(text: &str) -> Option<(char, usize)> {
    let name = text.strip_prefix('&')?;
    let end = name.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';')?;
    let name = name.get(..end)?;
    let letter = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(number) => u32::from_str_radix(number, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
    };
    Some((letter, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters as they are, marks in brackets, borders as `|`.
    fn check(text: &str, form: Form, seen: &str) {
        let mut all = String::new();
        for event in Markup::new(text, form) {
            match event {
                Event::Letter { letter, .. } => all.push(letter),
                Event::Mark(name) => all += &format!("[{name}]"),
                Event::Border => all.push('|'),
            }
        }
        assert_eq!(all, seen);
    }

    #[test]
    fn tags_are_skipped_and_their_text_is_not() {
        check("<speak>A &amp; <x y='>'>b</x>.</speak>", Form::Ssml, "|A & b.|");
        check("a<mark x=\"1\" name=\"b&amp;\"/>c<mark/>d", Form::Ssml, "a[b&amp;]cd");
        check("<p><s>a</s></p>b<!-- <s> -->c", Form::Ssml, "||a||bc");
        check("<phoneme alphabet=\"ipa\" ph=\"x\">ten</phoneme>", Form::Ssml, "ten");
        check("a < b &amp; <s>", Form::Plain, "a < b &amp; <s>");
    }

    #[test]
    fn broken_markup_is_read_as_far_as_it_can_be() {
        check("a<b", Form::Ssml, "a");
        check("a<mark name=\"x>b", Form::Ssml, "a");
        check("&lt;&#65;&#x42;&nope;&;&#x110000; & &", Form::Ssml, "<AB&nope;&;&#x110000; & &");
        check("<><!--", Form::Ssml, "");
    }

    #[test]
    fn places_count_characters_of_the_text_as_sent() {
        let mut letters = Markup::new("é&amp;<s>ö", Form::Ssml);
        let letter = |letter, position, length| Some(Event::Letter { letter, position, length });
        assert_eq!(letters.next(), letter('é', 0, 1));
        assert_eq!(letters.next(), letter('&', 1, 5));
        assert_eq!(letters.next(), Some(Event::Border));
        assert_eq!(letters.next(), letter('ö', 9, 1));
    }
}
