use crate::sayas::tongue::{
    Clock, Days, Forms, Grammar, Hours, Noun, Ordinals, Tongue, gendered, noun, slavic,
};

const CENTS: Noun = slavic("jeden cent", "centy", "centów");

const ORDINALS: &str = "pierwszy, drugi, trzeci, czwarty, piąty, szósty, siódmy, ósmy, dziewiąty, \
    dziesiąty, jedenasty, dwunasty, trzynasty, czternasty, piętnasty, szesnasty, siedemnasty, \
    osiemnasty, dziewiętnasty, dwudziesty, dwudziesty pierwszy, dwudziesty drugi, \
    dwudziesty trzeci, dwudziesty czwarty, dwudziesty piąty, dwudziesty szósty, \
    dwudziesty siódmy, dwudziesty ósmy, dwudziesty dziewiąty, trzydziesty, trzydziesty pierwszy";

/// The day stands in the genitive, as the month does.
const DAYS: &str = "pierwszego, drugiego, trzeciego, czwartego, piątego, szóstego, siódmego, \
    ósmego, dziewiątego, dziesiątego, jedenastego, dwunastego, trzynastego, czternastego, \
    piętnastego, szesnastego, siedemnastego, osiemnastego, dziewiętnastego, dwudziestego, \
    dwudziestego pierwszego, dwudziestego drugiego, dwudziestego trzeciego, \
    dwudziestego czwartego, dwudziestego piątego, dwudziestego szóstego, \
    dwudziestego siódmego, dwudziestego ósmego, dwudziestego dziewiątego, trzydziestego, \
    trzydziestego pierwszego";

const HOURS: &str = "zero, pierwsza, druga, trzecia, czwarta, piąta, szósta, siódma, ósma, \
    dziewiąta, dziesiąta, jedenasta, dwunasta, trzynasta, czternasta, piętnasta, szesnasta, \
    siedemnasta, osiemnasta, dziewiętnasta, dwudziesta, dwudziesta pierwsza, dwudziesta druga, \
    dwudziesta trzecia, dwudziesta czwarta";

pub(super) static POLISH: Tongue = Tongue {
    tag: "pl",
    decimal: ',',
    minus: "minus",
    signs: "kropka, przecinek, myślnik, podkreślenie, małpa, ukośnik, ukośnik wsteczny, dwukropek, \
            średnik, wykrzyknik, znak zapytania, plus, gwiazdka, krzyżyk, ampersand, procent, \
            równa się, nawias otwierający, nawias zamykający, apostrof, cudzysłów",
    // Alone these are prepositions to eSpeak NG.
    letters: &[('w', "wu"), ('z', "zet")],
    pound: "krzyżyk",
    extension: "wewnętrzny",
    answers: ["tak", "nie"],
    months: "stycznia, lutego, marca, kwietnia, maja, czerwca, lipca, sierpnia, września, \
             października, listopada, grudnia",
    spans: [
        gendered("jedna godzina", "dwie godziny", "godziny", "godzin"),
        gendered("jedna minuta", "dwie minuty", "minuty", "minut"),
        gendered("jedna sekunda", "dwie sekundy", "sekundy", "sekund"),
    ],
    and: "i",
    money: &[
        [noun("jedno euro", "euro"), CENTS],
        [slavic("jeden dolar", "dolary", "dolarów"), CENTS],
        [slavic("jeden funt", "funty", "funtów"), slavic("jeden pens", "pensy", "pensów")],
        [slavic("jeden frank", "franki", "franków"), slavic("jeden centym", "centymy", "centymów")],
        [slavic("jeden złoty", "złote", "złotych"), slavic("jeden grosz", "grosze", "groszy")],
        [gendered("jedna korona", "dwie korony", "korony", "koron"), noun("jedno öre", "öre")],
    ],
    grammar: Grammar::Provider(&Forms {
        months_alone: Some(
            "styczeń, luty, marzec, kwiecień, maj, czerwiec, lipiec, sierpień, wrzesień, \
             październik, listopad, grudzień",
        ),
        of: " ",
        days: Days::Words { list: DAYS, ending: "" },
        hundred: None,
        ordinals: Ordinals::Words { list: ORDINALS, sign: None },
        clock: Clock {
            before: "godzina ",
            hours: Hours::Words(HOURS),
            between: " ",
            minutes: None,
            then: " i ",
        },
    }),
};
