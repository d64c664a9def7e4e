//! libflite as safe values. It has global state, so all of it stays on one thread.
#![expect(unsafe_code, reason = "the library is C; every call to it is in this file")]

use std::ffi::{CStr, CString, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use speech_helper::Then;

use crate::script::{Token, Utterance};
use crate::sound::{BLOCK_SAMPLES, RATE_HZ, Sound, Times};

/// More words in an utterance, or parts of a word, than there ever are.
const LIST_MAX: usize = 10_000;

/// The voices that are linked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Model {
    Slt,
    Rms,
    Awb,
    Kal16,
}

/// How to speak: factors of what a voice does by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) duration: f32,
    pub(crate) pitch: f32,
    /// Of the movement of the pitch.
    pub(crate) range: f32,
}

/// The library, started.
#[derive(Debug)]
pub(crate) struct Flite {
    // Its state belongs to the thread that started it.
    _not_send: PhantomData<*const ()>,
}

/// A voice with its own ways. The library keeps it until the program ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    voice: NonNull<ffi::Voice>,
    duration: f32,
    pitch_hz: f32,
    range_hz: f32,
    /// The voice's model without the melody that it took from a speaker as a whole, which heeds no
    /// pitch; if it has such a melody.
    plain: Option<NonNull<ffi::Model>>,
}

/// What the C callback works on, lent to it for the time of one utterance.
struct Lent<'u, 's, 'l> {
    utterance: &'u Utterance,
    sound: &'s mut Sound<'l>,
    begun: bool,
    /// The rate of the sound if it is not the one that was promised.
    wrong_rate: Option<c_int>,
}

impl Flite {
    pub(crate) fn start() -> Self {
        // SAFETY: called once, before any other call.
        unsafe { ffi::flite_init() };
        Self { _not_send: PhantomData }
    }

    /// Loads a voice; its data is mapped, so this is quick.
    pub(crate) fn load(&self, model: Model) -> Option<Loaded> {
        let register = match model {
            Model::Slt => ffi::register_cmu_us_slt,
            Model::Rms => ffi::register_cmu_us_rms,
            Model::Awb => ffi::register_cmu_us_awb,
            Model::Kal16 => ffi::register_cmu_us_kal16,
        };
        // SAFETY: a null folder means the data linked in.
        let voice = NonNull::new(unsafe { register(ptr::null()) })?;
        // SAFETY: a registered voice is whole and stays; names are zero-terminated.
        unsafe {
            let features = voice.as_ref().features;
            let own =
                |name: &CStr, usual| ffi::flite_get_param_float(features, name.as_ptr(), usual);
            let model = ffi::flite_get_param_val(features, c"cg_db".as_ptr(), ptr::null_mut());
            // The statistical voices keep their pitch elsewhere.
            let model = if model.is_null() { None } else { ffi::val_cg_db(model).as_ref() };
            let (pitch, range) =
                model.map_or((100.0, 12.0), |model| (model.f0_mean, model.f0_stddev));
            let melodious = model.filter(|model| model.spamf0 != 0 && model.freeable == 0);
            let plain = melodious.map(|model| {
                let mut plain = *model;
                plain.spamf0 = 0;
                // Voices stay until the end, and so do their few models.
                NonNull::from(Box::leak(Box::new(plain)))
            });
            Some(Loaded {
                voice,
                duration: own(c"duration_stretch", 1.0),
                pitch_hz: own(c"int_f0_target_mean", pitch),
                range_hz: own(c"int_f0_target_stddev", range),
                plain,
            })
        }
    }

