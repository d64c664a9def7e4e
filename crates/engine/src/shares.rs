//! Live audio, encoded once for all who hear it alike.

use std::sync::Arc;

use audio::live::{Ring, UNIT_SAMPLES, Unit};
use audio::{Gain, Law, Limiter, g711};

/// Ways of hearing live sources (source, law, gain) that are shared on one engine; whoever comes
/// after them encodes for itself.
pub(crate) const SHARES_MAX: usize = 256;

/// Units each share keeps: all that streams in different slots may still want of the past.
const UNITS: usize = 16;

/// No unit of a clock that started at boot.
const NO_UNIT: u64 = u64::MAX;

pub(crate) type Encoded = [u8; UNIT_SAMPLES];

/// One listener's hold on a share; given back by [`Shares::leave`].
#[derive(Debug)]
pub(crate) struct Hold(usize);

#[derive(Debug)]
pub(crate) struct Shares {
    /// The first is nobody's: its units are never kept.
    shares: Box<[Share]>,
    taken: usize,
    /// No share above this one was ever taken.
    highest: usize,
    /// Units encoded since the start.
    pub(crate) encoded: u64,
}

#[derive(Debug)]
struct Share {
    /// The ring's address: no other ring can have it while a listener holds this one.
    ring: usize,
    law: Law,
    gain: Gain,
    listeners: u32,
    limiter: Limiter,
    units: [(u64, Encoded); UNITS],
}

impl Share {
    fn nobodys() -> Self {
        Self {
            ring: 0,
            law: Law::Mu,
            gain: Gain::UNITY,
            listeners: 0,
            limiter: Limiter::new(Gain::UNITY),
            units: [(NO_UNIT, [0; UNIT_SAMPLES]); UNITS],
        }
    }
}

impl Shares {
    pub(crate) fn new() -> Self {
        let shares = (0..=SHARES_MAX).map(|_| Share::nobodys()).collect();
        Self { shares, taken: 0, highest: 0, encoded: 0 }
    }

    /// Shares in use.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// Joins those who hear `ring` in this way, or begins a new share.
    pub(crate) fn join(&mut self, ring: &Arc<Ring>, law: Law, gain: Gain) -> Hold {
        let address = Arc::as_ptr(ring).addr();
        let (mut free, mut found) = (0, None);
        for (n, share) in self.shares.iter().enumerate().skip(1) {
            if share.listeners == 0 {
                free = if free == 0 { n } else { free };
                if n > self.highest {
                    break;
                }
            } else if (share.ring, share.law, share.gain) == (address, law, gain) {
                found = Some(n);
                break;
            }
        }
        let place = found.unwrap_or(free);
        let Some(share) = self.shares.get_mut(place) else { return Hold(0) };
        if found.is_none() {
            share.ring = address;
            share.law = law;
            share.gain = gain;
            share.limiter = Limiter::new(gain);
            share.units.iter_mut().for_each(|unit| unit.0 = NO_UNIT);
            self.taken += usize::from(place != 0);
            self.highest = self.highest.max(place);
        }
        share.listeners += 1;
        Hold(place)
    }

    /// Gives a hold back.
    pub(crate) fn leave(&mut self, hold: &Hold) {
        let Some(share) = self.shares.get_mut(hold.0) else { return };
        share.listeners = share.listeners.saturating_sub(1);
        if share.listeners == 0 && hold.0 != 0 {
            self.taken -= 1;
        }
    }

    /// The unit as this share's listeners hear it; `None` when it is not there.
    pub(crate) fn unit(
        &mut self,
        hold: &Hold,
        ring: &Arc<Ring>,
        (law, gain): (Law, Gain),
        unit: u64,
    ) -> Option<&Encoded> {
        let share = self.shares.get_mut(hold.0)?;
        let slot = usize::try_from(unit % UNITS as u64).ok()?;
        let (kept, codes) = share.units.get_mut(slot)?;
        if *kept != unit || hold.0 == 0 {
            let mut samples: Unit = [0; UNIT_SAMPLES];
            if !ring.read(unit, &mut samples) {
                return None;
            }
            if hold.0 == 0 {
                gain.apply(&mut samples);
            } else {
                share.limiter.apply(&mut samples);
            }
            g711::encode(law, &samples, codes);
            *kept = unit;
            self.encoded += 1;
        }
        Some(codes)
    }
}
