/// What a `say-as` element asks for.
pub(crate) struct SayAs {
    pub(crate) interpret_as: String,
    pub(crate) format: String,
    pub(crate) language: String,
}

/// The words for `text`, or `None` where the provider knows better than we do.
pub(crate) fn words(ask: &SayAs, text: &str) -> Option<String> {
    let spaced = |keep: fn(char) -> bool| -> String {
        let parts: Vec<String> = text.chars().filter(|c| keep(*c)).map(|c| c.to_string()).collect();
        parts.join(" ")
    };
    match ask.interpret_as.as_str() {
        "digits" | "number:digits" => Some(spaced(|c| c.is_ascii_alphanumeric())),
        "characters" | "spell-out" | "letters" | "verbatim" => Some(spaced(|c| !c.is_whitespace())),
        _ => {
            let _ = (&ask.format, &ask.language);
            None
        }
    }
}
