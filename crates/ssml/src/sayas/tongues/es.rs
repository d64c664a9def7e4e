use crate::sayas::tongue::{Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, noun};

const HOURS: Noun = noun("una hora", "horas");
const MINUTES: Noun = noun("un minuto", "minutos");

pub(super) static SPANISH: Tongue = Tongue {
    tag: "es",
    decimal: ',',
    minus: "menos",
    signs: "punto, coma, guion, guion bajo, arroba, barra, barra invertida, dos puntos, \
            punto y coma, signo de exclamación, signo de interrogación, más, asterisco, \
            almohadilla, ampersand, por ciento, igual, abre paréntesis, cierra paréntesis, \
            apóstrofo, comillas",
    letters: &[('y', "i griega")],
    pound: "almohadilla",
    extension: "extensión",
    answers: ["sí", "no"],
    months: "enero, febrero, marzo, abril, mayo, junio, julio, agosto, septiembre, octubre, \
             noviembre, diciembre",
    spans: [HOURS, MINUTES, noun("un segundo", "segundos")],
    and: "con",
    money: &[
        [noun("un euro", "euros"), noun("un céntimo", "céntimos")],
        [noun("un dólar", "dólares"), noun("un centavo", "centavos")],
        [noun("una libra", "libras"), noun("un penique", "peniques")],
        [noun("un franco", "francos"), noun("un céntimo", "céntimos")],
        [noun("un esloti", "eslotis"), noun("un grosz", "groszy")],
        [noun("una corona", "coronas"), noun("un öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " de ",
        days: Days::Figures { first: "1" },
        hundred: None,
        ordinals: Ordinals::Signed { first: "1º", sign: "º" },
        clock: Clock {
            before: "",
            hours: Hours::Counted(HOURS),
            between: " y ",
            minutes: Some(MINUTES),
            then: " y ",
        },
    }),
};
