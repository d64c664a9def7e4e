use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

const CENTS: Noun = noun("één cent", "cent");

/// eSpeak NG has no notation: of "3e" it says the e as well.
const ORDINALS: &str = "eerste, tweede, derde, vierde, vijfde, zesde, zevende, achtste, negende, \
    tiende, elfde, twaalfde, dertiende, veertiende, vijftiende, zestiende, zeventiende, \
    achttiende, negentiende, twintigste, eenentwintigste, tweeëntwintigste, drieëntwintigste, \
    vierentwintigste, vijfentwintigste, zesentwintigste, zevenentwintigste, achtentwintigste, \
    negenentwintigste, dertigste, eenendertigste";

pub(super) static DUTCH: Tongue = Tongue {
    tag: "nl",
    decimal: ',',
    minus: "min",
    signs: "punt, komma, streepje, liggend streepje, apenstaartje, schuine streep, \
            omgekeerde schuine streep, dubbele punt, puntkomma, uitroepteken, vraagteken, plus, \
            sterretje, hekje, en-teken, procent, is gelijk aan, haakje openen, haakje sluiten, \
            apostrof, aanhalingsteken",
    letters: &[],
    pound: "hekje",
    extension: "toestel",
    answers: ["ja", "nee"],
    months: "januari, februari, maart, april, mei, juni, juli, augustus, september, oktober, \
             november, december",
    spans: [noun("één uur", "uur"), noun("één minuut", "minuten"), noun("één seconde", "seconden")],
    and: "en",
    money: &[
        [noun("één euro", "euro"), CENTS],
        [noun("één dollar", "dollar"), CENTS],
        [noun("één pond", "pond"), noun("één penny", "pence")],
        [noun("één frank", "frank"), noun("één centime", "centimes")],
        [noun("één zloty", "zloty"), noun("één grosz", "groszy")],
        [noun("één kroon", "kronen"), noun("één öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " ",
        days: Days::Figures { first: "1" },
        hundred: None,
        ordinals: Ordinals::Words { list: ORDINALS, sign: None },
        clock: Clock {
            before: "",
            hours: Hours::Counted(noun("één uur", "uur")),
            between: " ",
            minutes: None,
            then: " en ",
        },
    }),
};
