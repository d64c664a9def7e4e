use std::fmt;

use crate::document::{Audio, Document, Pitch, Run, RunPiece, Segment, Style};

/// A blueprint a person can read: everything but the words.
impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "document {}", self.language)?;
        segments(f, &self.segments, 1)?;
        for uri in &self.lexicons {
            writeln!(f, "  lexicon {uri}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note line {}: {}", note.line, note.what)?;
        }
        Ok(())
    }
}

fn segments(f: &mut fmt::Formatter<'_>, list: &[Segment], depth: usize) -> fmt::Result {
    for segment in list {
        write!(f, "{:1$}", "", depth * 2)?;
        match segment {
            Segment::Speech(run) => speech(f, run)?,
            Segment::Silence(span) => writeln!(f, "silence {} ms", span.as_millis())?,
            Segment::Mark(name) => writeln!(f, "mark {name:?}")?,
            Segment::Audio(audio) => audio_line(f, audio, depth)?,
        }
    }
    Ok(())
}

fn speech(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    write!(f, "speech {}", run.words())?;
    f.write_str(if run.words() == 1 { " word" } else { " words" })?;
    style(f, &run.style)?;
    for piece in &run.pieces {
        match piece {
            RunPiece::Text(_) => f.write_str(" …")?,
            RunPiece::Phoneme { alphabet, .. } => write!(f, " …({alphabet})")?,
            RunPiece::Mark(name) => write!(f, " mark {name:?}")?,
            RunPiece::SentenceStart => f.write_str(" |s")?,
            RunPiece::ParagraphStart => f.write_str(" |p")?,
            RunPiece::Emphasis(level) => write!(f, " emphasis {level:?}")?,
        }
    }
    writeln!(f)
}

fn style(f: &mut fmt::Formatter<'_>, style: &Style) -> fmt::Result {
    write!(f, " [{}", style.language)?;
    let voice = &style.voice;
    for name in &voice.names {
        write!(f, " voice {name:?}")?;
    }
    for language in &voice.languages {
        write!(f, " voice-language {language}")?;
    }
    if let Some(gender) = voice.gender {
        write!(f, " {gender:?}")?;
    }
    if let Some(age) = voice.age {
        write!(f, " age {age}")?;
    }
    if let Some(variant) = voice.variant {
        write!(f, " variant {variant}")?;
    }
    if differs(style.rate, 1.0) {
        write!(f, " rate {:.2}", style.rate)?;
    }
    match style.pitch {
        Pitch::Times(times) if differs(times, 1.0) => write!(f, " pitch x{times:.2}")?,
        Pitch::Times(_) => {}
        Pitch::Hertz(hertz) => write!(f, " pitch {hertz:.0} Hz")?,
    }
    if differs(style.range, 1.0) {
        write!(f, " range {:.2}", style.range)?;
    }
    if differs(style.volume_db, 0.0) {
        write!(f, " volume {:+.1} dB", style.volume_db)?;
    }
    f.write_str("]")
}

fn audio_line(f: &mut fmt::Formatter<'_>, audio: &Audio, depth: usize) -> fmt::Result {
    write!(f, "audio {}", audio.src)?;
    if !audio.clip_begin.is_zero() {
        write!(f, " from {} ms", audio.clip_begin.as_millis())?;
    }
    if let Some(end) = audio.clip_end {
        write!(f, " to {} ms", end.as_millis())?;
    }
    if differs(audio.repeat_count, 1.0) {
        write!(f, " x{}", audio.repeat_count)?;
    }
    if let Some(span) = audio.repeat_for {
        write!(f, " for {} ms", span.as_millis())?;
    }
    if differs(audio.speed, 1.0) {
        write!(f, " speed {:.2}", audio.speed)?;
    }
    if differs(audio.sound_level_db, 0.0) {
        write!(f, " level {:+.1} dB", audio.sound_level_db)?;
    }
    if let Some(span) = audio.fetch_timeout {
        write!(f, " fetch {} ms", span.as_millis())?;
    }
    style(f, &audio.style)?;
    if audio.fallback.is_empty() {
        writeln!(f)
    } else {
        writeln!(f, " else")?;
        segments(f, &audio.fallback, depth + 1)
    }
}

fn differs(one: f32, other: f32) -> bool {
    (one - other).abs() > 0.004
}
