use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

const CENTS: Noun = noun("en cent", "cent");

pub(super) static SWEDISH: Tongue = Tongue {
    tag: "sv",
    decimal: ',',
    minus: "minus",
    signs: "punkt, komma, bindestreck, understreck, snabel-a, snedstreck, omvänt snedstreck, \
            kolon, semikolon, utropstecken, frågetecken, plus, stjärna, fyrkant, och-tecken, \
            procent, lika med, vänsterparentes, högerparentes, apostrof, citattecken",
    letters: &[],
    pound: "fyrkant",
    extension: "anknytning",
    answers: ["ja", "nej"],
    months: "januari, februari, mars, april, maj, juni, juli, augusti, september, oktober, \
             november, december",
    spans: [noun("en timme", "timmar"), noun("en minut", "minuter"), noun("en sekund", "sekunder")],
    and: "och",
    money: &[
        [noun("en euro", "euro"), CENTS],
        [noun("en dollar", "dollar"), CENTS],
        [noun("ett pund", "pund"), noun("en penny", "pence")],
        [noun("en franc", "franc"), noun("en centime", "centimes")],
        [noun("en zloty", "zloty"), noun("en grosz", "groszy")],
        [noun("en krona", "kronor"), noun("ett öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " ",
        days: Days::Ordinals,
        hundred: None,
        ordinals: Ordinals::Swedish,
        clock: Clock {
            before: "klockan ",
            hours: Hours::Counted(noun("ett", "")),
            between: " och ",
            minutes: None,
            then: " och ",
        },
    }),
};
