//! Bodies for fuzzing; a test replays the committed corpus through them.

use crate::document::{Defaults, Document, Run, RunPiece, Segment, Style};
use crate::lexicon::{ADDED_BYTES_MAX, ENTRIES_MAX, Lexicon, pronounce};
use crate::read::{DEPTH_MAX, PIECES_MAX, parse};

/// Any bytes: no panic, and what comes out keeps the limits.
pub fn ssml(data: &[u8]) {
    if let Ok(document) = parse(data, &Defaults::default()) {
        let shown = document.to_string();
        assert!(shown.starts_with("document "));
        let mut pieces = 0;
        count(&document.segments, 0, &mut pieces);
        assert!(pieces <= PIECES_MAX, "{pieces} pieces");
        let again: Document = document.clone();
        assert_eq!(again.segments.len(), document.segments.len());
    }
}

/// Any bytes as a lexicon, used on themselves: no panic, and the limits hold.
pub fn lexicon(data: &[u8]) {
    let Ok(lexicon) = Lexicon::parse(data, None) else { return };
    assert!(lexicon.len() <= ENTRIES_MAX);
    let language = lexicon.language().unwrap_or("en").to_owned();
    let text = String::from_utf8_lossy(data).into_owned();
    let style = Style { language, ..Style::default() };
    let run = Run { pieces: vec![RunPiece::Text(text.clone())], style, joined: false };
    let said = pronounce(&run, &[&lexicon]);
    let bytes: usize = said.pieces.iter().map(bytes_of).sum();
    assert!(bytes <= text.len() + 2 * ADDED_BYTES_MAX, "{bytes} bytes");
    let stays = said.pieces == run.pieces;
    assert!(stays || !lexicon.is_empty());
}

fn bytes_of(piece: &RunPiece) -> usize {
    match piece {
        RunPiece::Text(text) => text.len(),
        RunPiece::Phoneme { alphabet, ph, text } => alphabet.len() + ph.len() + text.len(),
        RunPiece::Mark(_)
        | RunPiece::SentenceStart
        | RunPiece::ParagraphStart
        | RunPiece::Emphasis(_) => 0,
    }
}

fn count(segments: &[Segment], depth: usize, pieces: &mut usize) {
    assert!(depth <= DEPTH_MAX);
    for segment in segments {
        match segment {
            Segment::Speech(run) => {
                *pieces += run.pieces.len();
                assert!(!run.pieces.is_empty());
            }
            Segment::Silence(span) => assert!(!span.is_zero()),
            Segment::Mark(name) => assert!(!name.is_empty()),
            Segment::Audio(audio) => count(&audio.fallback, depth + 1, pieces),
        }
    }
}
