//! Pronunciations in the International Phonetic Alphabet as eSpeak NG writes them: after Kirshenbaum,
//! with its own names for the vowels of English.

/// A sound of the International Phonetic Alphabet and eSpeak's name for it; longer ones first.
const SOUNDS: &[(&str, &str)] = &[
    ("t͡ʃ", "tS"),
    ("d͡ʒ", "dZ"),
    ("t͡s", "ts"),
    ("p͡f", "pf"),
    ("tʃ", "tS"),
    ("dʒ", "dZ"),
    ("ʧ", "tS"),
    ("ʤ", "dZ"),
    ("eɪ", "eI"),
    ("aɪ", "aI"),
    ("ɔɪ", "OI"),
    ("əʊ", "oU"),
    ("oʊ", "oU"),
    ("aʊ", "aU"),
    ("ɪə", "i@"),
    ("eə", "e@"),
    ("ʊə", "U@"),
    ("iː", "i:"),
    ("uː", "u:"),
    ("ɑː", "A:"),
    ("ɔː", "O:"),
    ("ɜː", "3:"),
    ("ɝ", "3:"),
    ("ɚ", "3"),
    ("aː", "a:"),
    ("eː", "e:"),
    ("oː", "o:"),
    ("yː", "y:"),
    ("øː", "Y:"),
    ("ɛː", "E:"),
    ("p", "p"),
    ("b", "b"),
    ("t", "t"),
    ("d", "d"),
    ("k", "k"),
    ("g", "g"),
    ("ɡ", "g"),
    ("f", "f"),
    ("v", "v"),
    ("θ", "T"),
    ("ð", "D"),
    ("s", "s"),
    ("z", "z"),
    ("ʃ", "S"),
    ("ʒ", "Z"),
    ("h", "h"),
    ("x", "x"),
    ("ç", "C"),
    ("m", "m"),
    ("n", "n"),
    ("ŋ", "N"),
    ("ɲ", "n^"),
    ("l", "l"),
    ("ɫ", "l"),
    ("ʎ", "l^"),
    ("r", "r"),
    ("ɹ", "r"),
    ("ɾ", "*"),
    ("ʁ", "r"),
    ("j", "j"),
    ("w", "w"),
    ("ʔ", "?"),
    ("i", "i"),
    ("ɪ", "I"),
    ("e", "e"),
    ("ɛ", "E"),
    ("æ", "a"),
    ("a", "a"),
    ("ɑ", "A:"),
    ("ɒ", "0"),
    ("ʌ", "V"),
    ("ɔ", "O"),
    ("o", "o"),
    ("ʊ", "U"),
    ("u", "u"),
    ("ə", "@"),
    ("ɜ", "3:"),
    ("ɐ", "V"),
    ("y", "y"),
    ("ø", "Y"),
    ("œ", "W"),
    ("ˈ", "'"),
    ("ˌ", ","),
    ("ː", ":"),
    ("'", "'"),
];
/// What has no sound of its own: the borders of syllables and words, and ties.
const SILENT: &[char] = &['.', ' ', '-', '͡', '|', '‿', '/', '[', ']', '\u{32f}', '\u{329}'];

/// The longest pronunciation, in characters.
const CHARS_MAX: usize = 200;

/// The pronunciation in eSpeak's alphabet; `None` where one of its sounds has no name there, or the
/// alphabet is another.
pub(crate) fn to_espeak(alphabet: &str, ph: &str) -> Option<String> {
    let known = alphabet.is_empty() || alphabet.eq_ignore_ascii_case("ipa");
    if alphabet.eq_ignore_ascii_case("x-espeak") {
        let plain = |letter: char| letter.is_ascii_graphic() && !matches!(letter, '[' | ']');
        return (!ph.is_empty() && ph.chars().all(plain)).then(|| ph.to_owned());
    }
    if !known || ph.chars().count() > CHARS_MAX {
        return None;
    }
    let mut sounds = String::new();
    // Stress stands before the syllable in IPA, and before the vowel in eSpeak.
    let mut stress = None;
    let mut rest = ph.trim();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(SILENT) {
            rest = after;
            continue;
        }
        let (ipa, name) = SOUNDS.iter().find(|(ipa, _)| rest.starts_with(ipa))?;
        rest = rest.strip_prefix(ipa)?;
        match *name {
            "'" | "," => stress = Some(*name),
            name => {
                if is_vowel(name)
                    && let Some(stress) = stress.take()
                {
                    sounds.push_str(stress);
                }
                sounds.push_str(name);
            }
        }
    }
    (!sounds.is_empty()).then_some(sounds)
}

fn is_vowel(name: &str) -> bool {
    name.starts_with([
        'i', 'I', 'e', 'E', 'a', 'A', '0', 'V', 'O', 'o', 'U', 'u', '@', '3', 'y', 'Y', 'W',
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_are_renamed_and_stress_stands_before_its_vowel() {
        for (ipa, expected) in [
            ("təˈmɑːtəʊ", "t@m'A:toU"),
            ("ˈtʃɪkɪn", "tS'IkIn"),
            ("həˈləʊ", "h@l'oU"),
            ("/ˈlɛ.bən/", "l'Eb@n"),
            ("ˌɪntəˈnæʃənəl", ",Int@n'aS@n@l"),
        ] {
            assert_eq!(to_espeak("ipa", ipa).as_deref(), Some(expected), "{ipa}");
        }
    }

    #[test]
    fn what_has_no_name_is_left_to_the_word() {
        assert_eq!(to_espeak("ipa", "☺"), None);
        assert_eq!(to_espeak("ipa", ""), None);
        assert_eq!(to_espeak("x-sampa", "h@loU"), None);
        assert_eq!(to_espeak("x-espeak", "h@l'oU").as_deref(), Some("h@l'oU"));
        assert_eq!(to_espeak("x-espeak", "a]] b"), None);
        assert_eq!(to_espeak("ipa", &"ə".repeat(201)), None);
    }
}
