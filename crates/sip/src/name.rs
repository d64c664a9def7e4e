//! Header names: the usual spelling, the compact forms (RFC 3261 §7.3.3), and which are lists.

use std::borrow::Cow;

use Shape::{List, One};

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// The value is one value, whatever commas it holds.
    One,
    /// Several values may share a line, split by commas (RFC 3261 §7.3.1).
    List,
}

macro_rules! names {
    ($($id:ident $text:literal $shape:ident $($compact:literal)?;)*) => {
        $(#[doc = concat!("`", $text, "`")] pub const $id: &str = $text;)*

        const KNOWN: &[(&str, Shape)] = &[$(($text, $shape)),*];

        fn expanded(compact: u8) -> Option<&'static str> {
            match compact.to_ascii_lowercase() {
                $($($compact => Some($text),)?)*
                _ => None,
            }
        }
    };
}

names! {
    VIA "Via" List b'v';
    FROM "From" One b'f';
    TO "To" One b't';
    CALL_ID "Call-ID" One b'i';
    CSEQ "CSeq" One;
    MAX_FORWARDS "Max-Forwards" One;
    CONTACT "Contact" List b'm';
    CONTENT_LENGTH "Content-Length" One b'l';
    CONTENT_TYPE "Content-Type" One b'c';
    CONTENT_ENCODING "Content-Encoding" List b'e';
    CONTENT_DISPOSITION "Content-Disposition" One;
    CONTENT_LANGUAGE "Content-Language" List;
    ROUTE "Route" List;
    RECORD_ROUTE "Record-Route" List;
    ALLOW "Allow" List;
    SUPPORTED "Supported" List b'k';
    REQUIRE "Require" List;
    PROXY_REQUIRE "Proxy-Require" List;
    UNSUPPORTED "Unsupported" List;
    ACCEPT "Accept" List;
    ACCEPT_ENCODING "Accept-Encoding" List;
    ACCEPT_LANGUAGE "Accept-Language" List;
    USER_AGENT "User-Agent" One;
    SERVER "Server" One;
    EXPIRES "Expires" One;
    MIN_EXPIRES "Min-Expires" One;
    RETRY_AFTER "Retry-After" One;
    WARNING "Warning" List;
    SUBJECT "Subject" One b's';
    DATE "Date" One;
    TIMESTAMP "Timestamp" One;
    ORGANIZATION "Organization" One;
    PRIORITY "Priority" One;
    ALERT_INFO "Alert-Info" List;
    CALL_INFO "Call-Info" List;
    ERROR_INFO "Error-Info" List;
    IN_REPLY_TO "In-Reply-To" List;
    REPLY_TO "Reply-To" One;
    MIME_VERSION "MIME-Version" One;
    AUTHORIZATION "Authorization" One;
    PROXY_AUTHORIZATION "Proxy-Authorization" One;
    WWW_AUTHENTICATE "WWW-Authenticate" One;
    PROXY_AUTHENTICATE "Proxy-Authenticate" One;
    AUTHENTICATION_INFO "Authentication-Info" One;
    RACK "RAck" One;
    RSEQ "RSeq" One;
    SESSION_EXPIRES "Session-Expires" One b'x';
    MIN_SE "Min-SE" One;
    REFER_TO "Refer-To" One b'r';
    REFERRED_BY "Referred-By" One b'b';
    REPLACES "Replaces" One;
    EVENT "Event" One b'o';
    ALLOW_EVENTS "Allow-Events" List b'u';
    SUBSCRIPTION_STATE "Subscription-State" One;
    SIP_ETAG "SIP-ETag" One;
    SIP_IF_MATCH "SIP-If-Match" One;
    PATH "Path" List;
    SERVICE_ROUTE "Service-Route" List;
    REASON "Reason" List;
    DIVERSION "Diversion" List;
    HISTORY_INFO "History-Info" List;
    P_ASSERTED_IDENTITY "P-Asserted-Identity" List;
    P_PREFERRED_IDENTITY "P-Preferred-Identity" List;
    PRIVACY "Privacy" One;
    USER_TO_USER "User-to-User" List;
    ACCEPT_CONTACT "Accept-Contact" List b'a';
    REJECT_CONTACT "Reject-Contact" List b'j';
    REQUEST_DISPOSITION "Request-Disposition" List b'd';
    RESOURCE_PRIORITY "Resource-Priority" List;
    IDENTITY "Identity" One b'y';
    SESSION_ID "Session-ID" One;
    RECV_INFO "Recv-Info" List;
    INFO_PACKAGE "Info-Package" One;
}

/// The name in its usual spelling: compact forms expanded, known names in the RFC's case.
pub fn canonical(name: &str) -> Cow<'static, str> {
    if let &[letter] = name.as_bytes()
        && let Some(full) = expanded(letter)
    {
        return Cow::Borrowed(full);
    }
    match KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((known, _)) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

/// Whether commas split the values of this header.
pub fn is_list(name: &str) -> bool {
    KNOWN.iter().any(|(known, shape)| *shape == List && known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_7_3_3_compact_forms_expand() {
        for (compact, full) in
            [("i", "Call-ID"), ("V", VIA), ("l", CONTENT_LENGTH), ("k", SUPPORTED)]
        {
            assert_eq!(canonical(compact), full);
        }
        assert_eq!(canonical("cALL-id"), CALL_ID);
        assert_eq!(canonical("X-Own"), "X-Own");
        assert!(is_list("record-route") && !is_list("date") && !is_list("X-Own"));
    }
}
