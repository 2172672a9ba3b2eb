//! The rolling update of a DaemonSet (DS13-DS17).

use k8s_openapi::api::core::v1::Pod;

use super::DaemonPass;
use crate::model::deployment::part;
use crate::model::workload::{Random, pods};

/// The pods of a node by template, those that terminate left out.
enum OnNode<'a> {
    None,
    New(&'a Pod),
    Old(&'a Pod),
    Both {
        new: &'a Pod,
        old: &'a Pod,
    },
    /// More than one with a template: these are put in order first.
    Crowded,
}

impl<'a> DaemonPass<'a> {
    pub(super) fn rolls(&self) -> bool {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    /// Returns the number of nodes that want a pod.
    fn desired(&self) -> i32 {
        let count = self.fit.values().filter(|fit| fit.wants_pod).count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Returns on how many nodes a second pod may be; a share is rounded up.
    pub(super) fn surge(&self) -> i32 {
        let rolling = self.spec.update_strategy.as_ref();
        let rolling = rolling
            .filter(|_| self.rolls())
            .and_then(|strategy| strategy.rolling_update.as_ref());
        part(
            rolling.and_then(|rolling| rolling.max_surge.as_ref()),
            self.desired(),
            true,
        )
    }

    /// Returns on how many nodes the pod may be unavailable; a share is rounded up.
    fn unavailable(&self) -> i32 {
        let rolling = self.spec.update_strategy.as_ref();
        let rolling = rolling.and_then(|strategy| strategy.rolling_update.as_ref());
        let bound = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let most = bound.map_or(1, |bound| part(Some(bound), self.desired(), true));
        if most == 0 && self.surge() == 0 {
            1
        } else {
            most
        }
    }

    /// Replaces old pods, as many as may be.
    pub(super) fn roll(&mut self, random: &mut Random) {
        if self.surge() > 0 {
            self.roll_with_surge(random);
        } else {
            self.roll_in_place(random);
        }
    }

    /// Lists the nodes that have a pod or want one, with their pods.
    fn nodes(&self) -> Vec<(String, OnNode<'a>)> {
        let wanting = self
            .fit
            .iter()
            .filter(|(_, fit)| fit.wants_pod)
            .map(|(node, _)| *node);
        let mut nodes: Vec<_> = self.by_node.keys().copied().chain(wanting).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
            .into_iter()
            .map(|node| (node.to_owned(), self.on_node(node)))
            .collect()
    }

    fn on_node(&self, node: &str) -> OnNode<'a> {
        let (mut new, mut old) = (Vec::new(), Vec::new());
        let all = self.by_node.get(node).into_iter().flatten();
        for pod in all.filter(|pod| !pods::is_terminating(pod)) {
            let list = if self.is_updated(pod) {
                &mut new
            } else {
                &mut old
            };
            list.push(*pod);
        }
        match (new.as_slice(), old.as_slice()) {
            ([], []) => OnNode::None,
            ([new], []) => OnNode::New(new),
            ([], [old]) => OnNode::Old(old),
            ([new], [old]) => OnNode::Both { new, old },
            _ => OnNode::Crowded,
        }
    }

    /// Old pods go first, and new ones come when they are gone (DS13).
    fn roll_in_place(&mut self, random: &mut Random) {
        let (mut broken, mut candidates, mut unavailable) = (Vec::new(), Vec::new(), 0);
        for (_, on_node) in self.nodes() {
            match on_node {
                OnNode::None | OnNode::Both { .. } | OnNode::Crowded => unavailable += 1,
                OnNode::New(pod) => unavailable += i32::from(!self.is_available(pod)),
                OnNode::Old(pod) if self.is_available(pod) => candidates.push(pod),
                OnNode::Old(pod) => {
                    broken.push(pod);
                    unavailable += 1;
                }
            }
        }
        let room = usize::try_from(self.unavailable() - unavailable).unwrap_or_default();
        broken.extend(candidates.into_iter().take(room));
        self.make_and_delete(&[], &broken, random);
    }

    /// New pods come first, and old ones go when they are available (DS15).
    fn roll_with_surge(&mut self, random: &mut Random) {
        let (mut doomed, mut allowed, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
        let mut surge = 0;
        for (node, on_node) in self.nodes() {
            match on_node {
                OnNode::Crowded => surge += 1,
                OnNode::None | OnNode::New(_) => {}
                OnNode::Old(pod) if self.is_available(pod) => candidates.push(node),
                OnNode::Old(_) => allowed.push(node),
                OnNode::Both { old, .. } if !self.is_available(old) => doomed.push(old),
                OnNode::Both { new, old } => {
                    surge += 1;
                    doomed.extend(self.is_available(new).then_some(old));
                }
            }
        }
        let room = usize::try_from(self.surge() - surge).unwrap_or_default();
        allowed.extend(candidates.into_iter().take(room));
        self.make_and_delete(&allowed, &doomed, random);
    }
}
