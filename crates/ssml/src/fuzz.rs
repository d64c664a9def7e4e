//! Bodies for fuzzing; a test replays the committed corpus through them.

use crate::document::{Defaults, Document, Segment};
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
