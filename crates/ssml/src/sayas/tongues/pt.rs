use crate::sayas::tongue::{
    Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, gendered, noun,
};

const HOURS: Noun = gendered("uma hora", "duas horas", "horas", "horas");
const MINUTES: Noun = noun("um minuto", "minutos");

pub(super) static PORTUGUESE: Tongue = Tongue {
    tag: "pt",
    decimal: ',',
    minus: "menos",
    signs: "ponto, vírgula, hífen, sublinhado, arroba, barra, barra invertida, dois pontos, \
            ponto e vírgula, ponto de exclamação, ponto de interrogação, mais, asterisco, \
            cardinal, e comercial, por cento, igual, abre parênteses, fecha parênteses, \
            apóstrofo, aspas",
    letters: &[],
    pound: "cardinal",
    extension: "extensão",
    answers: ["sim", "não"],
    months: "janeiro, fevereiro, março, abril, maio, junho, julho, agosto, setembro, outubro, \
             novembro, dezembro",
    spans: [HOURS, MINUTES, noun("um segundo", "segundos")],
    and: "e",
    money: &[
        [noun("um euro", "euros"), noun("um cêntimo", "cêntimos")],
        [noun("um dólar", "dólares"), noun("um centavo", "centavos")],
        [gendered("uma libra", "duas libras", "libras", "libras"), noun("um péni", "pence")],
        [noun("um franco", "francos"), noun("um cêntimo", "cêntimos")],
        [noun("um zloty", "zlotys"), noun("um grosz", "groszy")],
        [gendered("uma coroa", "duas coroas", "coroas", "coroas"), noun("um öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: None,
        of: " de ",
        days: Days::Figures { first: "1º" },
        hundred: None,
        ordinals: Ordinals::Signed { first: "1º", sign: "º" },
        clock: Clock {
            before: "",
            hours: Hours::Counted(HOURS),
            between: " e ",
            minutes: Some(MINUTES),
            then: " e ",
        },
    }),
};
