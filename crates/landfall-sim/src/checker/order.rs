//! "Comes before", and the circles it must not have among the values of a register.
//! It must never compare all pairs of a history: a line of moments stands between operations, so the work is linear.

use std::collections::{BTreeMap, VecDeque};

/// When an operation took place, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) session: u64,
    pub(super) sequence: u64,
    pub(super) invoked_ns: u64,
    /// None: nobody knows whether and when it was done.
    pub(super) returned_ns: Option<u64>,
}

impl Span {
    /// Whether this operation took effect before the other one, if both did.
    pub(super) fn before(&self, other: &Span) -> bool {
        let answered = self.returned_ns.is_some_and(|returned| returned < other.invoked_ns);
        answered || (self.session == other.session && self.sequence < other.sequence)
    }
}

/// The sets of clusters that no order explains: each is a circle of "comes before".
/// `spans` are the operations, each with the number of its cluster.
pub(super) fn entangled(spans: &[(Span, usize)], clusters: usize) -> Vec<Vec<usize>> {
    let mut graph: Vec<Vec<usize>> = vec![Vec::new(); clusters];
    // Moments in the order of time. At the same nanosecond nothing is known to come before, so sending comes first.
    let mut moments: Vec<(u64, bool, usize)> = Vec::with_capacity(spans.len() * 2);
    for (span, cluster) in spans {
        moments.push((span.invoked_ns, false, *cluster));
        if let Some(returned_ns) = span.returned_ns {
            moments.push((returned_ns, true, *cluster));
        }
    }
    moments.sort_unstable();
    let count = moments.len();
    for (at, (_, returned, cluster)) in moments.into_iter().enumerate() {
        let node = graph.len();
        graph.push(if at + 1 < count { vec![node + 1] } else { Vec::new() });
        match returned {
            true => graph[cluster].push(node),
            false => graph[node].push(cluster),
        }
    }
    let mut sessions: BTreeMap<u64, Vec<(u64, usize)>> = BTreeMap::new();
    for (span, cluster) in spans {
        sessions.entry(span.session).or_default().push((span.sequence, *cluster));
    }
    for requests in sessions.values_mut() {
        requests.sort_unstable();
        for pair in requests.windows(2) {
            graph[pair[0].1].push(pair[1].1);
        }
    }
    let circles = components(&graph).into_iter().map(|mut component| {
        component.retain(|node| *node < clusters);
        component.sort_unstable();
        component
    });
    circles.filter(|component| component.len() > 1).collect()
}

/// The strongly connected components of a graph (Tarjan 1972), without recursion: a history may be long.
fn components(graph: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const NEW: usize = usize::MAX;
    let mut found = Vec::new();
    let mut number = vec![NEW; graph.len()];
    let mut low = vec![0; graph.len()];
    let mut on_stack = vec![false; graph.len()];
    let (mut stack, mut next_number) = (Vec::new(), 0);
    for root in 0..graph.len() {
        if number[root] != NEW {
            continue;
        }
        let mut calls = vec![(root, 0)];
        while let Some((node, edge)) = calls.pop() {
            if edge == 0 {
                number[node] = next_number;
                low[node] = next_number;
                next_number += 1;
                stack.push(node);
                on_stack[node] = true;
            } else {
                low[node] = low[node].min(low[graph[node][edge - 1]]);
            }
            let mut edge = edge;
            let mut descend = None;
            while let Some(&target) = graph[node].get(edge) {
                edge += 1;
                if number[target] == NEW {
                    descend = Some(target);
                    break;
                }
                if on_stack[target] {
                    low[node] = low[node].min(number[target]);
                }
            }
            if let Some(target) = descend {
                calls.push((node, edge));
                calls.push((target, 0));
                continue;
            }
            if low[node] == number[node] {
                let start = stack.iter().rposition(|have| *have == node).unwrap_or(0);
                let component = stack.split_off(start);
                component.iter().for_each(|node| on_stack[*node] = false);
                found.push(component);
            }
        }
    }
    found
}

/// The shortest circle among these operations, as pairs that come one before the other, for people to read.
/// Each step leaves one cluster for another.
pub(super) fn shortest_circle(spans: &[(Span, usize)]) -> Vec<(usize, usize)> {
    let mut best: Vec<(usize, usize)> = Vec::new();
    let mut clusters: Vec<usize> = spans.iter().map(|(_, cluster)| *cluster).collect();
    clusters.sort_unstable();
    clusters.dedup();
    for &start in &clusters {
        let mut came: BTreeMap<usize, (usize, usize, usize)> = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        'search: while let Some(cluster) = queue.pop_front() {
            for (from, (earlier, _)) in spans.iter().enumerate().filter(|(_, (_, own))| *own == cluster) {
                for (to, (later, target)) in spans.iter().enumerate() {
                    if *target == cluster || came.contains_key(target) || !earlier.before(later) {
                        continue;
                    }
                    came.insert(*target, (cluster, from, to));
                    if *target == start {
                        break 'search;
                    }
                    queue.push_back(*target);
                }
            }
        }
        let mut circle = Vec::new();
        let mut cluster = start;
        while let Some(&(previous, from, to)) = came.get(&cluster) {
            circle.push((from, to));
            cluster = previous;
            if cluster == start {
                break;
            }
        }
        circle.reverse();
        if cluster == start && !circle.is_empty() && (best.is_empty() || circle.len() < best.len()) {
            best = circle;
        }
        if best.len() == 2 {
            break;
        }
    }
    best
}
