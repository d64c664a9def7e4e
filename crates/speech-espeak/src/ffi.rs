//! The part of `espeak-ng/speak_lib.h` (API revision 12) that is used here.
#![expect(unsafe_code, reason = "declares the functions of a C library")]

use std::ffi::{c_char, c_int, c_short, c_uchar, c_uint, c_void};

pub(crate) const AUDIO_OUTPUT_SYNCHRONOUS: c_int = 2;
pub(crate) const INITIALIZE_DONT_EXIT: c_int = 0x8000;

pub(crate) const EE_OK: c_int = 0;

pub(crate) const CHARS_UTF8: c_uint = 1;
pub(crate) const SSML: c_uint = 0x10;
pub(crate) const ENDPAUSE: c_uint = 0x1000;
pub(crate) const POS_CHARACTER: c_int = 1;

pub(crate) const RATE: c_int = 1;
pub(crate) const VOLUME: c_int = 2;
pub(crate) const PITCH: c_int = 3;
pub(crate) const RANGE: c_int = 4;

pub(crate) const EVENT_LIST_TERMINATED: c_int = 0;
pub(crate) const EVENT_WORD: c_int = 1;
pub(crate) const EVENT_SENTENCE: c_int = 2;
pub(crate) const EVENT_MARK: c_int = 3;

/// `espeak_EVENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) kind: c_int,
    pub(crate) unique_identifier: c_uint,
    pub(crate) text_position: c_int,
    pub(crate) length: c_int,
    pub(crate) audio_position: c_int,
    pub(crate) sample: c_int,
    pub(crate) user_data: *mut c_void,
    pub(crate) id: EventId,
}

/// The union at the end of `espeak_EVENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union EventId {
    pub(crate) number: c_int,
    pub(crate) name: *const c_char,
    pub(crate) string: [c_char; 8],
}

/// `espeak_VOICE`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Voice {
    pub(crate) name: *const c_char,
    pub(crate) languages: *const c_char,
    pub(crate) identifier: *const c_char,
    pub(crate) gender: c_uchar,
    pub(crate) age: c_uchar,
    pub(crate) variant: c_uchar,
    pub(crate) xx1: c_uchar,
    pub(crate) score: c_int,
    pub(crate) spare: *mut c_void,
}

pub(crate) type SynthCallback = extern "C" fn(*mut c_short, c_int, *mut Event) -> c_int;

#[link(name = "espeak-ng")]
unsafe extern "C" {
    pub(crate) fn espeak_Initialize(
        output: c_int,
        buffer_ms: c_int,
        path: *const c_char,
        options: c_int,
    ) -> c_int;
    pub(crate) fn espeak_SetSynthCallback(callback: SynthCallback);
    pub(crate) fn espeak_SetVoiceByName(name: *const c_char) -> c_int;
    pub(crate) fn espeak_SetParameter(parameter: c_int, value: c_int, relative: c_int) -> c_int;
    pub(crate) fn espeak_ListVoices(spec: *mut Voice) -> *const *const Voice;
    pub(crate) fn espeak_Synth(
        text: *const c_void,
        size: usize,
        position: c_uint,
        position_type: c_int,
        end_position: c_uint,
        flags: c_uint,
        unique_identifier: *mut c_uint,
        user_data: *mut c_void,
    ) -> c_int;
}
