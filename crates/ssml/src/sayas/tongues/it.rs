use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

const CENTS: Noun = noun("un centesimo", "centesimi");

pub(super) static ITALIAN: Tongue = Tongue {
    tag: "it",
    decimal: ',',
    minus: "meno",
    signs: "punto, virgola, trattino, trattino basso, chiocciola, barra, barra inversa, due punti, \
            punto e virgola, punto esclamativo, punto interrogativo, più, asterisco, cancelletto, \
            e commerciale, per cento, uguale, parentesi aperta, parentesi chiusa, apostrofo, \
            virgolette",
    letters: &[],
    pound: "cancelletto",
    extension: "interno",
    answers: ["sì", "no"],
    months: "gennaio, febbraio, marzo, aprile, maggio, giugno, luglio, agosto, settembre, ottobre, \
             novembre, dicembre",
    spans: [noun("un'ora", "ore"), noun("un minuto", "minuti"), noun("un secondo", "secondi")],
    and: "e",
    money: &[
        [noun("un euro", "euro"), CENTS],
        [noun("un dollaro", "dollari"), CENTS],
        [noun("una sterlina", "sterline"), noun("un penny", "pence")],
        [noun("un franco", "franchi"), CENTS],
        [noun("uno zloty", "zloty"), noun("un grosz", "groszy")],
        [noun("una corona", "corone"), noun("un öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " ",
        days: Days::Figures { first: "1º" },
        hundred: None,
        ordinals: Ordinals::Signed { first: "1º", sign: "º" },
        clock: Clock {
            before: "ore ",
            hours: Hours::Counted(noun("una", "")),
            between: " e ",
            minutes: None,
            then: " e ",
        },
    }),
};
