use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

/// "cents" would be heard as hundreds.
const CENTIMES: Noun = noun("un centime", "centimes");

pub(super) static FRENCH: Tongue = Tongue {
    tag: "fr",
    decimal: ',',
    minus: "moins",
    signs: "point, virgule, tiret, tiret bas, arobase, barre oblique, barre oblique inverse, \
            deux-points, point-virgule, point d'exclamation, point d'interrogation, plus, étoile, \
            dièse, et commercial, pour cent, égale, parenthèse ouvrante, parenthèse fermante, \
            apostrophe, guillemet",
    letters: &[('y', "i grec")],
    pound: "dièse",
    extension: "poste",
    answers: ["oui", "non"],
    months: "janvier, février, mars, avril, mai, juin, juillet, août, septembre, octobre, \
             novembre, décembre",
    spans: [
        noun("une heure", "heures"),
        noun("une minute", "minutes"),
        noun("une seconde", "secondes"),
    ],
    and: "et",
    money: &[
        [noun("un euro", "euros"), CENTIMES],
        [noun("un dollar", "dollars"), CENTIMES],
        [noun("une livre", "livres"), noun("un penny", "pence")],
        [noun("un franc", "francs"), CENTIMES],
        [noun("un zloty", "zlotys"), noun("un grosz", "groszy")],
        [noun("une couronne", "couronnes"), noun("un öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " ",
        days: Days::Figures { first: "1er" },
        hundred: None,
        ordinals: Ordinals::Signed { first: "1er", sign: "ème" },
        clock: Clock {
            before: "",
            hours: Hours::Counted(noun("une heure", "heures")),
            between: " ",
            minutes: None,
            then: " et ",
        },
    }),
};
