//! What the Collector kept, as recorded by `./tests/run record-differential`.
//!
//! A line of the file is the name of a policy set, a hash of its policies, and one bit for each
//! trace, the first one highest. A first line names the input. So a changed set or input is
//! noticed, and not compared with what was said of another one.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use crate::input::Input;
use crate::policies::PolicySet;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/recorded.txt");
const HOW: &str = "run ./tests/run record-differential";

/// Replaces the recording.
pub fn write(sets: &[PolicySet], input: &Input, kept: &[Vec<bool>]) {
    let mut text = input_line(input);
    for (set, kept) in sets.iter().zip(kept) {
        writeln!(text, "{} {:016x} {}", set.name, set.hash(), to_hex(kept)).unwrap();
    }
    fs::write(FILE, text).unwrap();
}

/// For each set, what was recorded; panics where it was recorded of something else.
pub fn read(sets: &[PolicySet], input: &Input) -> Vec<Vec<bool>> {
    let text = fs::read_to_string(FILE).unwrap_or_else(|error| panic!("{FILE}: {error}: {HOW}"));
    let (head, rest) = text.split_once('\n').unwrap();
    assert_eq!(format!("{head}\n"), input_line(input), "the input has changed: {HOW}");
    let lines: BTreeMap<&str, &str> =
        rest.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.len(), sets.len(), "the policy sets have changed: {HOW}");
    let recorded_of = |set: &PolicySet| {
        let line = lines.get(set.name.as_str());
        let line = line.unwrap_or_else(|| panic!("{} is not recorded: {HOW}", set.name));
        let (hash, kept) = line.split_once(' ').unwrap();
        assert_eq!(hash, format!("{:016x}", set.hash()), "{} has changed: {HOW}", set.name);
        from_hex(kept, input.ids.len())
    };
    sets.iter().map(recorded_of).collect()
}

fn input_line(input: &Input) -> String {
    format!("input {:016x} {}\n", input.hash(), input.ids.len())
}

fn to_hex(bits: &[bool]) -> String {
    let digit = |four: &[bool]| {
        let value =
            (0..4).fold(0, |value, bit| value << 1 | u8::from(four.get(bit) == Some(&true)));
        format!("{value:x}")
    };
    bits.chunks(4).map(digit).collect()
}

fn from_hex(digits: &str, bits: usize) -> Vec<bool> {
    let values = digits.chars().map(|digit| digit.to_digit(16).unwrap());
    let all: Vec<bool> = values.flat_map(|four| [8, 4, 2, 1].map(|bit| four & bit != 0)).collect();
    assert_eq!(all.len().div_ceil(4), bits.div_ceil(4), "a bit for each trace");
    all[..bits].to_vec()
}

#[test]
fn bits_are_read_as_they_were_written() {
    for length in 0..10 {
        let bits: Vec<bool> = (0..length).map(|n| n % 3 == 0).collect();
        assert_eq!(from_hex(&to_hex(&bits), bits.len()), bits);
    }
}
