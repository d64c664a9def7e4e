/// `reference` as seen from `base`. RFC 3986 §5.2.
///
/// What has a scheme stays as it is; so does everything when the base has none.
pub fn resolve(base: &str, reference: &str) -> String {
    let reference = reference.trim();
    let base = base.split('#').next().unwrap_or(base);
    if scheme_end(reference).is_some() {
        return reference.to_owned();
    }
    let Some((scheme, after)) = scheme_end(base).and_then(|end| base.split_at_checked(end)) else {
        return reference.to_owned();
    };
    let (authority, path_query) = match after.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (format!("//{authority}"), path)
        }
        None => (String::new(), after),
    };
    if let Some(rest) = reference.strip_prefix("//") {
        return format!("{scheme}//{rest}");
    }
    let base_path = path_query.split('?').next().unwrap_or_default();
    if reference.is_empty() {
        return base.to_owned();
    }
    if reference.starts_with('?') || reference.starts_with('#') {
        let keep = if reference.starts_with('?') { base_path } else { path_query };
        return format!("{scheme}{authority}{keep}{reference}");
    }
    let (path, tail) = match reference.find(['?', '#']) {
        Some(at) => reference.split_at_checked(at).unwrap_or((reference, "")),
        None => (reference, ""),
    };
    let merged = if path.starts_with('/') {
        path.to_owned()
    } else {
        let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let root = if authority.is_empty() && !base_path.starts_with('/') && folder.is_empty() {
            ""
        } else {
            "/"
        };
        format!("{folder}{root}{path}")
    };
    format!("{scheme}{authority}{}{tail}", without_dots(&merged))
}

/// Where the scheme ends, its colon included.
fn scheme_end(uri: &str) -> Option<usize> {
    let (scheme, _) = uri.split_once(':')?;
    let mut letters = scheme.chars();
    let good = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    good.then_some(scheme.len() + 1)
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    let mut folder = false;
    for part in path.split('/').skip(usize::from(rooted)) {
        folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(part),
        }
    }
    if folder {
        kept.push("");
    }
    format!("{}{}", if rooted { "/" } else { "" }, kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reference: &str, expected: &str) {
        assert_eq!(resolve("http://a/b/c/d;p?q", reference), expected, "{reference}");
    }

    #[test]
    fn rfc_3986_section_5_4_1_normal_examples() {
        check("g:h", "g:h");
        check("g", "http://a/b/c/g");
        check("./g", "http://a/b/c/g");
        check("g/", "http://a/b/c/g/");
        check("/g", "http://a/g");
        check("//g", "http://g");
        check("?y", "http://a/b/c/d;p?y");
        check("g?y", "http://a/b/c/g?y");
        check("#s", "http://a/b/c/d;p?q#s");
        check("g?y#s", "http://a/b/c/g?y#s");
        check(";x", "http://a/b/c/;x");
        check("", "http://a/b/c/d;p?q");
        check(".", "http://a/b/c/");
        check("..", "http://a/b/");
        check("../g", "http://a/b/g");
        check("../../g", "http://a/g");
    }

    #[test]
    fn rfc_3986_section_5_4_2_abnormal_examples() {
        check("../../../g", "http://a/g");
        check("/../g", "http://a/g");
        check("g..", "http://a/b/c/g..");
        check("./g/.", "http://a/b/c/g/");
        check("g/../h", "http://a/b/c/h");
    }

    #[test]
    fn a_base_without_a_scheme_changes_nothing() {
        assert_eq!(resolve("prompts", "x.wav"), "x.wav");
        assert_eq!(resolve("file:///srv/prompts/a.ssml", "x.wav"), "file:///srv/prompts/x.wav");
    }
}
