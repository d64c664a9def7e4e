use crate::sayas::tongue::{Grammar, Noun, Tongue, noun};

const CENTS: Noun = noun("one cent", "cents");

pub(super) static ENGLISH: Tongue = Tongue {
    tag: "en",
    decimal: '.',
    minus: "minus",
    signs: "dot, comma, dash, underscore, at, slash, backslash, colon, semicolon, exclamation mark, \
            question mark, plus, star, hash, ampersand, percent, equals, open parenthesis, \
            close parenthesis, apostrophe, quote",
    letters: &[],
    pound: "pound",
    extension: "extension",
    answers: ["yes", "no"],
    months: "January, February, March, April, May, June, July, August, September, October, \
             November, December",
    spans: [
        noun("one hour", "hours"),
        noun("one minute", "minutes"),
        noun("one second", "seconds"),
    ],
    and: "and",
    money: &[
        [noun("one euro", "euros"), CENTS],
        [noun("one dollar", "dollars"), CENTS],
        [noun("one pound", "pounds"), noun("one penny", "pence")],
        [noun("one Swiss franc", "Swiss francs"), noun("one centime", "centimes")],
        [noun("one zloty", "zlotys"), noun("one grosz", "groszy")],
        [noun("one Swedish krona", "Swedish kronor"), noun("one öre", "öre")],
        [noun("one yen", "yen"), noun("one sen", "sen")],
        [noun("one Canadian dollar", "Canadian dollars"), CENTS],
        [noun("one Australian dollar", "Australian dollars"), CENTS],
        [noun("one rupee", "rupees"), noun("one paisa", "paise")],
    ],
    grammar: Grammar::English,
};
