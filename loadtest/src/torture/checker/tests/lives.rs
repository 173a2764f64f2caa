//! Epochs that follow each other: what Redis came to explains what members are told, and nothing
//! else does.

use super::*;

#[test]
fn a_new_life_that_keeps_all_is_told_and_goes_on() {
    let mut bench = Bench::new(2);
    bench.acks(1, 1..=6);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=3);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 5), 0);
    bench.sees(0, 6..=8);
    // The other comes back and stands at a seq that both epochs share.
    bench.note(1, Entry::Lost);
    bench.joins(1, at(2, 3), Some(true));
    bench.sees(1, 4..=8);
    bench.acks(2, 7..=8);
    bench.closes(2, 1..=8);
    bench.check(&[]);
}

#[test]
fn an_epoch_that_changes_although_nothing_happened() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.resets(0, at(2, 5), 0);
    bench.sees(0, [6]);
    bench.closes(2, 1..=6);
    bench.check(&[Rule::Reset]);
}

/// Its new node has seen neither the epoch nor one that grew from it.
#[test]
fn who_resumes_with_an_unknown_epoch_is_told_that_all_is_lost() {
    let mut bench = Bench::new(3);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=5);
    bench.harm(Harm::Loses);
    bench.resets(0, at(2, 4), 1);
    bench.sees(0, 5..=9);
    for (member, lost) in [(1, 5), (2, 0)] {
        bench.note(member, Entry::Lost);
        bench.joins(member, at(2, 9), Some(false));
        bench.resets(member, at(2, 9), lost);
    }
    bench.closes(2, 1..=9);
    bench.check(&[]);
}

#[test]
fn a_loss_although_redis_kept_its_data() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 3), 2);
    bench.sees(0, 4..=6);
    bench.closes(2, 1..=6);
    bench.check(&[Rule::Reset]);
}

#[test]
fn what_redis_lost_may_be_gone_if_it_is_told() {
    let mut bench = Bench::new(3);
    bench.acks(1, 1..=6);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=2);
    bench.sees(2, 1..=4);
    bench.harm(Harm::Loses);
    // Three messages are left; other ones come where the lost ones were.
    let new = |seq: u64| Entry::Message { seq, content: usual(seq + 50) };
    bench.resets(0, at(2, 3), 2);
    bench.resets(1, at(2, 2), 0);
    bench.sees(1, [3]);
    for seq in 4..=6 {
        bench.note(0, new(seq));
        bench.note(1, new(seq));
    }
    // Who comes back later begins at the end.
    bench.note(2, Entry::Lost);
    bench.joins(2, at(2, 6), Some(false));
    bench.resets(2, at(2, 6), 1);
    let kept = (1..=3).map(|seq| (seq, usual(seq)));
    bench.closes_with(2, kept.chain((4..=6).map(|seq| (seq, usual(seq + 50)))).collect());
    bench.check(&[]);
}

#[test]
fn a_lost_message_published_again_is_no_second_one() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.harm(Harm::Loses);
    bench.resets(0, at(2, 3), 2);
    bench.note(0, Entry::Message { seq: 4, content: usual(5) });
    let kept = (1..=3).map(|seq| (seq, usual(seq)));
    bench.closes_with(2, kept.chain([(4, usual(5))]).collect());
    bench.check(&[]);
}

#[test]
fn a_kept_message_published_again_is_a_second_one() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 5), 0);
    bench.note(0, Entry::Message { seq: 6, content: usual(5) });
    bench.closes_with(2, vec![(6, usual(5))]);
    bench.check(&[Rule::Key]);
}

#[test]
fn a_loss_that_is_not_told_to_who_saw_it() {
    // Epoch 2 shares three messages with epoch 1, by the word of the first member.
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=5);
    bench.harm(Harm::Loses);
    bench.resets(0, at(2, 3), 2);
    bench.note(1, Entry::Lost);
    bench.joins(1, at(2, 5), Some(true));
    bench.check(&[Rule::Reset]);
}

#[test]
fn resets_that_do_not_fit() {
    // Beyond where it stood, behind it without a loss, more lost than there was, in the same epoch.
    for (to, lost) in [(at(2, 8), 0), (at(2, 3), 0), (at(2, 0), 9), (at(1, 3), 2), (at(2, 9), 2)] {
        let mut bench = Bench::new(1);
        bench.sees(0, 1..=5);
        bench.harm(Harm::Loses);
        bench.resets(0, to, lost);
        bench.check(&[Rule::Reset]);
    }
}

#[test]
fn a_way_back_to_an_epoch_that_was_left() {
    let mut bench = Bench::new(1);
    bench.sees(0, 1..=5);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 5), 0);
    bench.resets(0, at(1, 5), 0);
    bench.check(&[Rule::Reset]);
}

#[test]
fn shared_seqs_that_differ_between_epochs() {
    let mut bench = Bench::new(2);
    bench.sees(0, 1..=5);
    bench.sees(1, 1..=2);
    bench.harm(Harm::Renews);
    bench.resets(0, at(2, 5), 0);
    bench.resets(1, at(2, 2), 0);
    bench.note(1, Entry::Message { seq: 3, content: usual(30) });
    bench.sees(1, 4..=5);
    let history = [1, 2, 30, 4, 5].into_iter().zip(1..).map(|(it, seq)| (seq, usual(it)));
    bench.closes_with(2, history.collect());
    bench.check(&[Rule::Order]);
}

#[test]
fn a_takeover_that_is_told_late_explains_what_came_of_it() {
    let lose = |is_told: bool| {
        let mut bench = Bench::new(1);
        bench.acks(1, 1..=10);
        bench.sees(0, 1..=10);
        bench.now += Duration::from_secs(60);
        bench.resets(0, at(2, 6), 4);
        bench.now += Duration::from_secs(1);
        if is_told {
            bench.checker.took_over(bench.now);
        }
        bench.acks(2, 7..=8);
        bench.sees(0, 7..=8);
        bench.closes(2, 1..=8);
        bench
    };
    lose(true).check(&[]);
    lose(false).check(&[Rule::Reset, Rule::Ack]);
}
