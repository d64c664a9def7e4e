use std::sync::Arc;

use audio::wav;

/// The music that comes with the program: a loop without a seam, for the fallback.
pub fn hold_music() -> Arc<[i16]> {
    const FILE: &[u8] = include_bytes!("../assets/hold-music.wav");
    // The test below reads this very file.
    wav::read(FILE).map(|file| file.samples()).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hold_music_is_telephone_audio_that_is_heard_and_has_no_seam() {
        let music = hold_music();
        assert!(music.len() > 10 * 8_000);
        assert!((-30.0..-10.0).contains(&audio::measure::rms_dbfs(&music)));
        let step = |a: i16, b: i16| (i32::from(b) - i32::from(a)).abs();
        let steepest = music.windows(2).map(|pair| step(pair[0], pair[1])).max().unwrap();
        assert!(step(*music.last().unwrap(), *music.first().unwrap()) <= steepest);
        let mut seconds = music.chunks(8_000);
        assert!(seconds.all(|second| audio::measure::rms_dbfs(second) > -60.0));
    }
}
