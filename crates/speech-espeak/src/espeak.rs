//! libespeak-ng as one safe value: it has one global state, so there is one [`Espeak`] a process.
#![expect(unsafe_code, reason = "the library is C; every call to it is in this file")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_short};
use std::marker::PhantomData;
use std::{ptr, slice};

use speech_helper::{Listener, Point, Speak, Synthesizer, Then, Voice};

use crate::ffi;

/// How much sound the library makes before it hands it over.
const BLOCK_MS: c_int = 60;
/// More events or voices than the library ever lists at once.
const LIST_MAX: usize = 10_000;

/// The library, started.
pub(crate) struct Espeak {
    rate_hz: u32,
    voice: String,
    /// The library's own name of each voice, by its id: the two differ where a file speaks a language
    /// that it is not named after.
    files: BTreeMap<String, String>,
    // Its state belongs to the thread that started it.
    _not_send: PhantomData<*const ()>,
}

/// The listener of the running synthesis, lent to the C callback for the time of one call.
struct Lent(*mut dyn Listener);

thread_local! {
    static LENT: RefCell<Option<Lent>> = const { RefCell::new(None) };
}

impl Espeak {
    /// Starts the library; the reason if it cannot.
    pub(crate) fn start() -> Result<Self, String> {
        // SAFETY: called once, before any other call; a null path means the library's own data.
        let rate = unsafe {
            ffi::espeak_Initialize(
                ffi::AUDIO_OUTPUT_SYNCHRONOUS,
                BLOCK_MS,
                ptr::null(),
                ffi::INITIALIZE_DONT_EXIT,
            )
        };
        let rate_hz = u32::try_from(rate).ok().filter(|rate| *rate > 0);
        let rate_hz = rate_hz.ok_or("libespeak-ng does not start: is espeak-ng-data installed?")?;
        // SAFETY: the callback lives as long as the program.
        unsafe { ffi::espeak_SetSynthCallback(on_block) };
        let mut files = BTreeMap::new();
        list(ptr::null_mut(), false, |voice, file| {
            files.entry(voice.id).or_insert(file);
        });
        Ok(Self { rate_hz, voice: String::new(), files, _not_send: PhantomData })
    }
}

impl Synthesizer for Espeak {
    fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    fn voices(&self) -> Vec<Voice> {
        let mut voices = Vec::new();
        list(ptr::null_mut(), false, |voice, _| voices.push(voice));
        let mut spec = ffi::Voice {
            name: ptr::null(),
            languages: c"variant".as_ptr(),
            identifier: ptr::null(),
            gender: 0,
            age: 0,
            variant: 0,
            xx1: 0,
            score: 0,
            spare: ptr::null_mut(),
        };
        list(&raw mut spec, true, |voice, _| voices.push(voice));
        voices
    }

