//! Figures made of many measurements.

/// The value that this share of all values (0 to 1) does not exceed.
///
/// # Panics
///
/// If there are no values.
#[must_use]
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// The value in the middle.
///
/// # Panics
///
/// If there are no values.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The arithmetic mean.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "no values");
    #[allow(clippy::cast_precision_loss)]
    let number = values.len() as f64;
    values.iter().sum::<f64>() / number
}

/// Jain's fairness index of the shares: 1 if all are equal, 1/n if one has everything. (Jain, Chiu
/// and Hawe, "A quantitative measure of fairness and discrimination", 1984.)
#[must_use]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    #[allow(clippy::cast_precision_loss)]
    let number = shares.len() as f64;
    sum * sum / (number * squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (share, value) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((percentile(&values, share) - value).abs() < f64::EPSILON, "{share}");
        }
        assert!((median(&[7.0]) - 7.0).abs() < f64::EPSILON);
        assert!((mean(&values) - 50.5).abs() < f64::EPSILON);
    }

    #[test]
    fn jain_distinguishes_equal_shares_from_one_for_all() {
        assert!((jain(&[3.0; 8]) - 1.0).abs() < 1e-9);
        assert!((jain(&[5.0, 0.0, 0.0, 0.0]) - 0.25).abs() < 1e-9);
    }
}
