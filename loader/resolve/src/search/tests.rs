use proptest::prelude::*;

use super::*;

fn literal(number: i32) -> Literal {
    let var = number.unsigned_abs() - 1;
    if number > 0 { Literal::is(var) } else { Literal::is_not(var) }
}

/// The greatest answer, by trying all, the greatest first.
fn slowly(preferred: &[bool], clauses: &[Vec<i32>], groups: &[Vec<u32>]) -> Option<Vec<bool>> {
    let count = preferred.len();
    (0..1_u32 << count).find_map(|number| {
        let values: Vec<bool> = (0..count)
            .map(|var| preferred[var] != (number >> (count - 1 - var) & 1 == 1))
            .collect();
        let holds = |literal: &i32| values[literal.unsigned_abs() as usize - 1] == (*literal > 0);
        let fits = clauses.iter().all(|clause| clause.iter().any(holds))
            && groups
                .iter()
                .all(|group| group.iter().filter(|var| values[**var as usize]).count() < 2);
        fits.then_some(values)
    })
}

fn quickly(
    preferred: &[bool],
    clauses: &[Vec<i32>],
    groups: &[Vec<u32>],
    later: usize,
) -> Option<Vec<bool>> {
    let mut search = Search::new(u64::MAX);
    for preferred in preferred {
        search.add_variable(*preferred);
    }
    for group in groups {
        search.add_group(group.clone());
    }
    let (first, second) = clauses.split_at(later.min(clauses.len()));
    let add = |search: &mut Search, clauses: &[Vec<i32>]| {
        for clause in clauses {
            search.add_clause(clause.iter().map(|number| literal(*number)).collect());
        }
    };
    add(&mut search, first);
    search.run().unwrap()?;
    add(&mut search, second);
    search.run().unwrap()?;
    Some((0..preferred.len()).map(|var| search.is_true(u32::try_from(var).unwrap())).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_greatest_answer_is_found(
        preferred in prop::collection::vec(any::<bool>(), 9),
        clauses in prop::collection::vec(
            prop::collection::vec((1..=9_i32, any::<bool>()), 1..4),
            0..30,
        ),
        groups in prop::collection::vec(prop::collection::btree_set(0..9_u32, 2..5), 0..4),
        later in 0..30_usize,
    ) {
        let signed = |(number, positive): (i32, bool)| if positive { number } else { -number };
        let clauses: Vec<Vec<i32>> =
            clauses.into_iter().map(|clause| clause.into_iter().map(signed).collect()).collect();
        let groups: Vec<Vec<u32>> =
            groups.into_iter().map(|group| group.into_iter().collect()).collect();
        let expected = slowly(&preferred, &clauses, &groups);
        prop_assert_eq!(quickly(&preferred, &clauses, &groups, later), expected);
    }
}

#[test]
fn it_ends_when_its_effort_is_used_up() {
    // Eleven pigeons in ten holes: exponential for every method like this one.
    let mut search = Search::new(100_000);
    let holes: Vec<Vec<Var>> =
        (0..11).map(|_| (0..10).map(|_| search.add_variable(true)).collect()).collect();
    for pigeon in &holes {
        search.add_clause(pigeon.iter().map(|var| Literal::is(*var)).collect());
    }
    for hole in 0..10 {
        search.add_group(holes.iter().map(|pigeon| pigeon[hole]).collect());
    }
    assert_eq!(search.run(), Err(Exhausted));
}
