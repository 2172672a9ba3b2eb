//! How many objects are made at a time.

/// The most pods that a pass of a controller makes or deletes (RS04).
pub const MAX_BATCHED: usize = 500;

/// Returns the sizes of the batches in which `count` objects are made: 1, 2, 4, 8 ... (RS04).
///
/// A batch begins when the one before has succeeded whole, so that what cannot be made is tried
/// few times and not all the times.
#[must_use]
pub fn slow_start(count: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    let (mut left, mut next) = (count, 1);
    while left > 0 {
        let size = next.min(left);
        sizes.push(size);
        left -= size;
        next *= 2;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_double_and_sum_up() {
        // RS04
        assert!(slow_start(0).is_empty());
        assert_eq!(slow_start(1), [1]);
        assert_eq!(slow_start(12), [1, 2, 4, 5]);
    }
}