    /// Speaks one utterance into `sound`, block by block as it is made.
    pub(crate) fn speak(
        &self,
        voice: Loaded,
        manner: Manner,
        utterance: &Utterance,
        sound: &mut Sound<'_>,
    ) -> Result<(), String> {
        if utterance.tokens.is_empty() {
            sound.begin(utterance, &Times::default());
            return Ok(());
        }
        let mut lent = Lent { utterance, sound, begun: false, wrong_rate: None };
        // SAFETY: the utterance is made, filled and deleted here. `flite_do_synth` deletes it itself
        // when it answers null. `lent` outlives the call, and nothing else touches it meanwhile.
        let spoken = unsafe {
            let made = ffi::new_utterance();
            fill(made, voice, manner, &utterance.tokens);
            let info = ffi::new_audio_streaming_info();
            (*info).min_buffsize = c_int::try_from(BLOCK_SAMPLES).unwrap_or(0);
            (*info).asc = Some(on_block);
            (*info).userdata = (&raw mut lent).cast();
            let value = ffi::audio_streaming_info_val(info);
            // With the utterance goes its value, and with that the info.
            ffi::flite_feat_set((*made).features, c"streaming_info".as_ptr(), value);
            let spoken = ffi::flite_do_synth(made, voice.voice.as_ptr(), ffi::utt_synth_tokens);
            if !spoken.is_null() {
                ffi::delete_utterance(spoken);
            }
            !spoken.is_null()
        };
        match lent.wrong_rate {
            Some(rate) => Err(format!("the voice has {rate} samples a second, not {RATE_HZ}")),
            None if !spoken => Err("flite does not speak this".into()),
            None => {
                if !lent.begun {
                    lent.sound.begin(utterance, &Times::default());
                }
                Ok(())
            }
        }
    }
}

/// Puts the words and the manner into a new utterance. What is the voice's own way is left alone.
///
/// # Safety
/// `made` is a whole utterance.
unsafe fn fill(made: *mut ffi::Utterance, voice: Loaded, manner: Manner, tokens: &[Token]) {
    // SAFETY: the names of features are kept by the library as pointers and live as long as the
    // program; values are copied.
    unsafe {
        let features = (*made).features;
        let set = |name: &'static CStr, value| {
            ffi::flite_feat_set_float(features, name.as_ptr(), value);
        };
        if (manner.duration - 1.0).abs() > f32::EPSILON {
            set(c"duration_stretch", voice.duration * manner.duration);
        }
        if (manner.pitch - 1.0).abs() > f32::EPSILON || (manner.range - 1.0).abs() > f32::EPSILON {
            set(c"int_f0_target_mean", voice.pitch_hz * manner.pitch);
            set(c"int_f0_target_stddev", voice.range_hz * manner.pitch * manner.range);
            if let Some(plain) = voice.plain {
                // It says that it is not to be freed.
                let value = ffi::cg_db_val(plain.as_ptr());
                ffi::flite_feat_set(features, c"cg_db".as_ptr(), value);
            }
        }
        let relation = ffi::utt_relation_create(made, c"Token".as_ptr());
        for token in tokens {
            let item = ffi::relation_append(relation, ptr::null_mut());
            let set = |name: &'static CStr, value: &str| {
                // A token has no zero in it.
                let value = CString::new(value).unwrap_or_default();
                ffi::item_set_string(item, name.as_ptr(), value.as_ptr());
            };
            set(c"name", &token.name);
            set(c"whitespace", " ");
            set(c"prepunctuation", &token.before);
            set(c"punc", &token.after);
        }
    }
}

extern "C" fn on_block(
    wave: *const ffi::Wave,
    start: c_int,
    size: c_int,
    _last: c_int,
    info: *mut ffi::StreamingInfo,
) -> c_int {
    // SAFETY: the library gives its wave and the info that `speak` made, whose `userdata` is the
    // `Lent` on the stack of `speak`, used by nobody else until this returns.
    let (wave, info, lent) = unsafe {
        let lent: *mut Lent<'_, '_, '_> = (*info).userdata.cast();
        (&*wave, &*info, &mut *lent)
    };
    if u32::try_from(wave.sample_rate) != Ok(RATE_HZ) {
        lent.wrong_rate = Some(wave.sample_rate);
        return ffi::STREAM_STOP;
    }
    if !lent.begun {
        lent.begun = true;
        // SAFETY: the library set the utterance before its first block.
        let times = unsafe { times(info.utt) };
        lent.sound.begin(lent.utterance, &times);
    }
    let (Ok(start), Ok(size)) = (usize::try_from(start), usize::try_from(size)) else {
        return ffi::STREAM_STOP;
    };
    let samples = if size == 0 || wave.samples.is_null() {
        &[][..]
    } else {
        // SAFETY: the library says that so many samples of its wave are made.
        unsafe { slice::from_raw_parts(wave.samples.add(start), size) }
    };
    match lent.sound.take(samples) {
        Then::Continue => ffi::STREAM_CONTINUE,
        Then::Stop => ffi::STREAM_STOP,
    }
}

