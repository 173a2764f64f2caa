//! Journals with one planted violation each: it is found, and nothing else is; and journals in which
//! everything that may happen happens: nothing is found.

use roomcast_protocol::Epoch;

use super::*;

mod lives;

/// Rooms here keep so many messages.
const RETENTION: u64 = 100;

fn at(epoch: u64, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq }
}

/// The message that stands at a seq unless a test says otherwise.
fn usual(seq: u64) -> Content {
    Content { publisher: 0, number: seq as u32 }
}

/// One room, its members, and a clock that goes on by itself.
struct Bench {
    checker: Checker,
    now: Duration,
}

impl Bench {
    /// So many members, joined at seq 0 of epoch 1.
    fn new(members: usize) -> Self {
        let mut bench = Self { checker: Checker::new(1, RETENTION, false), now: Duration::ZERO };
        for member in 0..members {
            bench.checker.enrol(0, format!("member {member}"));
            bench.joins(member, at(1, 0), None);
        }
        bench
    }

    fn note(&mut self, member: MemberId, entry: Entry) {
        self.now += Duration::from_millis(1);
        self.checker.note(member, entry, self.now);
    }

    fn joins(&mut self, member: MemberId, at: Position, recovered: Option<bool>) {
        self.note(member, Entry::Joined { at, recovered });
    }

    /// Loses its connection and resumes without loss.
    fn resumes(&mut self, member: MemberId, at: Position) {
        self.note(member, Entry::Lost);
        self.joins(member, at, Some(true));
    }

    fn sees(&mut self, member: MemberId, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.note(member, Entry::Message { seq, content: usual(seq) });
        }
    }

    fn resets(&mut self, member: MemberId, at: Position, lost: u64) {
        self.note(member, Entry::Reset { at, lost });
    }

    fn acks(&mut self, epoch: u64, seqs: impl IntoIterator<Item = u64>) {
        for seq in seqs {
            self.checker.acked(0, usual(seq), at(epoch, seq), self.now);
        }
    }

    /// Redis comes to harm, and is well again at once.
    fn harm(&mut self, harm: Harm) {
        self.now += Duration::from_secs(20);
        let number = self.checker.harmed(harm, self.now);
        self.checker.calmed(number, self.now);
    }

    /// History as it was read in the end.
    fn closes(&mut self, epoch: u64, seqs: impl IntoIterator<Item = u64>) {
        let messages = seqs.into_iter().map(|seq| (seq, usual(seq))).collect();
        self.closes_with(epoch, messages);
    }

    fn closes_with(&mut self, epoch: u64, messages: Vec<(u64, Content)>) {
        let history = HistoryRead { epoch: Epoch(epoch), messages };
        self.checker.close(0, &history, self.now);
    }

    /// The rules that were found broken, each once.
    #[track_caller]
    fn check(&self, expected: &[Rule]) {
        let mut rules: Vec<Rule> =
            self.checker.violations().iter().map(|violation| violation.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        assert_eq!(rules, expected, "{:#?}", self.checker.violations());
    }
}

#[test]
fn members_that_see_the_same_are_no_violation() {
    let mut bench = Bench::new(2);
    bench.acks(1, 1..=10);
    bench.sees(0, 1..=10);
    bench.sees(1, 1..=4);
    bench.resumes(1, at(1, 4));
    bench.sees(1, 5..=10);
    bench.closes(1, 1..=10);
    bench.check(&[]);
    assert_eq!((bench.checker.counts.deliveries, bench.checker.counts.acks), (20, 10));
}

#[test]
fn who_forgets_where_it_stood_may_see_messages_again() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=10);
    bench.sees(1, 1..=8);
    bench.note(1, Entry::Lost);
    bench.note(1, Entry::Forgot);
    bench.joins(1, at(1, 5), None);
    bench.sees(1, 6..=10);
    bench.closes(1, 1..=10);
    bench.check(&[]);
    bench.sees(1, [10]);
    bench.check(&[Rule::Duplicate]);
}

#[test]
fn members_that_differ() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=3);
    bench.sees(1, 1..=2);
    bench.note(1, Entry::Message { seq: 3, content: usual(30) });
    bench.check(&[Rule::Order]);
}

#[test]
fn an_ack_that_differs_from_what_was_seen() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=3);
    bench.checker.acked(0, usual(30), at(1, 3), bench.now);
    bench.check(&[Rule::Order]);
}

#[test]
fn two_messages_that_change_places() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=4);
    bench.sees(1, [1, 2, 4, 3]);
    bench.check(&[Rule::Hole, Rule::Duplicate]);
}

#[test]
fn a_hole_that_nobody_told() {
    let mut bench = Bench::new(1);
    bench.sees(0, [1, 2, 4]);
    bench.check(&[Rule::Hole]);
    let violation = &bench.checker.violations()[0];
    assert_eq!(violation.before.last().unwrap().1, Entry::Message { seq: 4, content: usual(4) });
    bench.sees(0, [5, 6]);
    let after: Vec<_> =
        bench.checker.violations()[0].after.iter().map(|(_, entry)| entry.text()).collect();
    assert_eq!(after, ["5=p0n5", "6=p0n6"]);
}

#[test]
fn a_message_that_comes_twice() {
    let mut bench = Bench::new(1);
    bench.sees(0, [1, 2, 2]);
    bench.check(&[Rule::Duplicate]);
}

