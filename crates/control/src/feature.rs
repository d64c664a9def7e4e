//! Which providers of speech a caller prefers: feature tags of its INVITE. RFC 3841 §9.2, RFC 3840 §9.

use sip::headers::Headers;

/// Tags of one INVITE that are looked at; what comes behind them is not.
const TAGS_MAX: usize = 64;

/// Those of `known` that a tag of `Accept-Contact` names, be it the tag itself or its value:
/// `*;neural`, `*;+io.entracte.speech="<neural>"`, `*;speech="neural,local"`.
pub(crate) fn preferred(headers: &Headers, known: &[String]) -> Vec<String> {
    let mut preferred: Vec<String> = Vec::new();
    let values = ["Accept-Contact", "a"].into_iter().flat_map(|name| headers.all(name));
    let tags = values.flat_map(|value| value.split(';').skip(1)).take(TAGS_MAX);
    for tag in tags {
        let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
        let bare = |text: &str| {
            text.trim()
                .trim_matches('"')
                .trim_matches(['<', '>'])
                .trim_start_matches('+')
                .to_owned()
        };
        let value = bare(value);
        // RFC 3840 §9: a tag that must not be there.
        if value.eq_ignore_ascii_case("FALSE") || value.starts_with('!') {
            continue;
        }
        for word in [bare(name)].into_iter().chain(value.split(',').map(bare)) {
            let found = known.iter().find(|known| known.eq_ignore_ascii_case(&word));
            if let Some(found) = found.filter(|found| !preferred.contains(found)) {
                preferred.push(found.clone());
            }
        }
    }
    preferred
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_preferred_by_a_tag_or_by_the_value_of_one() {
        let known = ["neural", "premium", "local"].map(str::to_owned);
        for (value, expected) in [
            ("*;neural", "neural"),
            ("*;Neural;require;explicit", "neural"),
            ("*;+io.entracte.speech=\"<local>\"", "local"),
            ("*;speech=\"premium,local\"", "premium local"),
            ("*;audio;language=\"en\", <sip:x@h>;local;+neural", "local neural"),
            ("neural", ""),
            ("*;neural=\"FALSE\"", ""),
            ("*;other=\"x\"", ""),
            ("*;=;;\"", ""),
        ] {
            let mut headers = Headers::new();
            headers.push("Accept-Contact", value);
            assert_eq!(preferred(&headers, &known).join(" "), expected, "{value}");
        }
        assert!(preferred(&Headers::new(), &known).is_empty());
    }
}
