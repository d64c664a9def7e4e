use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const LETTERS: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A mailbox's name as servers before IMAP4rev2 want it. RFC 3501 §5.1.3.
///
/// ```
/// assert_eq!(imap::modified_utf7("Entwürfe & mehr"), "Entw&APw-rfe &- mehr");
/// ```
#[must_use]
pub fn modified_utf7(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    let flush = |shifted: &mut Vec<u8>, out: &mut String| {
        if !shifted.is_empty() {
            out.push('&');
            LETTERS.encode_string(&*shifted, out);
            out.push('-');
            shifted.clear();
        }
    };
    for letter in name.chars() {
        if matches!(letter, ' '..='~') {
            flush(&mut shifted, &mut out);
            out.push(letter);
            if letter == '&' {
                out.push('-');
            }
        } else {
            let mut units = [0; 2];
            shifted
                .extend(letter.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    flush(&mut shifted, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_5_1_3_names_are_written_as_rfc_3501_has_them() {
        for (name, expected) in [
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("INBOX", "INBOX"),
            ("Tom & Jerry", "Tom &- Jerry"),
            ("😀", "&2D3eAA-"),
        ] {
            assert_eq!(modified_utf7(name), expected);
        }
    }
}
