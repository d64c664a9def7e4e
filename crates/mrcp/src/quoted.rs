//! Quoted strings: writing, reading, and splitting a list without cutting into one.

/// `text` as a quoted-string: quotes and backslashes escaped, line ends and other controls blank.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            _ if c.is_control() => quoted.push(' '),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The text inside a quoted-string, or the text itself if it is not quoted.
pub(crate) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            plain.push(c);
        }
    }
    plain
}

/// Splits at `separator` wherever it does not stand inside a quoted string.
pub(crate) fn split(text: &str, separator: char) -> Vec<&str> {
    let mut inside = false;
    let mut escaped = false;
    text.split(move |c| {
        let cut = c == separator && !inside;
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        cut
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_reads_back_the_same() {
        for text in ["", "plain", "say \"yes\" \\ no", "naïve"] {
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(quote("two\r\nlines"), "\"two  lines\"");
        assert_eq!(unquote("bare"), "bare");
        assert_eq!(unquote("\""), "\"");
    }

    #[test]
    fn a_separator_inside_quotes_does_not_split() {
        assert_eq!(split(r#"a="x;y\";z";b=2"#, ';'), [r#"a="x;y\";z""#, "b=2"]);
        assert_eq!(split("", ';'), [""]);
    }
}
