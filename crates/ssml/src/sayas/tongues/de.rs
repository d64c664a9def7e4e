use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

const CENTS: Noun = noun("ein Cent", "Cent");

/// eSpeak NG takes "3." for the end of a sentence if a capital follows, so they are written out.
const ORDINALS: &str = "erste, zweite, dritte, vierte, fünfte, sechste, siebte, achte, neunte, \
    zehnte, elfte, zwölfte, dreizehnte, vierzehnte, fünfzehnte, sechzehnte, siebzehnte, \
    achtzehnte, neunzehnte, zwanzigste, einundzwanzigste, zweiundzwanzigste, dreiundzwanzigste, \
    vierundzwanzigste, fünfundzwanzigste, sechsundzwanzigste, siebenundzwanzigste, \
    achtundzwanzigste, neunundzwanzigste, dreißigste, einunddreißigste";

pub(super) static GERMAN: Tongue = Tongue {
    tag: "de",
    decimal: ',',
    minus: "minus",
    signs: "Punkt, Komma, Bindestrich, Unterstrich, at, Schrägstrich, umgekehrter Schrägstrich, \
            Doppelpunkt, Semikolon, Ausrufezeichen, Fragezeichen, plus, Stern, Raute, \
            Und-Zeichen, Prozent, gleich, Klammer auf, Klammer zu, Apostroph, Anführungszeichen",
    // Its capital would be two letters.
    letters: &[('ß', "Eszett")],
    pound: "Raute",
    extension: "Durchwahl",
    answers: ["ja", "nein"],
    months: "Januar, Februar, März, April, Mai, Juni, Juli, August, September, Oktober, November, \
             Dezember",
    spans: [
        noun("eine Stunde", "Stunden"),
        noun("eine Minute", "Minuten"),
        noun("eine Sekunde", "Sekunden"),
    ],
    and: "und",
    money: &[
        [noun("ein Euro", "Euro"), CENTS],
        [noun("ein Dollar", "Dollar"), CENTS],
        [noun("ein Pfund", "Pfund"), noun("ein Penny", "Pence")],
        [noun("ein Franken", "Franken"), noun("ein Rappen", "Rappen")],
        [noun("ein Zloty", "Zloty"), noun("ein Grosz", "Groszy")],
        [noun("eine Krone", "Kronen"), noun("ein Öre", "Öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " ",
        days: Days::Words { list: ORDINALS, ending: "r" },
        hundred: Some("hundert"),
        ordinals: Ordinals::Words { list: ORDINALS, sign: Some(".") },
        clock: Clock {
            before: "",
            hours: Hours::Counted(noun("ein Uhr", "Uhr")),
            between: " ",
            minutes: None,
            then: " und ",
        },
    }),
};
