//! Letters as flite can read them: it knows ASCII only.

/// What becomes of a letter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Read {
    /// Itself.
    Letter(u8),
    /// The nearest that can be read.
    Letters(&'static str),
    /// A word ends here.
    Space,
    /// It is not there: it only changes the letter before, or how a line is broken.
    Nothing,
}

/// Letters of Latin scripts and typographic signs, and what stands for each of them.
const NEAREST: [(&str, &str); 34] = [
    ("àáâãäåāăą", "a"),
    ("ÀÁÂÃÄÅĀĂĄ", "A"),
    ("çćĉċč", "c"),
    ("ÇĆĈĊČ", "C"),
    ("ďđð", "d"),
    ("ĎĐÐ", "D"),
    ("èéêëēĕėęě", "e"),
    ("ÈÉÊËĒĔĖĘĚ", "E"),
    ("ĝğġģ", "g"),
    ("ĜĞĠĢ", "G"),
    ("ìíîïĩīĭįı", "i"),
    ("ÌÍÎÏĨĪĬĮİ", "I"),
    ("ĺļľŀł", "l"),
    ("ĹĻĽĿŁ", "L"),
    ("ñńņň", "n"),
    ("ÑŃŅŇ", "N"),
    ("òóôõöøōŏő", "o"),
    ("ÒÓÔÕÖØŌŎŐ", "O"),
    ("ŕŗřŔŖŘ", "r"),
    ("śŝşšșŚŜŞŠȘ", "s"),
    ("ţťŧțŢŤŦȚ", "t"),
    ("ùúûüũūŭůűų", "u"),
    ("ÙÚÛÜŨŪŬŮŰŲ", "U"),
    ("ýÿŷÝŶŸ", "y"),
    ("źżžŹŻŽ", "z"),
    ("æÆ", "ae"),
    ("œŒ", "oe"),
    ("ß", "ss"),
    ("þÞ", "th"),
    ("‘’‚′", "'"),
    ("“”„«»", "\""),
    ("‐‑‒–—−", "-"),
    ("…", "..."),
    ("€", "euro"),
];

/// How a letter is read. Those of other scripts part words and are not heard.
pub(crate) fn read(letter: char) -> Read {
    match letter {
        // It speaks these as nothing, in the middle of words too.
        '<' | '>' => Read::Space,
        '!'..='~' => u8::try_from(letter).map_or(Read::Space, Read::Letter),
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {
            Read::Nothing
        }
        _ => {
            let nearest = NEAREST.iter().find(|(letters, _)| letters.contains(letter));
            nearest.map_or(Read::Space, |(_, nearest)| Read::Letters(nearest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_is_and_the_rest_parts_words() {
        assert_eq!(read('a'), Read::Letter(b'a'));
        assert_eq!(read('É'), Read::Letters("E"));
        assert_eq!(read('’'), Read::Letters("'"));
        assert_eq!([' ', '\n', '\0', '語', '<'].map(read), [Read::Space; 5]);
        assert_eq!(read('\u{301}'), Read::Nothing);
    }
}
