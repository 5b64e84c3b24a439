//! Boosted trees as they are stored and walked: what prediction needs of the learner's trees, no more.

use forust_ml::GradientBooster;
use serde::{Deserialize, Serialize};

use crate::features::FEATURES;

/// Trees whose leaves are added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Forest {
    /// What is predicted before any tree.
    start: f64,
    trees: Vec<Vec<Node>>,
}

/// Feature, threshold, left child, right child, child for a missing value. A leaf has equal children
/// 0 and its weight for a threshold. Values below the threshold go left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Node(u8, f64, u16, u16, u16);

/// The learner made a tree that can't be stored in a [`Forest`].
#[derive(Debug, thiserror::Error)]
#[error("a tree has more than 65,536 nodes or a feature past the 256th")]
pub(crate) struct TooLarge(#[from] std::num::TryFromIntError);

impl Forest {
    /// A forest without trees, which answers `start`.
    pub(crate) fn constant(start: f64) -> Self {
        Self {
            start,
            trees: Vec::new(),
        }
    }

    /// Takes over the trees of a fitted booster.
    pub(crate) fn from_booster(booster: &GradientBooster) -> Result<Self, TooLarge> {
        let trees = booster.trees.iter().map(|tree| {
            let nodes = tree.nodes.iter().map(|node| {
                Ok(if node.is_leaf {
                    Node(0, f64::from(node.weight_value), 0, 0, 0)
                } else {
                    Node(
                        u8::try_from(node.split_feature)?,
                        node.split_value,
                        u16::try_from(node.left_child)?,
                        u16::try_from(node.right_child)?,
                        u16::try_from(node.missing_node)?,
                    )
                })
            });
            nodes.collect()
        });
        Ok(Self {
            start: booster.base_score,
            trees: trees.collect::<Result<_, TooLarge>>()?,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.trees.len()
    }

    /// The prediction for one row of features. The forest must be [sound](Self::is_sound).
    pub(crate) fn predict(&self, values: &[f64; FEATURES]) -> f64 {
        self.start
            + self
                .trees
                .iter()
                .map(|tree| leaf(tree, values))
                .sum::<f64>()
    }

    /// Whether walking any tree ends at a leaf: features exist, and children lie behind their parents.
    pub(crate) fn is_sound(&self) -> bool {
        self.start.is_finite()
            && self.trees.iter().all(|tree| {
                !tree.is_empty()
                    && tree.iter().enumerate().all(
                        |(at, &Node(feature, value, left, right, missing))| {
                            let inside =
                                |child: u16| (at + 1..tree.len()).contains(&usize::from(child));
                            value.is_finite()
                                && usize::from(feature) < FEATURES
                                && (left == right
                                    || (inside(left) && inside(right) && inside(missing)))
                        },
                    )
            })
    }
}

fn leaf(tree: &[Node], values: &[f64; FEATURES]) -> f64 {
    let mut node = tree[0];
    while node.2 != node.3 {
        let value = values[usize::from(node.0)];
        let next = if value.is_nan() {
            node.4
        } else if value < node.1 {
            node.2
        } else {
            node.3
        };
        node = tree[usize::from(next)];
    }
    node.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Forest {
        let tree = vec![
            Node(1, 10.0, 1, 2, 2),
            Node(0, -0.5, 0, 0, 0),
            Node(0, 0.25, 0, 0, 0),
        ];
        Forest {
            start: 1.0,
            trees: vec![tree.clone(), tree],
        }
    }

    #[test]
    fn leaves_add_up_and_missing_values_have_their_own_way() {
        let mut values = [0.0; FEATURES];
        let answers = |values: &[f64; FEATURES], wanted: f64| {
            assert!((stump().predict(values) - wanted).abs() < 1e-12);
        };
        answers(&values, 0.0);
        values[1] = 10.0;
        answers(&values, 1.5);
        values[1] = f64::NAN;
        answers(&values, 1.5);
        assert!((Forest::constant(1.0).predict(&values) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_forest_that_would_not_end_or_reads_outside_is_unsound() {
        assert!(stump().is_sound());
        for bad in [
            Node(1, 10.0, 0, 2, 2),
            Node(1, 10.0, 1, 3, 2),
            Node(13, 10.0, 1, 2, 2),
            Node(1, f64::NAN, 1, 2, 2),
            Node(1, 10.0, 1, 2, 0),
        ] {
            let mut forest = stump();
            forest.trees[1][0] = bad;
            assert!(!forest.is_sound(), "{bad:?}");
        }
        assert!(
            !Forest {
                start: 1.0,
                trees: vec![vec![]]
            }
            .is_sound()
        );
    }
}