/// When the words of an utterance are heard.
///
/// # Safety
/// `utterance` is null, or whole and its segments have their times.
unsafe fn times(utterance: *const ffi::Utterance) -> Times {
    let mut times = Times::default();
    if utterance.is_null() {
        return times;
    }
    // SAFETY: the library's items end with null, which its functions take too; the relations were
    // made by `fill` and by the library before it made sound. Paths are zero-terminated.
    unsafe {
        let mut token = ffi::relation_head(ffi::utt_relation(utterance, c"Token".as_ptr()));
        while !token.is_null() && times.words.len() < LIST_MAX {
            times.words.push(begin_of(token));
            token = ffi::item_next(token);
        }
        let segments = ffi::utt_relation(utterance, c"Segment".as_ptr());
        let (first, last) = (ffi::relation_head(segments), ffi::relation_tail(segments));
        // Silence stands at both ends.
        times.sounding = ffi::flite_ffeature_float(first, c"end".as_ptr())
            ..ffi::flite_ffeature_float(last, c"p.end".as_ptr());
    }
    times
}

/// When the first part of a token that is heard begins.
///
/// # Safety
/// `token` is an item of the relation `Token`.
unsafe fn begin_of(token: *const ffi::Item) -> Option<f32> {
    const BEGIN: &CStr = c"R:SylStructure.daughter1.daughter1.R:Segment.p.end";
    // SAFETY: as in `times`. A path that leads nowhere gives 0, where the first silence is.
    unsafe {
        let mut word = ffi::item_daughter(token);
        for _ in 0..LIST_MAX {
            if word.is_null() {
                break;
            }
            let begin = ffi::flite_ffeature_float(word, BEGIN.as_ptr());
            if begin > 0.0 {
                return Some(begin);
            }
            word = ffi::item_next(word);
        }
    }
    None
}

/// The part of flite's headers (2.2) that is used here.
mod ffi {
    #[cfg(target_pointer_width = "64")]
    const _: () = assert!(size_of::<Model>() == 280 && std::mem::offset_of!(Model, spamf0) == 240);

    use std::ffi::{c_char, c_float, c_short};

    use super::{c_int, c_void};

    pub(super) const STREAM_STOP: c_int = -1;
    pub(super) const STREAM_CONTINUE: c_int = 0;

    /// What is only ever pointed at.
    macro_rules! opaque {
        ($($name:ident)*) => { $(
            #[repr(C)]
            pub(super) struct $name {
                _private: [u8; 0],
            }
        )* };
    }
    opaque!(Features Relation Item Value);

    /// `cst_utterance`.
    #[repr(C)]
    pub(super) struct Utterance {
        pub(super) features: *mut Features,
        functions: *mut Features,
        relations: *mut Features,
        context: *mut c_void,
    }

    /// `cst_voice`.
    #[repr(C)]
    #[derive(Debug)]
    pub(super) struct Voice {
        name: *const c_char,
        pub(super) features: *mut Features,
        functions: *mut Features,
        init: *mut c_void,
    }

    /// `cst_wave`.
    #[repr(C)]
    pub(super) struct Wave {
        kind: *const c_char,
        pub(super) sample_rate: c_int,
        num_samples: c_int,
        num_channels: c_int,
        pub(super) samples: *mut c_short,
    }

