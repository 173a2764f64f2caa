//! Runs schedules, shortens those that fail, and keeps those that once did.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use roomcast_metrics::{
    GapCause, IntCounter, Label, Metrics, ResumeOutcome, SlowAction, StateForm, StateReadOutcome,
};
use tokio::task::LocalSet;

use super::Climate;
use super::cases::CASES;
use super::reader::Tally;
use super::step::{Step, schedule};
use super::world::World;
use crate::config::Config;
use crate::settings::Settings;

/// Seeds of every run of the tests.
const SEEDS: u64 = 6_000;
/// Steps of one schedule.
const STEPS: usize = 400;

/// What all worlds share.
struct Stage {
    metrics: Metrics,
    /// By what slow members get, and whether a room keeps state.
    configs: [Config; 4],
}

impl Stage {
    fn new() -> Self {
        quiet_panics();
        let config = |settings: &[&str]| Config::from_settings(settings).unwrap();
        let (conflate, state) = ("namespaces.default.slow=conflate", "namespaces.kept.state=true");
        Self {
            metrics: Metrics::new(),
            configs: [
                config(&[]),
                config(&[conflate]),
                config(&[state]),
                config(&[conflate, state]),
            ],
        }
    }

    fn settings(&self, climate: Climate) -> Arc<Settings> {
        let (conflate, state) = (climate.conflate, climate.keeps_state());
        let config = &self.configs[usize::from(conflate) + 2 * usize::from(state)];
        let mut settings = Settings::new(config, 1000, &self.metrics);
        (settings.limits.lag_bytes, settings.limits.log_bytes) = (climate.lag, climate.budget);
        Arc::new(settings)
    }

    /// Plays a schedule to the end; what went wrong, if anything.
    fn play(&self, climate: Climate, steps: &[Step]) -> Result<Tally, String> {
        let local = LocalSet::new();
        let _inside = local.enter();
        let mut world = World::new(climate, self.settings(climate), &self.metrics);
        HUSHED.set(true);
        let played = catch_unwind(AssertUnwindSafe(|| {
            for &step in steps {
                note(|| format!("    Step::{step:?},"));
                world.step(step);
            }
            note(|| "    // From here on all is well.".into());
            world.heal();
            world.check();
            world.end();
        }));
        HUSHED.set(false);
        if played.is_ok() {
            let mut all = Tally::default();
            for client in &world.clients {
                all.add(client.tally);
            }
            return Ok(all);
        }
        // Half-done steps have left it in a state in which nothing may run, not even its end.
        std::mem::forget(world);
        Err(SAID.take())
    }

    /// The shortest part of a schedule that still fails, with what it says.
    fn shorten(&self, climate: Climate, mut steps: Vec<Step>) -> (Vec<Step>, String) {
        let mut said = String::new();
        let mut size = steps.len();
        while size > 0 {
            let (mut at, before) = (0, steps.len());
            while at < steps.len() {
                let mut fewer = steps.clone();
                fewer.drain(at..(at + size).min(steps.len()));
                match self.play(climate, &fewer) {
                    Err(what) => (steps, said) = (fewer, what),
                    Ok(_) => at += size,
                }
            }
            if size > 1 || steps.len() == before {
                size /= 2;
            }
        }
        (steps, said)
    }

    /// A schedule with what everybody was told at each step.
    fn story(&self, climate: Climate, steps: &[Step]) -> String {
        STORY.set(Some(String::new()));
        let _again = self.play(climate, steps);
        STORY.take().unwrap_or_default()
    }

    /// Nothing that the nodes count has stayed at zero: the schedules come through all of it.
    fn check_variety(&self, tally: &Tally) {
        let Metrics { rooms, delivery, traffic, .. } = &self.metrics;
        let count = |name: &str, counter: &IntCounter| {
            println!("{name}: {}", counter.get());
            assert!(counter.get() > 0, "no schedule came to {name}");
        };
        GapCause::ALL.iter().for_each(|&cause| count(cause.as_str(), &rooms.gaps[cause]));
        ResumeOutcome::ALL.iter().for_each(|&way| count(way.as_str(), &rooms.resumes[way]));
        SlowAction::ALL.iter().for_each(|&action| count(action.as_str(), &delivery.slow[action]));
        count("hub_queue_full", &rooms.hub_queue_full);
        count("passes", &traffic.passes);
        StateForm::ALL.iter().for_each(|&form| count(form.as_str(), &rooms.state_served[form]));
        let reads = StateReadOutcome::ALL.iter();
        reads.for_each(|&outcome| count(outcome.as_str(), &rooms.state_reads[outcome]));
        count("state_ends", &rooms.state_ends);
        let Tally { conflated, snapshots, parts, cut, .. } = *tally;
        assert!([conflated, snapshots, parts, cut].iter().all(|&count| count > 0), "{tally:?}");
    }

    fn seed(&self, seed: u64) -> Result<Tally, String> {
        let mut dice = SmallRng::seed_from_u64(seed);
        let climate = Climate::draw(&mut dice);
        let steps = schedule(&mut dice, STEPS);
        self.play(climate, &steps).map_err(|first| {
            let (steps, said) = self.shorten(climate, steps);
            let story = self.story(climate, &steps);
            format!("seed {seed}: {first}\nshortest: {said}\n{climate:?}\n{story}")
        })
    }
}

/// Adds a line to the story, if one is written.
pub(super) fn note(line: impl FnOnce() -> String) {
    STORY.with_borrow_mut(|story| {
        if let Some(story) = story {
            // Long payloads are zeros.
            *story += &line().replace(&"0".repeat(50), "");
            story.push('\n');
        }
    });
}

thread_local! {
    static STORY: RefCell<Option<String>> = const { RefCell::new(None) };
    static HUSHED: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics in a hushed thread are kept, not printed.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if HUSHED.get() {
                SAID.set(info.to_string());
            } else {
                loud(info);
            }
        }));
    });
}

#[test]
fn whatever_happens_the_promises_hold() {
    let stage = Stage::new();
    let asked = std::env::var("ROOMCAST_SIMULATE").ok();
    let seeds = match asked.as_deref().map(|asked| asked.split_once("..").unwrap_or((asked, asked)))
    {
        Some((first, last)) => first.parse().unwrap()..=last.parse().unwrap(),
        None => 1..=SEEDS,
    };
    let mut all = Tally::default();
    let begun = std::time::Instant::now();
    for seed in seeds.clone() {
        match stage.seed(seed) {
            Ok(tally) => all.add(tally),
            Err(what) => panic!("{what}"),
        }
    }
    println!("{} schedules of {STEPS} steps: {all:?} in {:?}", seeds.count(), begun.elapsed());
    if asked.is_none() {
        stage.check_variety(&all);
    }
}

#[test]
fn what_once_went_wrong_does_not_again() {
    let stage = Stage::new();
    for (what, climate, steps) in CASES {
        if let Err(said) = stage.play(*climate, steps) {
            panic!("{what}: {said}\n{}", stage.story(*climate, steps));
        }
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let stage = Stage::new();
    for seed in 1..=300 {
        let mut dice = SmallRng::seed_from_u64(seed);
        let climate = Climate::draw(&mut dice);
        let steps = schedule(&mut dice, STEPS);
        let (first, second) = (stage.story(climate, &steps), stage.story(climate, &steps));
        for (first, second) in first.lines().zip(second.lines()) {
            assert_eq!(first, second, "seed {seed} {climate:?}");
        }
    }
}