#[test]
fn one_key_at_two_places() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=3);
    bench.note(0, Entry::Message { seq: 4, content: usual(2) });
    bench.check(&[Rule::Key]);
}

#[test]
fn one_key_acknowledged_at_two_places() {
    let mut bench = Bench::new(1);
    bench.acks(1, [3]);
    bench.checker.acked(0, usual(3), at(1, 4), bench.now);
    bench.check(&[Rule::Key]);
}

#[test]
fn a_resume_that_skips_and_one_that_repeats() {
    for (resumed, seq) in [(4, 5), (2, 3)] {
        let mut bench = Bench::new(1);
        bench.sees(0, 1..=3);
        bench.resumes(0, at(1, resumed));
        bench.sees(0, [seq]);
        bench.check(&[Rule::Resume]);
    }
}

#[test]
fn a_resume_that_promises_and_does_not_keep() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=3);
    bench.resumes(0, at(1, 3));
    bench.sees(0, [5]);
    bench.check(&[Rule::Hole]);
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=3);
    bench.note(0, Entry::Lost);
    bench.joins(0, at(1, 3), None);
    bench.check(&[Rule::Resume]);
}

#[test]
fn a_join_that_did_not_recover_and_does_not_say_what_is_missing() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=3);
    bench.note(0, Entry::Lost);
    bench.joins(0, at(1, 6), Some(false));
    bench.sees(0, [7]);
    bench.check(&[Rule::Hole]);
}

#[test]
fn a_gap_that_is_named_is_no_hole() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=300);
    bench.sees(1, 1..=3);
    bench.note(1, Entry::Lost);
    bench.joins(1, at(1, 3), Some(false));
    bench.note(1, Entry::Gap { from: 4, to: 200 });
    bench.sees(1, 201..=300);
    bench.closes(1, 201..=300);
    bench.check(&[]);
}

#[test]
fn gaps_that_are_none() {
    for (from, to) in [(5, 6), (3, 6), (4, 3)] {
        let mut bench = Bench::new(2);
        bench.sees(0, 1..=300);
        bench.sees(1, 1..=3);
        bench.note(1, Entry::Gap { from, to });
        bench.closes(1, 201..=300);
        bench.check(if to > 6 { &[Rule::Gap] } else { &[Rule::Gap, Rule::Behind] });
    }
}

#[test]
fn a_gap_although_history_has_it() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=50);
    bench.sees(1, 1..=3);
    bench.note(1, Entry::Gap { from: 4, to: 20 });
    bench.sees(1, 21..=50);
    bench.closes(1, 1..=50);
    bench.check(&[Rule::Gap]);
}

/// A replica took over that knew neither the epoch nor its parents: everybody begins with what
/// history holds, long before anybody has read to its end.
#[test]
fn a_gap_before_a_new_life_is_judged_when_its_end_is_known() {
    for (acked, expected) in [(301, &[][..]), (150, &[Rule::Gap])] {
        let mut bench = Bench::new(2);
        bench.sees(0, 1..=300);
        bench.harm(Harm::Loses);
        bench.resets(0, at(2, 0), 300);
        bench.note(0, Entry::Gap { from: 1, to: 200 });
        bench.now += Duration::from_secs(60);
        bench.check(&[]);
        bench.acks(2, acked..=acked);
        bench.check(expected);
    }
}

#[test]
fn a_node_may_know_more_of_a_room_than_was_told() {
    for (later, expected) in [(290, &[Rule::Gap][..]), (301, &[])] {
        let mut bench = Bench::new(2);
        bench.acks(1, 1..=280);
        bench.sees(0, 1..=280);
        bench.note(1, Entry::Gap { from: 1, to: 200 });
        bench.acks(1, 281..=later);
        bench.check(&[]);
        bench.now += Duration::from_secs(4);
        bench.acks(1, [later]);
        bench.check(expected);
    }
}

#[test]
fn an_acknowledged_message_that_history_lacks() {
    // At its end, in its middle, and after a life that kept all.
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.acks(1, 1..=6);
    bench.sees(0, [6]);
    bench.closes(1, 1..=5);
    bench.check(&[Rule::Ack, Rule::History]);

    let mut bench = Bench::new(1);
    bench.acks(1, [5]);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 0), 0);
    let other = |seq: u64| if seq == 5 { usual(50) } else { usual(seq) };
    for seq in 1..=6 {
        bench.note(0, Entry::Message { seq, content: other(seq) });
    }
    bench.closes_with(2, (1..=6).map(|seq| (seq, other(seq))).collect());
    bench.check(&[Rule::Order, Rule::Ack]);
}

#[test]
fn history_with_a_hole() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.closes(1, [1, 2, 4, 5]);
    bench.check(&[Rule::History]);
}

#[test]
fn a_member_that_does_not_get_to_the_end() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=4);
    assert!(bench.checker.is_caught_up(0) && !bench.checker.is_caught_up(1));
    bench.closes(1, 1..=5);
    bench.check(&[Rule::Behind]);
}

#[test]
fn more_violations_than_are_kept_are_counted() {
    let mut bench = Bench::new(1);
    bench.sees(0, (1..=200).map(|number| 2 * number));
    assert_eq!(bench.checker.counts.violations, 200);
    assert_eq!(bench.checker.violations().len(), SHOWN);
}