    fn speak(&mut self, speak: &Speak, listener: &mut dyn Listener) -> Result<(), String> {
        if !speak.voice.is_empty() && speak.voice != self.voice {
            let (id, variant) = match speak.voice.split_once('+') {
                Some((id, variant)) => (id, format!("+{variant}")),
                None => (speak.voice.as_str(), String::new()),
            };
            let file = self.files.get(id).map_or(id, String::as_str);
            let name =
                CString::new(format!("{file}{variant}")).map_err(|_| "a zero in the voice")?;
            // SAFETY: a zero-terminated string that outlives the call.
            if unsafe { ffi::espeak_SetVoiceByName(name.as_ptr()) } != ffi::EE_OK {
                self.voice.clear();
                return Err(format!("there is no voice {:?}", speak.voice));
            }
            self.voice.clone_from(&speak.voice);
        }
        set(ffi::RATE, words_per_minute(speak.rate));
        set(ffi::PITCH, pitch(speak.pitch));
        set(ffi::RANGE, i32::from(speak.range.min(2_000)) / 20);
        set(ffi::VOLUME, i32::from(speak.volume.min(2_000)) / 10);
        let text = CString::new(speak.text.as_str()).map_err(|_| "a zero in the text")?;
        let mut flags = ffi::CHARS_UTF8;
        if speak.ssml {
            flags |= ffi::SSML;
        }
        if speak.end_pause {
            flags |= ffi::ENDPAUSE;
        }
        lend(listener);
        // SAFETY: the text is zero-terminated and outlives the call, which returns only when all
        // is spoken; its length counts the zero as the header asks.
        let answer = unsafe {
            ffi::espeak_Synth(
                text.as_ptr().cast(),
                text.as_bytes_with_nul().len(),
                0,
                ffi::POS_CHARACTER,
                0,
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        LENT.with_borrow_mut(|lent| *lent = None);
        if answer == ffi::EE_OK { Ok(()) } else { Err(format!("libespeak-ng says {answer}")) }
    }
}

/// Keeps the listener for `on_block` until the synthesis returns.
fn lend(listener: &mut dyn Listener) {
    let pointer: *mut (dyn Listener + '_) = listener;
    // SAFETY: only the lifetime changes. `on_block` uses it only inside `espeak_Synth`, which
    // `speak` calls and leaves while it still holds the borrow; after it, `LENT` is emptied.
    let pointer = unsafe {
        std::mem::transmute::<*mut (dyn Listener + '_), *mut (dyn Listener + 'static)>(pointer)
    };
    LENT.with_borrow_mut(|lent| *lent = Some(Lent(pointer)));
}

extern "C" fn on_block(samples: *mut c_short, count: c_int, events: *mut ffi::Event) -> c_int {
    let mut points = Vec::new();
    let mut event = events;
    for _ in 0..LIST_MAX {
        // SAFETY: the library ends its list with LIST_TERMINATED, where the loop ends too.
        let Some(now) = (unsafe { event.as_ref() }) else { break };
        if now.kind == ffi::EVENT_LIST_TERMINATED {
            break;
        }
        points.extend(point(now));
        // SAFETY: this was not the last event, so there is another behind it.
        event = unsafe { event.add(1) };
    }
    let samples = match usize::try_from(count) {
        // SAFETY: the library gives `count` samples, which stay until this function returns.
        Ok(count) if count > 0 && !samples.is_null() => unsafe {
            slice::from_raw_parts(samples, count)
        },
        _ => &[],
    };
    let lent = LENT.with_borrow(|lent| lent.as_ref().map(|lent| lent.0));
    let Some(listener) = lent else { return 0 };
    // SAFETY: see `lend`; nothing else uses the listener while the library runs.
    match unsafe { &mut *listener }.block(points, samples) {
        Then::Continue => 0,
        Then::Stop => 1,
    }
}

fn point(event: &ffi::Event) -> Option<Point> {
    let sample = u64::try_from(event.sample).unwrap_or(0);
    // The library counts characters from 1.
    let position = u32::try_from(event.text_position.saturating_sub(1)).unwrap_or(0);
    match event.kind {
        ffi::EVENT_MARK => {
            // SAFETY: a mark's union holds its name, zero-terminated, valid during the callback.
            let name = unsafe { owned(event.id.name) };
            Some(Point::Mark { sample, name })
        }
        ffi::EVENT_WORD => {
            let length = u32::try_from(event.length).unwrap_or(0);
            Some(Point::Word { sample, position, length })
        }
        ffi::EVENT_SENTENCE => Some(Point::Sentence { sample, position }),
        _ => None,
    }
}

/// # Safety
/// `text` is null or zero-terminated.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Gives each voice of a listing, with its file, to `take`.
fn list(spec: *mut ffi::Voice, variants: bool, mut take: impl FnMut(Voice, String)) {
    // SAFETY: `spec` is null or a whole voice that outlives the call.
    let mut next = unsafe { ffi::espeak_ListVoices(spec) };
    for _ in 0..LIST_MAX {
        if next.is_null() {
            break;
        }
        // SAFETY: the library's list ends with a null pointer, where the loop ends too.
        let Some(voice) = (unsafe { (*next).as_ref() }) else { break };
        if let Some((voice, file)) = read_voice(voice, variants) {
            take(voice, file);
        }
        // SAFETY: this was not the last entry.
        next = unsafe { next.add(1) };
    }
}

fn read_voice(voice: &ffi::Voice, variant: bool) -> Option<(Voice, String)> {
    // SAFETY: the strings of a listed voice are zero-terminated and stay until the next listing.
    let (name, file) = unsafe { (owned(voice.name), owned(voice.identifier)) };
    // Those need a second synthesizer's data, which may or may not be there.
    if file.starts_with("mb/") {
        return None;
    }
    let languages = if variant { Vec::new() } else { languages(voice.languages) };
    let id = if variant {
        file.strip_prefix("!v/").unwrap_or(&file).to_owned()
    } else {
        languages.first().map(|(_, language)| language.clone())?
    };
    let (gender, age) = (voice.gender, voice.age);
    Some((Voice { id, name, languages, gender, age, variant }, file))
}

/// Pairs of a priority byte and a zero-terminated tag, up to a zero priority.
fn languages(list: *const c_char) -> Vec<(u8, String)> {
    let mut found = Vec::new();
    let mut at = list;
    while found.len() < LIST_MAX && !at.is_null() {
        // SAFETY: the list ends with a zero byte, where the loop ends too.
        let priority = unsafe { *at }.to_le_bytes()[0];
        if priority == 0 {
            break;
        }
        // SAFETY: a tag follows every priority, zero-terminated.
        let tag = unsafe { CStr::from_ptr(at.add(1)) };
        found.push((priority, tag.to_string_lossy().into_owned()));
        // SAFETY: behind the tag's zero comes the next priority or the end.
        at = unsafe { at.add(1 + tag.to_bytes_with_nul().len()) };
    }
    found
}

fn set(parameter: c_int, value: c_int) {
    // SAFETY: plain numbers; the library checks their range.
    unsafe { ffi::espeak_SetParameter(parameter, value, 0) };
}

/// The library's words per minute for a factor. Its scale is not proportional: measured as the
/// length of three English sentences at each setting against that at 175 (espeak-ng 1.51).
fn words_per_minute(permille: u16) -> c_int {
    const MEASURED: [(i32, i32); 26] = [
        (80, 496),
        (90, 529),
        (100, 583),
        (110, 641),
        (120, 696),
        (130, 757),
        (140, 807),
        (150, 862),
        (160, 921),
        (175, 1000),
        (190, 1076),
        (200, 1130),
        (210, 1184),
        (220, 1233),
        (230, 1281),
        (250, 1372),
        (270, 1460),
        (290, 1556),
        (310, 1636),
        (330, 1728),
        (350, 1802),
        (370, 1877),
        (390, 1978),
        (410, 2066),
        (430, 2175),
        (450, 2370),
    ];
    let wanted = i32::from(permille);
    let mut below = (80, 496);
    for point in MEASURED {
        if wanted <= point.1 {
            let (width, height) = (point.0 - below.0, (point.1 - below.1).max(1));
            return (below.0 + (wanted - below.1).max(0) * width / height).max(80);
        }
        below = point;
    }
    below.0
}

/// The library's pitch, 0 to 100, for a factor: fifty steps are an octave.
fn pitch(permille: u16) -> c_int {
    let octaves = (f64::from(permille.clamp(250, 4_000)) / 1_000.0).log2();
    let steps = (50.0 + 50.0 * octaves).round().clamp(0.0, 99.0);
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=99 above")]
    let steps = steps as c_int;
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_become_the_librarys_own_numbers() {
        let rates: Vec<_> = [0, 500, 1_000, 1_500, 2_000, 9_999].map(words_per_minute).into();
        assert_eq!(rates, [80, 81, 175, 278, 395, 450]);
        assert_eq!([500, 1_000, 2_000].map(pitch), [0, 50, 99]);
    }
}