    /// `cst_cg_db`, what a statistical voice has learnt.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(super) struct Model {
        name: *const c_char,
        types: *const c_void,
        num_types: c_int,
        sample_rate: c_int,
        pub(super) f0_mean: c_float,
        pub(super) f0_stddev: c_float,
        num_f0_models: c_int,
        f0_trees: *const c_void,
        num_param_models: c_int,
        param_trees: *const c_void,
        spamf0_trees: [*const c_void; 2],
        num_channels: *const c_int,
        num_frames: *const c_int,
        model_vectors: *const c_void,
        nums_spamf0_accent: [c_int; 2],
        spamf0_accent_vectors: *const c_void,
        model_min: *const c_float,
        model_range: *const c_float,
        qtable: *const c_void,
        model_shape: c_int,
        frame_advance: c_float,
        num_dur_models: c_int,
        dur_stats: *const c_void,
        dur_cart: *const c_void,
        phone_states: *const c_void,
        do_mlpg: c_int,
        dynwin: *const c_float,
        dynwinsize: c_int,
        mlsa: [c_float; 2],
        multimodel: c_int,
        mixed_excitation: c_int,
        excitation: [c_int; 2],
        excitation_filters: *const c_void,
        pub(super) spamf0: c_int,
        gain: c_float,
        phoneset: *const c_void,
        maps: [*const c_void; 2],
        pub(super) freeable: c_int,
    }

    /// `cst_audio_streaming_info`.
    #[repr(C)]
    pub(super) struct StreamingInfo {
        pub(super) min_buffsize: c_int,
        pub(super) asc: Option<StreamCallback>,
        pub(super) utt: *const Utterance,
        item: *const Item,
        pub(super) userdata: *mut c_void,
    }

    pub(super) type StreamCallback =
        extern "C" fn(*const Wave, c_int, c_int, c_int, *mut StreamingInfo) -> c_int;
    type Synthesis = unsafe extern "C" fn(*mut Utterance) -> *mut Utterance;

    #[link(name = "flite_cmu_us_slt")]
    unsafe extern "C" {
        pub(super) fn register_cmu_us_slt(folder: *const c_char) -> *mut Voice;
    }
    #[link(name = "flite_cmu_us_rms")]
    unsafe extern "C" {
        pub(super) fn register_cmu_us_rms(folder: *const c_char) -> *mut Voice;
    }
    #[link(name = "flite_cmu_us_awb")]
    unsafe extern "C" {
        pub(super) fn register_cmu_us_awb(folder: *const c_char) -> *mut Voice;
    }
    #[link(name = "flite_cmu_us_kal16")]
    unsafe extern "C" {
        pub(super) fn register_cmu_us_kal16(folder: *const c_char) -> *mut Voice;
    }

    #[link(name = "flite")]
    unsafe extern "C" {
        pub(super) fn flite_init() -> c_int;
        pub(super) fn flite_do_synth(
            utterance: *mut Utterance,
            voice: *mut Voice,
            synthesis: Synthesis,
        ) -> *mut Utterance;
        pub(super) fn utt_synth_tokens(utterance: *mut Utterance) -> *mut Utterance;
        pub(super) fn new_utterance() -> *mut Utterance;
        pub(super) fn delete_utterance(utterance: *mut Utterance);
        pub(super) fn utt_relation(
            utterance: *const Utterance,
            name: *const c_char,
        ) -> *mut Relation;
        pub(super) fn utt_relation_create(
            utterance: *mut Utterance,
            name: *const c_char,
        ) -> *mut Relation;
        pub(super) fn relation_head(relation: *const Relation) -> *mut Item;
        pub(super) fn relation_tail(relation: *const Relation) -> *mut Item;
        pub(super) fn relation_append(relation: *mut Relation, item: *mut Item) -> *mut Item;
        pub(super) fn item_next(item: *const Item) -> *mut Item;
        pub(super) fn item_daughter(item: *const Item) -> *mut Item;
        pub(super) fn item_set_string(item: *const Item, name: *const c_char, value: *const c_char);
        pub(super) fn flite_ffeature_float(item: *const Item, path: *const c_char) -> c_float;
        pub(super) fn flite_get_param_float(
            features: *const Features,
            name: *const c_char,
            usual: c_float,
        ) -> c_float;
        pub(super) fn flite_get_param_val(
            features: *const Features,
            name: *const c_char,
            usual: *mut Value,
        ) -> *const Value;
        pub(super) fn flite_feat_set(
            features: *mut Features,
            name: *const c_char,
            value: *const Value,
        );
        pub(super) fn flite_feat_set_float(
            features: *mut Features,
            name: *const c_char,
            value: c_float,
        );
        pub(super) fn val_cg_db(value: *const Value) -> *const Model;
        pub(super) fn cg_db_val(model: *const Model) -> *mut Value;
        pub(super) fn new_audio_streaming_info() -> *mut StreamingInfo;
        pub(super) fn audio_streaming_info_val(info: *const StreamingInfo) -> *mut Value;
    }
}
