//! When packing goes on, and when it makes room for those who wait.
//!
//! Pure: whoever asks says what time it is.

use std::time::{Duration, Instant};

/// Nobody waits who has not asked for so long.
const QUIET: Duration = Duration::from_millis(200);
/// Where somebody always waits, packing goes on for so long...
const TURN: Duration = Duration::from_millis(100);
/// ...after it has waited for so long: a fifth of the time is its own.
const PAUSE: Duration = Duration::from_millis(400);

/// Goes on while nobody waits, and for a fifth of the time where somebody always does.
#[derive(Debug)]
pub(super) struct Pace {
    last_asked: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nobody waits.
    Goes,
    /// It is its turn, from then on.
    HasTurn(Instant),
    /// Others have theirs, from then on.
    Waits(Instant),
}

impl Pace {
    pub(super) const fn new() -> Self {
        Self {
            last_asked: None,
            state: State::Goes,
        }
    }

    /// Whether packing may go on now, when somebody waits or nobody does.
    pub(super) fn may_go(&mut self, somebody_waits: bool, now: Instant) -> bool {
        if somebody_waits {
            self.last_asked = Some(now);
        }
        let is_quiet = self
            .last_asked
            .is_none_or(|asked| now.saturating_duration_since(asked) >= QUIET);
        let since = |then: Instant| now.saturating_duration_since(then);
        self.state = match self.state {
            _ if is_quiet => State::Goes,
            State::Goes => State::Waits(now),
            State::HasTurn(then) if since(then) >= TURN => State::Waits(now),
            State::Waits(then) if since(then) >= PAUSE => State::HasTurn(now),
            state => state,
        };
        !matches!(self.state, State::Waits(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(10);

    #[test]
    fn it_stops_at_once_for_somebody_and_goes_on_when_it_is_quiet() {
        let (mut pace, mut now) = (Pace::new(), Instant::now());
        assert!(pace.may_go(false, now));
        assert!(!pace.may_go(true, now));
        let mut ticks = 0;
        while !pace.may_go(false, now) {
            now += TICK;
            ticks += 1;
        }
        assert_eq!(ticks, 20);
        assert!(pace.may_go(false, now + TICK));
        assert!(!pace.may_go(true, now + TICK));
    }

    #[test]
    fn where_somebody_always_waits_a_fifth_of_the_time_is_its_own() {
        let (mut pace, start) = (Pace::new(), Instant::now());
        let mut turns = 0;
        for tick in 0..10_000 {
            // Some read now and then, none of them for long.
            turns += u32::from(pace.may_go(tick % 15 == 0, start + TICK * tick));
        }
        let share = f64::from(turns) / 1e4;
        assert!((0.19..0.23).contains(&share), "{share}");
    }
}
