use rtp::Ptime;

use crate::stream::Stream;

/// How many ticks ahead a resting stream looks for a slot that begins sooner than its own.
const SOON_TICKS: u64 = 5;

/// Streams by the tick in which they send: for each packet time a wheel with a slot per millisecond.
///
/// A stream takes the emptiest slot and keeps it while it is heard, so that its packets stay evenly
/// apart and the ticks evenly full.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// By [`Ptime::index`].
    rims: Box<[Rim]>,
    /// By stream index.
    places: Box<[Option<Place>]>,
    len: usize,
}

#[derive(Debug)]
#[expect(
    clippy::vec_box,
    reason = "streams come and go as boxes: a tick moves them and frees none"
)]
struct Rim {
    slots: Box<[Vec<Box<Stream>>]>,
}

/// Where a stream is.
#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    ptime: Ptime,
    slot: usize,
    position: usize,
}

impl Wheel {
    /// A wheel for `streams_max` streams, which never allocates again.
    pub(crate) fn new(streams_max: usize) -> Self {
        let rim = |ptime: Ptime| {
            let slots = usize::try_from(ptime.ms()).unwrap_or(1);
            // The emptiest slot is never above the mean; those that begin soon are hardly above.
            let mean = streams_max / slots + 1;
            let capacity = mean + mean / 8 + 2;
            Rim { slots: (0..slots).map(|_| Vec::with_capacity(capacity)).collect() }
        };
        Self {
            rims: Ptime::ALL.into_iter().map(rim).collect(),
            places: vec![None; streams_max].into(),
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The streams of one packet time that send in `tick`.
    pub(crate) fn slot(&mut self, ptime: Ptime, tick: u64) -> &mut [Box<Stream>] {
        let Some(rim) = self.rims.get_mut(ptime.index()) else { return &mut [] };
        let slot = slot_of(ptime, tick);
        rim.slots.get_mut(slot).map_or(&mut [], Vec::as_mut_slice)
    }

    pub(crate) fn get(&mut self, index: u32, generation: u32) -> Option<&mut Stream> {
        let place = self.place(index, generation)?;
        let slots = &mut self.rims.get_mut(place.ptime.index())?.slots;
        slots.get_mut(place.slot)?.get_mut(place.position).map(|stream| &mut **stream)
    }

    /// Puts a stream into the emptiest slot; gives it back if it cannot be kept.
    pub(crate) fn add(&mut self, stream: Box<Stream>) -> Result<(), Box<Stream>> {
        let Some(slot) = self.emptiest(stream.ptime()) else { return Err(stream) };
        self.put(stream, slot)
    }

    pub(crate) fn remove(&mut self, index: u32, generation: u32) -> Option<Box<Stream>> {
        let place = self.place(index, generation)?;
        let slot = self.rims.get_mut(place.ptime.index())?.slots.get_mut(place.slot)?;
        if place.position >= slot.len() {
            return None;
        }
        let stream = slot.swap_remove(place.position);
        // The last one of the slot has moved into the gap.
        if let Some(moved) = slot.get(place.position)
            && let Some(Some(kept)) = self.places.get_mut(number(moved.key().index))
        {
            kept.position = place.position;
        }
        *self.places.get_mut(number(index))? = None;
        self.len -= 1;
        Some(stream)
    }

    /// Any stream that is still there, for the end of the engine.
    pub(crate) fn any(&self) -> Option<(u32, u32)> {
        let mut slots = self.rims.iter().flat_map(|rim| rim.slots.iter());
        let stream = slots.find_map(|slot| slot.last())?;
        Some((stream.key().index, stream.key().generation))
    }

    /// Gives a resting stream a slot that begins soon, if one is about as empty as the emptiest;
    /// and one whose packet time has changed a slot of that.
    pub(crate) fn hasten(&mut self, index: u32, generation: u32, next: u64) {
        let Some(place) = self.place(index, generation) else { return };
        let Some(stream) = self.get(index, generation) else { return };
        let (ptime, resting) = (stream.ptime(), stream.is_resting());
        let first = next.max(stream.next_tick());
        if ptime == place.ptime && !resting {
            return;
        }
        let (Some(rim), Some(emptiest)) = (self.rims.get(ptime.index()), self.emptiest(ptime))
        else {
            return;
        };
        let count = |slot: usize| rim.slots.get(slot).map_or(usize::MAX, Vec::len);
        let enough = count(emptiest) + count(emptiest) / 8 + 1;
        let soon = (first..first + SOON_TICKS.min(u64::from(ptime.ms())))
            .map(|tick| slot_of(ptime, tick))
            .min_by_key(|&slot| count(slot))
            .filter(|&slot| count(slot) <= enough);
        let Some(slot) = soon.or_else(|| (ptime != place.ptime).then_some(emptiest)) else {
            return;
        };
        if (ptime, slot) == (place.ptime, place.slot) || is_full(rim, slot) {
            return;
        }
        if let Some(stream) = self.remove(index, generation) {
            // There is room: it was looked for just now.
            let _put = self.put(stream, slot);
        }
    }

    fn put(&mut self, stream: Box<Stream>, slot: usize) -> Result<(), Box<Stream>> {
        let (key, ptime) = (stream.key(), stream.ptime());
        let room = self.rims.get_mut(ptime.index()).and_then(|rim| rim.slots.get_mut(slot));
        let (Some(slots), Some(place)) = (room, self.places.get_mut(number(key.index))) else {
            return Err(stream);
        };
        if slots.len() == slots.capacity() || place.is_some() {
            return Err(stream);
        }
        let position = slots.len();
        *place = Some(Place { generation: key.generation, ptime, slot, position });
        slots.push(stream);
        self.len += 1;
        Ok(())
    }

    fn emptiest(&self, ptime: Ptime) -> Option<usize> {
        let slots = &self.rims.get(ptime.index())?.slots;
        slots.iter().enumerate().min_by_key(|(_, slot)| slot.len()).map(|(n, _)| n)
    }

    fn place(&self, index: u32, generation: u32) -> Option<Place> {
        let place = (*self.places.get(number(index))?)?;
        (place.generation == generation).then_some(place)
    }
}

fn is_full(rim: &Rim, slot: usize) -> bool {
    rim.slots.get(slot).is_none_or(|slot| slot.len() == slot.capacity())
}

fn slot_of(ptime: Ptime, tick: u64) -> usize {
    usize::try_from(tick % u64::from(ptime.ms())).unwrap_or(0)
}

fn number(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}
